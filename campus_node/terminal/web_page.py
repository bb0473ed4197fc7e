"""What the browser's screen says and looks like. Pure: a view in, a page out.

The moment is told three times: by colour, by a sign, by a word; the mark online or OFFLINE has its own place
at the top and nothing covers it.
"""

import html
import json
from importlib.resources import files
from string import Template
from typing import Final

from campus_node.terminal.display import MOODS, Say, capital
from campus_node.terminal.pos.view import OFFLINE, ONLINE, Mood, Sound, View, yuan
from campus_node.wording import Sentence

SIGNS: Final[dict[Mood, str]] = {
    Mood.IDLE: "●",
    Mood.ASKING: "?",
    Mood.WORKING: "…",
    Mood.ACCEPTED: "✓",
    Mood.REFUSED: "✕",
    Mood.UNKNOWN: "!",
    Mood.BLOCKED: "■",
}
KEYS: Final = (
    ("7", "8", "9", "clear"),
    ("4", "5", "6", "cancel"),
    ("1", "2", "3", "+"),
    ("0", ".", "ok"),
)
NAMES: Final[dict[str, Sentence]] = {
    "ok": Sentence("OK"),
    "clear": Sentence("clear"),
    "cancel": Sentence("cancel"),
}


def rendered(view: View | None, say: Say) -> dict[str, object]:
    """Return what a view says in one language, ready to be shown; text, never markup."""
    if view is None:
        view = View(Mood.WORKING, Sentence("starting"))
    return {
        "mood": view.mood.value,
        "sign": SIGNS[view.mood],
        "word": capital(say(MOODS[view.mood])),
        "headline": capital(say(view.headline)),
        "lines": [capital(say(line)) for line in view.lines],
        "amount": "" if view.amount_fen is None else yuan(view.amount_fen),
        "balance": "" if view.balance_fen is None else yuan(view.balance_fen),
        "online": view.online,
        "mark": capital(say(view.mark)),
        "sound": view.sound.value,
    }


def page_of(content: dict[str, object], say: Say, language: str) -> str:
    """Return the page with a view in it. Args: content: as `rendered` gave it, with its number."""
    own = Template(files("campus_node.terminal").joinpath("till.html").read_text(encoding="utf-8"))
    words = {
        "language": "zh-CN" if language == "zh" else "en",
        "other": "en" if language == "zh" else "zh",
        "other_name": "English" if language == "zh" else "中文",
        "title": say(Sentence("Till")),
        "amount_name": capital(say(Sentence("amount"))),
        "balance_name": capital(say(Sentence("balance"))),
        "gone": capital(say(Sentence("this screen has lost its till: do not sell"))),
        "offline": capital(say(OFFLINE)),
        "online": capital(say(ONLINE)),
        "keypad": say(Sentence("keypad")),
    }
    safe = {name: html.escape(text) for name, text in words.items()}
    return own.substitute(
        safe,
        keys=_keypad(say),
        lines="".join(f"<li>{html.escape(str(line))}</li>" for line in _texts(content["lines"])),
        state=json.dumps(content, ensure_ascii=False).replace("<", "\\u003c"),
        sounds=json.dumps({each.value: SOUNDS[each] for each in Sound}),
        **{name: html.escape(str(content[name])) for name in ("mood", "sign", "word", "headline", "amount",
                                                              "balance", "mark")},
        mark_class="online" if content["online"] else "offline",
    )  # fmt: skip


# Tones of each sound: hertz, seconds; the page plays them one after the other.
SOUNDS: Final[dict[Sound, list[tuple[int, float]]]] = {
    Sound.SILENT: [],
    Sound.KEY: [(1200, 0.03)],
    Sound.ACCEPTED: [(880, 0.10), (1320, 0.16)],
    Sound.REFUSED: [(300, 0.18), (0, 0.06), (300, 0.18)],
    Sound.UNKNOWN: [(660, 0.25), (440, 0.25), (660, 0.25), (440, 0.25)],
    Sound.ALARM: [(1600, 0.12), (0, 0.05), (1600, 0.12), (0, 0.05), (1600, 0.12), (0, 0.05), (1600, 0.3)],
}


def _keypad(say: Say) -> str:
    buttons = []
    for row in KEYS:
        for key in row:
            name = capital(say(NAMES[key])) if key in NAMES else key
            kind = f"{'word' if key in NAMES else 'digit'} k-{_class(key)}"
            buttons.append(
                f'<button type="button" data-key="{key}" class="{kind}">{html.escape(name)}</button>'
            )
    return "".join(buttons)


def _class(key: str) -> str:
    return {"+": "plus", ".": "dot"}.get(key, key)


def _texts(lines: object) -> list[object]:
    assert isinstance(lines, list), "rendered gave a list"
    return lines
