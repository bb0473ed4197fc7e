"""Whether new firmware may stay, and when to restart into it: a trial ends in time, one way or the other."""

from pathlib import Path
from typing import Final, NamedTuple

import structlog

from campus_node.firmware.image import Label
from campus_node.terminal.settings import FirmwareSettings
from campus_node.terminal.slots import NotOnTrial, Slots
from campus_node.terminal.station import Running, Station
from federation.errors import CampusCardError

RESTART: Final = 75
NOT_HEALTHY: Final = 76
LOOK_EVERY_S: Final = 0.5
NEVER_S: Final = float("inf")

_log = structlog.get_logger(__name__)


class Verdict(NamedTuple):
    """What is to be done.

    Args:
        exit_code: the process ends with it; None = it goes on.
        due_s: when to ask again.
    """

    exit_code: int | None
    due_s: float


class Trial:
    """Watches one process.

    Args:
        directory: of the slots.
        running: what runs.
        settings: how long things may take.
        now_s: when the process began.
    """

    def __init__(self, directory: Path, running: Running, settings: FirmwareSettings, now_s: float) -> None:
        self._directory = directory
        self._running = running
        self._settings = settings
        self._on_trial = running.on_trial
        self._began_s = now_s
        self._sells_since_s: float | None = None
        self._stored: Label | None = None
        self._told = False
        self._fell_back, self._why, waiting = self._past()
        self._waits = waiting and not running.on_trial

    @property
    def waits(self) -> bool:
        """Whether an image waits for its trial."""
        return self._waits

    def stored(self, label: Label) -> None:
        """Note that an image waits in the other slot."""
        _log.info("firmware.waits", version=label.version)
        self._waits = True

    def begun(self, station: Station) -> None:
        """A station stands; it reports that an older firmware had to run again, if it had."""
        station.fell_back = bool(self._why)

    def step(self, now_s: float, station: Station | None, *, idle: bool) -> Verdict:
        """Judge; see `Verdict`. Args: idle: nobody would notice a restart."""
        if station is not None and self._why and not self._told and station.uplink.connected:
            self._told = station.say_in_log(f"firmware fell back to {self._running.version}: {self._why}")
        if not self._on_trial:
            return Verdict(RESTART, now_s) if self._waits and idle else Verdict(None, NEVER_S)
        if self._is_healthy(now_s, station):
            self._confirm()
            return Verdict(None, now_s)
        if now_s - self._began_s >= self._settings.trial_s:
            _log.error("firmware.not_healthy", version=self._running.version)
            return Verdict(NOT_HEALTHY, now_s)
        return Verdict(None, now_s + LOOK_EVERY_S)

    def _is_healthy(self, now_s: float, station: Station | None) -> bool:
        """Journal and PSAM answer, and the gateway was heard, or it could sell alone for long enough."""
        if station is None or station.till.failed:
            self._sells_since_s = None
            return False
        if station.link.ever_heard:
            return True
        if not station.sells:
            self._sells_since_s = None
            return False
        if self._sells_since_s is None:
            self._sells_since_s = now_s
        return now_s - self._sells_since_s >= self._settings.alone_s

    def _confirm(self) -> None:
        try:
            slots = Slots.open(self._directory)
            try:
                slots.confirm(self._running.slot)
            finally:
                slots.close()
        except NotOnTrial:
            _log.warning("firmware.nothing_to_confirm", slot=self._running.slot)
        except (CampusCardError, OSError) as error:
            _log.warning("firmware.not_confirmed", why=str(error))
            return
        self._on_trial = False
        _log.info("firmware.confirmed", slot=self._running.slot, version=self._running.version)

    def _past(self) -> tuple[int, str, bool]:
        try:
            slots = Slots.open(self._directory)
        except (CampusCardError, OSError) as error:
            _log.warning("firmware.slots_unreadable", why=str(error))
            return 0, "", False
        try:
            state = slots.state
            return state.fell_back, state.why, bool(state.waiting and not state.begun)
        finally:
            slots.close()
