"""The line display and the keypad on a terminal window: what a till has that is nothing but a serial console.

| key | means |
|---|---|
| 0–9 . + | itself |
| Enter | OK |
| Backspace | clear |
| Esc, c | cancel |

A scanner that types is understood: 16 characters or more in one go, then Enter, are a pay code.
"""

import contextlib
import os
import sys
import termios
import tty
from typing import Any, Final, TextIO

from campus_node.terminal.display import PAGE_S, LineDisplay, looks_of
from campus_node.terminal.pos.settings import Key
from campus_node.terminal.pos.view import Sound, View

READ_BYTES: Final = 512
CODE_CHARS_MIN: Final = 16
NEVER_S: Final = float("inf")
_KEYS: Final = {
    **{key.value: key for key in Key if len(key.value) == 1},
    "\r": Key.OK,
    "\n": Key.OK,
    "\x7f": Key.CLEAR,
    "\x08": Key.CLEAR,
    "\x1b": Key.CANCEL,
    "c": Key.CANCEL,
}
_LOUD: Final = frozenset({Sound.REFUSED, Sound.UNKNOWN, Sound.ALARM})

Typed = Key | bytes  # a key, or a code that was scanned


def typed_in(chunk: str) -> list[Typed]:
    """Return what a piece of input means; what means nothing is left out."""
    stripped = chunk.rstrip("\r\n")
    if len(stripped) >= CODE_CHARS_MIN and stripped.isprintable() and stripped != chunk:
        return [stripped.encode()[:64]]
    if len(chunk) > 1 and chunk.startswith("\x1b"):
        return []  # an arrow, or another key of a large keyboard
    return [_KEYS[character] for character in chunk if character in _KEYS]


class TtyView:
    """A line display on a terminal window, or lines of text where the output is none.

    Args:
        display: lays views out.
        out: where to.
        descriptor: where keys come from; None = nowhere.
    """

    def __init__(self, display: LineDisplay, out: TextIO, descriptor: int | None) -> None:
        self._display = display
        self._out = out
        self._is_tty = out.isatty()
        self._shown: list[str] = []
        self._view: View | None = None
        self._since_s = 0.0
        self._before: list[Any] | None = None  # as termios has it
        self.descriptor = descriptor
        if descriptor is not None and os.isatty(descriptor):
            self._before = termios.tcgetattr(descriptor)
            tty.setcbreak(descriptor)
        if self._is_tty:
            self._out.write("\x1b[2J\x1b[?25l")

    def show(self, view: View, now_s: float) -> float:
        """Show a view; return when to be called again though nothing has changed."""
        if looks_of(view) != looks_of(self._view):
            if self._is_tty and view.sound in _LOUD:
                self._out.write("\a")
            self._view, self._since_s = view, now_s
        pages = len(self._display.pages(view))
        page = self._display.page(view, now_s - self._since_s)
        if page != self._shown:
            self._shown = page
            self._write(page)
        if pages == 1:
            return NEVER_S
        return self._since_s + (int((now_s - self._since_s) / PAGE_S) + 1) * PAGE_S

    def typed(self) -> list[Typed]:
        """Return what was typed; the descriptor can be read now. It is None once nobody can type any more."""
        assert self.descriptor is not None, "somebody types"
        chunk = os.read(self.descriptor, READ_BYTES)
        if not chunk:
            self.descriptor = None
        return typed_in(chunk.decode(errors="replace"))

    def close(self) -> None:
        """Give the window back. May be called twice."""
        if self._before is not None and self.descriptor is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._before)
            self._before = None
        if self._is_tty:
            with contextlib.suppress(OSError, ValueError):
                self._out.write("\x1b[?25h\n")
                self._out.flush()

    def _write(self, page: list[str]) -> None:
        try:
            if self._is_tty:
                self._out.write("\x1b[H" + "".join(f"{line}\x1b[K\r\n" for line in page) + "\x1b[J")
            else:
                self._out.write("".join(f"| {line}\n" for line in page) + "\n")
            self._out.flush()
        except (OSError, ValueError):
            return  # nobody looks any more: that must not stop a sale


def standard_view(display: LineDisplay) -> TtyView:
    """Return a view on this process's own input and output."""
    descriptor = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    return TtyView(display, sys.stdout, descriptor)
