"""A view on a line display: 20 characters wide, 2 or 4 lines, as cash registers have. Pure.

The first line always has the mark: online or OFFLINE. What does not fit is shown page by page. A Chinese
character is two columns wide.
"""

import unicodedata
from collections.abc import Callable
from typing import Final

from campus_node.terminal.pos.view import Mood, View, yuan
from campus_node.wording import Sentence

PAGE_S: Final = 2.0  # how long a page stays

Say = Callable[[Sentence], str]

MOODS: Final[dict[Mood, Sentence]] = {
    Mood.IDLE: Sentence("ready"),
    Mood.ASKING: Sentence("question"),
    Mood.WORKING: Sentence("wait"),
    Mood.ACCEPTED: Sentence("paid"),
    Mood.REFUSED: Sentence("refused"),
    Mood.UNKNOWN: Sentence("unknown"),
    Mood.BLOCKED: Sentence("stopped"),
}
MARKS: Final[dict[Mood, str]] = {  # beside the word: what a glance tells, without colour
    Mood.IDLE: "·",
    Mood.ASKING: "?",
    Mood.WORKING: "…",
    Mood.ACCEPTED: "√",
    Mood.REFUSED: "×",
    Mood.UNKNOWN: "!",
    Mood.BLOCKED: "#",
}


def looks_of(view: View | None) -> tuple[object, ...] | None:
    """Return what tells a view from another one that looks different: sentences made anew are the same."""
    if view is None:
        return None
    said = (str(view.headline), *map(str, view.lines))
    return (view.mood, *said, view.amount_fen, view.balance_fen, view.online, view.sound)


def width_of(text: str) -> int:
    """Return how many columns a text takes."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def cut(text: str, columns: int) -> str:
    """Return as much of a text as fits, filled up with spaces."""
    taken, used = "", 0
    for character in text:
        wide = width_of(character)
        if used + wide > columns:
            break
        taken, used = taken + character, used + wide
    return taken + " " * (columns - used)


def wrapped(text: str, columns: int) -> list[str]:
    """Return a text in lines that fit, broken between words where there are some."""
    lines, line = [], ""
    for word in _words(text):
        if line and width_of(line + word.rstrip()) > columns:
            lines.append(line.rstrip())
            line = ""
        while width_of(word.rstrip()) > columns:
            head = cut(word, columns).rstrip()
            lines.append(head)
            word = word[len(head) :]  # noqa: PLW2901 - the rest of a word that is longer than the display
        line += word if line else word.lstrip()
    return [*lines, line.rstrip()] if line.strip() else lines


def capital(text: str) -> str:
    """Return a sentence with a capital at its beginning."""
    return text[:1].upper() + text[1:]


class LineDisplay:
    """Lays views out.

    Args:
        columns, rows: of the display; at least 16 and 2.
        say: in the display's language.
    """

    def __init__(self, columns: int, rows: int, say: Say) -> None:
        self._columns = columns
        self._rows = rows
        self._say = say

    def pages(self, view: View) -> list[list[str]]:
        """Return the pages of a view, each of as many lines as the display has; at least one."""
        text = [capital(self._say(sentence)) for sentence in (view.headline, *view.lines)]
        money = self._money(view)
        body = [line for each in text for line in wrapped(each, self._columns)]
        room = self._rows - 1 - len(money[: self._rows - 2])
        shown = money[: self._rows - 2]
        if len(shown) < len(money):  # no line is left for it: it takes its turn
            body += money[len(shown) :]
        top = self._top(view)
        pages = []
        for first in range(0, max(len(body), 1), room):
            part = body[first : first + room]
            part += [""] * (room - len(part))
            pages.append([top, *(cut(line, self._columns) for line in (*part, *shown))])
        return pages

    def page(self, view: View, shown_s: float) -> list[str]:
        """Return what stands on the display when a view has been there for shown_s seconds."""
        pages = self.pages(view)
        return pages[int(shown_s / PAGE_S) % len(pages)]

    def _top(self, view: View) -> str:
        mark = self._say(view.mark)
        word = f"{MARKS[view.mood]} {capital(self._say(MOODS[view.mood]))}"
        left = self._columns - width_of(mark) - 1
        return f"{cut(word, left)} {mark}"

    def _money(self, view: View) -> list[str]:
        lines = []
        for fen, name in ((view.amount_fen, Sentence("amount")), (view.balance_fen, Sentence("balance"))):
            if fen is not None:
                value = f"¥{yuan(fen)}"
                lines.append(cut(self._say(name), self._columns - width_of(value)) + value)
        return lines


def _words(text: str) -> list[str]:
    """Return the pieces between which a line may end; each keeps the spaces behind it."""
    words = [""]
    for character in text:
        wide = width_of(character) == 2
        if words[-1] and (wide or words[-1][-1] == " " or width_of(words[-1][-1]) == 2) and character != " ":
            words.append("")
        words[-1] += character
    return [word for word in words if word]
