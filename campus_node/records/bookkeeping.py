"""The thread that turns records into books for as long as the node lives; see `Bookkeeper`."""

import threading
from collections.abc import Callable
from typing import Final

import sqlalchemy
import structlog

from campus_node.database.connect import reading, writing
from campus_node.records import grey
from campus_node.records.alarming import CLONED, masked
from campus_node.records.bookkeeper import Bookkeeper
from campus_node.records.deciding import carry_through
from campus_node.registry.cards import CardFlag, flagged
from campus_node.watch.alarms import Alarm, Severity
from campus_node.watch.store import raise_alarm
from federation.clock import Clock
from federation.errors import CampusCardError, LeaseLost, Stopping

POLL_S: Final = 1.0
GATHER_S: Final = 0.05
RETRY_S: Final = 2.0
LOOK_AROUND_S: Final = 60.0
OVERDUE_MAX: Final = 1_000  # told at once
_DAY_MS: Final = 24 * 3_600_000

_log = structlog.get_logger(__name__)


class Bookkeeping:
    """Works whenever records have come in, and looks around now and then.

    Args:
        bookkeeper: does the work.
        db: where it lies.
        clock: of everything.
        begun_after_s: how long the end of a movement is waited for before it counts as grey.
        grey_days: after so many days people must decide a grey one (rules of the field, 17).
        on_frozen: is told once more at the start what was frozen: a crash may have come between.
    """

    def __init__(
        self,
        bookkeeper: Bookkeeper,
        db: sqlalchemy.Engine,
        clock: Clock,
        *,
        begun_after_s: float,
        grey_days: int,
        on_frozen: Callable[[bytes], None],
    ) -> None:
        self._bookkeeper = bookkeeper
        self._db = db
        self._clock = clock
        self._begun_after_ms = round(begun_after_s * 1000)
        self._grey_ms = grey_days * _DAY_MS
        self._on_frozen = on_frozen
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bookkeeper", daemon=True)

    def start(self) -> None:
        """Begin; what a crash left over comes first."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    def stop(self, timeout_s: float) -> None:
        """End after what is under way; what is left over is done after the next start."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def look_around(self, *, after_start: bool = False) -> None:
        """Do what nothing that comes in leads to.

        Args:
            after_start: see `Bookkeeper.look_again`.

        Raises:
            Unavailable: repeat.
        """
        self._bookkeeper.look_again(after_start=after_start)
        self._bookkeeper.end_begun(self._begun_after_ms)
        carry_through(self._db, self._clock, self._bookkeeper.time)
        before_unix_ms = self._clock.unix_ms() - self._grey_ms
        with reading(self._db) as connection:
            overdue = grey.listed(connection, OVERDUE_MAX, before_unix_ms=before_unix_ms)
        if not overdue:
            return
        with writing(self._db) as connection:
            for each in overdue:
                evidence = {"journal": each.opened[0].hex().upper(), "seq": each.opened[1]}
                key = f"purse.grey_overdue:{evidence['journal']}:{each.opened[1]}"
                alarm = Alarm("purse.grey_overdue", Severity.WARNING, masked(each.asn), evidence, key)
                raise_alarm(connection, alarm, self._clock.unix_ms())

    def _run(self) -> None:
        self._list_frozen()
        looked_s, after_start = float("-inf"), True
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                while not self._stopping.is_set() and self._bookkeeper.step().assessed:
                    self._stopping.wait(GATHER_S)  # what comes meanwhile shares the next commit
                if self._clock.monotonic_s() - looked_s >= LOOK_AROUND_S and not self._stopping.is_set():
                    self.look_around(after_start=after_start)
                    after_start = False
                    looked_s = self._clock.monotonic_s()
                self._woken.wait(POLL_S)
            except (LeaseLost, Stopping):
                return
            except CampusCardError as error:
                _log.warning("records.wait", why=str(error))
                self._stopping.wait(RETRY_S)
            except Exception:  # a mistake of ours: records stay where they are, and it is tried again
                _log.exception("records.bookkeeper_failed")
                self._stopping.wait(RETRY_S)

    def _list_frozen(self) -> None:
        try:
            with reading(self._db) as connection:
                frozen = flagged(connection, CardFlag.FROZEN, CLONED)
            for asn in frozen:
                self._on_frozen(asn)
        except CampusCardError as error:
            _log.warning("records.frozen_not_listed", why=str(error))
