"""Takes alarms from threads that must not wait, and writes them to the table of alarms from its own."""

import threading
from collections import deque
from collections.abc import Mapping
from typing import Final

import sqlalchemy
import structlog

from campus_node.database.connect import writing
from campus_node.watch.alarms import Alarm, Severity
from campus_node.watch.store import raise_alarm
from federation.clock import Clock
from federation.errors import Unavailable

WAITING_MAX: Final = 1_000  # beyond it the oldest is only in the log
RETRY_S: Final = 2.0

_log = structlog.get_logger(__name__)


class AlarmRecorder:
    """Records alarms for as long as the node lives.

    Args:
        db: where alarms are kept.
        clock: wall time.
    """

    def __init__(self, db: sqlalchemy.Engine, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._waiting: deque[tuple[Alarm, int]] = deque(maxlen=WAITING_MAX)
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarm-recorder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Write what waits, at most for so long, and end."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(timeout_s)

    def record(self, name: str, severity: str, subject: str, evidence: Mapping[str, object]) -> None:
        """Log an alarm now, and keep it as soon as the database takes it; never waits."""
        alarm = Alarm(name, Severity[severity.upper()], subject, evidence)
        log = _log.error if alarm.severity >= Severity.SERIOUS else _log.warning
        log("alarm", name=name, severity=severity, subject=subject, evidence=dict(evidence))
        self._waiting.append((alarm, self._clock.unix_ms()))
        self._woken.set()

    def _run(self) -> None:
        while not (self._stopping.is_set() and not self._waiting):
            self._woken.wait()
            self._woken.clear()
            try:
                self._write_all()
            except Unavailable as error:
                _log.warning("alarms.wait_for_database", waiting=len(self._waiting), why=str(error))
                if self._stopping.wait(RETRY_S):
                    return
                self._woken.set()

    def _write_all(self) -> None:
        while self._waiting:
            alarm, raised_at_unix_ms = self._waiting[0]
            with writing(self._db) as connection:
                raise_alarm(connection, alarm, raised_at_unix_ms)
            self._waiting.popleft()
