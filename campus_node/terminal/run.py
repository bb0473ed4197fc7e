"""One terminal process: a loop that waits for cards, keys, the line and time, and shows what the till says.

It starts even where something is missing, says so on its screen, and tries again. A kill at any instant loses
nothing: what was sold stands in the journal before the card was told to pay.
"""

import os
import select
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

import structlog

from campus_node.firmware.image import Label
from campus_node.purse.channel import CardChannel, Reader
from campus_node.spending.parameter_versions import Version
from campus_node.terminal.card_watch import CardGone, CardLaid, CardWatch, ReaderState
from campus_node.terminal.directory import TerminalDirectory
from campus_node.terminal.display import LineDisplay, Say
from campus_node.terminal.health import Trial
from campus_node.terminal.journal import JournalUnwritable
from campus_node.terminal.mailbox import Mailbox
from campus_node.terminal.pos.settings import Key
from campus_node.terminal.pos.stage import Stage
from campus_node.terminal.pos.view import Mood, View
from campus_node.terminal.screens import NoScreen, Screen, Shown, notices_on
from campus_node.terminal.settings import Settings
from campus_node.terminal.station import Event, OpenReader, Running, Station
from campus_node.terminal.status import status_of
from campus_node.terminal.tty_view import standard_view
from campus_node.wording import Sentence
from federation.clock import Clock, SystemClock
from federation.errors import CampusCardError, Misconfigured
from federation.hotlist import Hotlist

STOPPED: Final = 0
RESTART: Final = 75  # into the firmware that was stored
NOT_HEALTHY: Final = 76  # on trial, and the time is over
TRY_AGAIN_S: Final = 1.0
TRY_AGAIN_S_MAX: Final = 15.0
LAST_WORDS_S: Final = 10.0
STATUS_EVERY_S: Final = 5.0
WAIT_S_MAX: Final = 30.0

_log = structlog.get_logger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody wants it to end."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A key, or a code that was scanned."""

    what: Key | bytes


Item = Event | CardLaid | CardGone | ReaderState | Stop | Typed


def run(
    directory: Path,
    running: Running,
    open_reader: OpenReader,
    say: Mapping[str, Say],
    *,
    lifeline: int | None = None,
    clock: Clock | None = None,
) -> int:
    """Run a terminal until it is told to stop (SIGTERM, SIGINT, or the lifeline's other end is closed).

    Args:
        directory: of the terminal.
        running: its firmware; version 0 = that of the settings.
        open_reader: opens a reader by its name, on the thread that uses it.
        say: what says a sentence, by language: zh, en.
        lifeline: a descriptor whose other end whoever started this process holds.

    Returns:
        STOPPED, RESTART or NOT_HEALTHY.

    Raises:
        Misconfigured: the settings are wrong; says what to change.
    """
    place = TerminalDirectory(directory)
    settings = place.settings()
    if not running.version:
        running = replace(running, version=settings.firmware.version)
    with ExitStack() as closing:
        terminal = TerminalProcess(
            place, settings, running, open_reader, say, clock or SystemClock(), closing
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: terminal.tell(Stop()))
        return terminal.run(lifeline)


class TerminalProcess:
    """See `run`. Args: closing: gets what must be closed in the end."""

    def __init__(
        self,
        place: TerminalDirectory,
        settings: Settings,
        running: Running,
        open_reader: OpenReader,
        say: Mapping[str, Say],
        clock: Clock,
        closing: ExitStack,
    ) -> None:
        self._place = place
        self._settings = settings
        self._running = running
        self._open_reader = open_reader
        self._clock = clock
        self._closing = closing
        self._mailbox: Mailbox[Item] = Mailbox()
        closing.callback(self._mailbox.close)
        self._station: Station | None = None
        self._why: Sentence | None = None  # there is no station
        self._try_at_s, self._try_wait_s = -1.0, TRY_AGAIN_S
        self._last_words: View | None = None
        self._last_words_s = 0.0
        self._starts = self._said(place.count_start) or 0
        self._card: CardChannel | None = None
        self._served = False  # a till has seen the card that lies there
        self._reader_works = True
        self._exit: int | None = None
        self._idle_since_s = clock.monotonic_s()
        self._trial = Trial(place.firmware_path, running, settings.firmware, clock.monotonic_s())
        self._status: Mapping[str, object] = {}
        self._status_due_s = -1.0
        self._screen = self._make_screen(say)
        closing.callback(self._screen.close)
        self._watch: CardWatch | None = None

    def tell(self, item: Item) -> None:
        """Let the loop know of something; any thread, and signals."""
        self._mailbox.put(item)

    @property
    def sells(self) -> bool:
        """Whether any card at all may pay here now."""
        return self._station is not None and self._station.sells

    def run(self, lifeline: int | None) -> int:
        """Loop until somebody wants it to end; return the exit code."""
        self._watch = CardWatch(self._reader, self.tell)
        self._closing.callback(self._place.remove_ports)
        self._closing.callback(self._close_station)
        self._closing.callback(self._watch.close)
        self._said(lambda: self._place.write_ports(self._screen.port))
        _log.info(
            "terminal.ready",
            terminal=self._settings.terminal.name,
            slot=self._running.slot,
            version=self._running.version,
            view_port=self._screen.port,
        )
        while self._exit is None:
            now_s = self._clock.monotonic_s()
            for item in self._mailbox.take():
                self._act(item, now_s)
            due_s = self._step(now_s)
            due_s = min(due_s, self._screen.show(self._shown(), now_s))
            due_s = min(due_s, self._look_at_itself(now_s))
            if self._exit is None:
                self._wait(due_s, lifeline)
        _log.info("terminal.stopped", code=self._exit)
        last = {**self._status, "state": "stopped"}
        self._said(lambda: self._place.write_status(last))
        return self._exit

    # What happens.

    def _act(self, item: Item, now_s: float) -> None:
        station = self._station
        match item:
            case Stop():
                self._exit = STOPPED
            case CardLaid(channel):
                self._card, self._served, self._idle_since_s = channel, station is not None, now_s
                if station is not None:
                    self._screen.show(replace(self._shown(), mood=Mood.WORKING), now_s)
                    station.till.card(channel, now_s)
            case CardGone():
                self._card_gone(now_s)
            case ReaderState(works):
                self._reader_works = works
            case Typed(what):
                self._idle_since_s = now_s
                if station is not None and isinstance(what, Key):
                    station.till.press(what, now_s)
                elif station is not None and isinstance(what, bytes):
                    station.till.code(what, now_s)
            case Hotlist() | Version():
                if station is not None:
                    station.in_force(item)
            case Label():
                self._trial.stored(item)

    def _card_gone(self, now_s: float) -> None:
        if self._station is not None:
            self._station.till.card_gone(now_s)
        if self._card is not None:
            self._card.close()
            self._card = None
        self._idle_since_s = now_s
        if self._watch is not None:
            self._watch.next()

    def _step(self, now_s: float) -> float:
        if self._station is None:
            self._try_to_begin(now_s)
        if self._station is None:
            return self._try_at_s
        try:
            due_s = self._station.step(now_s)
        except JournalUnwritable as error:
            self._begin_anew(error, now_s)
            return self._try_at_s
        if self._station.till.failed:
            self._begin_anew(JournalUnwritable(Sentence("the till stopped")), now_s)
            return self._try_at_s
        return due_s

    def _try_to_begin(self, now_s: float) -> None:
        if now_s < self._try_at_s:
            return
        try:
            station = Station(
                self._settings,
                self._place.path,
                self._running,
                self._open_reader,
                self._clock,
                self._mailbox,
            )
        except (CampusCardError, OSError) as error:
            self._why = _sentence_of(error)
            _log.warning("terminal.cannot_begin", why=str(error), again_in_s=self._try_wait_s)
            self._try_at_s = now_s + self._try_wait_s
            self._try_wait_s = min(self._try_wait_s * 2, TRY_AGAIN_S_MAX)
            return
        self._trial.begun(station)
        station.starts = self._starts
        self._station, self._why, self._try_wait_s = station, None, TRY_AGAIN_S
        _log.info(
            "terminal.begun", terminal_id=station.terminal_id.hex(), journal_last=station.journal.last_seq
        )
        if self._card is not None and not self._served:  # one that was served is not charged again
            self._served = True
            station.till.card(self._card, now_s)

    def _begin_anew(self, error: CampusCardError, now_s: float) -> None:
        """The journal failed: nothing is known of its last write until it is opened again."""
        _log.error("terminal.journal_failed", why=str(error))
        assert self._station is not None, "it failed just now"
        self._why = _sentence_of(error)
        view = self._station.till.view
        if view.mood is Mood.UNKNOWN:  # somebody waits for it, and the card may have paid
            self._last_words, self._last_words_s = view, now_s + LAST_WORDS_S
        self._close_station()
        self._try_at_s = now_s + TRY_AGAIN_S

    def _close_station(self) -> None:
        station, self._station = self._station, None
        if station is not None:
            station.close()

    # What is seen of it.

    def _shown(self) -> View:
        station = self._station
        if self._last_words is not None and self._clock.monotonic_s() < self._last_words_s:
            return replace(self._last_words, online=False)
        if station is None:
            why = self._why or Sentence("starting")
            return View(Mood.BLOCKED if self._why else Mood.WORKING, Sentence("out of service"), (why,))
        view = station.till.view
        if station.till.stage is not Stage.READY:
            return view
        return notices_on(
            view,
            reader_works=self._reader_works,
            unadmitted=station.link.unadmitted,
            number=station.terminal_id.hex().upper(),
            clock_valid=station.clock.valid,
        )

    def _look_at_itself(self, now_s: float) -> float:
        station = self._station
        idle = station is None or (
            station.till.stage is Stage.READY
            and self._card is None
            and now_s - self._idle_since_s >= self._settings.firmware.idle_s
        )
        verdict = self._trial.step(now_s, station, idle=idle)
        if verdict.exit_code is not None:
            self._exit = verdict.exit_code
        due_s = verdict.due_s
        if idle is False and self._trial.waits:
            due_s = min(due_s, self._idle_since_s + self._settings.firmware.idle_s)
        status = status_of(self._settings, self._running, self._screen.port, station, self._shown())
        if status != self._status or now_s >= self._status_due_s:
            self._status, self._status_due_s = status, now_s + STATUS_EVERY_S
            now = {**status, "at_unix_ms": self._clock.unix_ms()}
            self._said(lambda: self._place.write_status(now))
        return min(due_s, self._status_due_s)

    def _said(self, say: Callable[[], Result]) -> Result | None:
        """Write what only others read: a disk that is full or worn out must not stop a till that can sell."""
        try:
            return say()
        except (OSError, Misconfigured) as error:
            _log.warning("terminal.cannot_say", why=str(error))
            return None

    def _make_screen(self, say: Mapping[str, Say]) -> Screen:
        view = self._settings.view
        if view.kind == "browser":
            from campus_node.terminal.web_view import WebView  # noqa: PLC0415 - most tills have none

            return WebView(view, say, lambda what: self.tell(Typed(what)), self._clock)
        if view.kind == "line":
            return Shown(standard_view(LineDisplay(view.columns, view.rows, say[view.language])))
        return NoScreen()

    # Waiting.

    def _wait(self, due_s: float, lifeline: int | None) -> None:
        poll = select.poll()
        poll.register(self._mailbox.descriptor, select.POLLIN)
        if lifeline is not None:
            poll.register(lifeline, select.POLLIN)
        keys = self._screen.descriptor
        if keys is not None:
            poll.register(keys, select.POLLIN)
        wait_s = min(max(due_s - self._clock.monotonic_s(), 0.0), WAIT_S_MAX)
        for descriptor, _ in poll.poll(wait_s * 1000 + 0.5):
            if descriptor == lifeline and not os.read(descriptor, 1):
                self.tell(Stop())
            elif descriptor == keys:
                for what in self._screen.typed():
                    self.tell(Typed(what))

    def _reader(self) -> Reader:
        return self._open_reader(self._settings.reader.name, "card")


def _sentence_of(error: Exception) -> Sentence:
    first = error.args[0] if error.args else None
    return first if isinstance(first, Sentence) else Sentence("{cause}", cause=error)
