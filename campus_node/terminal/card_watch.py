"""A thread that waits for cards: it tells the till's loop that one was laid down, and that it is gone.

The channel to a card belongs to the loop from the moment it is told until the loop has heard that the card is
gone and says so; only then the next card is waited for.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from campus_node.purse.channel import CardChannel, Reader
from campus_node.purse.errors import ReaderLost
from federation.errors import CampusCardError

WAIT_S: Final = 0.5  # how long one look at the reader takes: a stop is heard that soon
LOST_WAIT_S_MAX: Final = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CardLaid:
    """A card lies on the reader."""

    channel: CardChannel


@dataclass(frozen=True, slots=True)
class CardGone:
    """The reader is empty; call `CardWatch.next` when the channel is used no more."""


@dataclass(frozen=True, slots=True)
class ReaderState:
    """Whether the reader works."""

    works: bool


Told = CardLaid | CardGone | ReaderState


class CardWatch:
    """Watches one reader until closed.

    Args:
        open_reader: makes the reader, on the thread that uses it.
        tell: called on the watching thread.
    """

    def __init__(self, open_reader: Callable[[], Reader], tell: Callable[[Told], None]) -> None:
        self._open_reader = open_reader
        self._tell = tell
        self._ending = threading.Event()
        self._free = threading.Event()
        self._works: bool | None = None
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._thread.start()

    def next(self) -> None:
        """The loop uses the last card's channel no more: wait for the next card."""
        self._free.set()

    def close(self) -> None:
        """Stop watching. May be called twice."""
        self._ending.set()
        self._free.set()
        self._thread.join()

    def _run(self) -> None:
        wait_s = WAIT_S
        while not self._ending.is_set():
            try:
                reader = self._open_reader()
                self._watch(reader)
            except CampusCardError as error:
                if self._works is not False:
                    _log.warning("reader.lost", why=str(error))
                wait_s = WAIT_S if self._works else min(wait_s * 2, LOST_WAIT_S_MAX)
                self._is(works=False)
            self._ending.wait(wait_s)

    def _watch(self, reader: Reader) -> None:
        while not self._ending.is_set():
            channel = reader.wait_for_card(WAIT_S)
            self._is(works=True)
            if channel is None:
                continue
            self._free.clear()
            self._tell(CardLaid(channel))
            try:
                while not self._ending.is_set() and not reader.wait_for_removal(WAIT_S):
                    pass
            except ReaderLost:
                self._is(works=False)
                raise
            finally:
                self._tell(CardGone())
                self._free.wait()

    def _is(self, *, works: bool) -> None:
        if works != self._works:
            self._works = works
            self._tell(ReaderState(works))
