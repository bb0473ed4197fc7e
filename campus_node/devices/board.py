"""The board of all devices: what gateways tell of their lines, and devices of others of themselves."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, delete

from campus_node.database.connect import reading, writing
from campus_node.devices import store
from campus_node.devices.alarming import close_all
from campus_node.devices.gateway_rows import (
    GatewayRow,
    find_gateway,
    hear_gateway,
    heard_gateways,
    put_gateway,
    silence_gateway,
)
from campus_node.devices.health import Health, Part
from campus_node.devices.reports import DeviceReport, require_reports
from campus_node.devices.tables import gateway_states, reported_devices
from campus_node.devices.topology import ReportedNow, Topology
from campus_node.devices.wire import COUNT_MAX, LINES_MAX, Line, devices_of, lines_of
from campus_node.wording import Sentence
from federation.errors import NotFound, Refused

if TYPE_CHECKING:
    from campuscard.v1.gateway_pb2 import GatewayState

SEEN_WRITTEN_MS: Final = 10_000  # that a gateway was heard again is written at most so often
IDLE_WRITTEN_MS: Final = 30_000  # the same of one that is attached and has nothing to say
DEVICES_PER_KEY_MAX: Final = 4_096


class DeviceBoard:
    """Keeps the state of everything that hangs on a gateway or reports by itself.

    Everything may be repeated. It raises StoreDown or OutcomeUnknown while the database is away. Safe to call
    from several threads.

    Args:
        db: where it stands.
        started_at_unix_ms: when this node began to listen; silence is counted from there.
        silent_after_s: a gateway that was away for so long is silent. One that is attached is there, whether
            it has something to say or not: keepalive ends the stream of a dead one.
    """

    def __init__(self, db: Engine, started_at_unix_ms: int, silent_after_s: float = 60.0) -> None:
        self._db = db
        self._started_at_unix_ms = started_at_unix_ms
        self._silent_after_ms = round(silent_after_s * 1000)
        self._seen: dict[str, int] = {}  # later than what is written, by at most SEEN_WRITTEN_MS
        self._written: dict[str, int] = {}
        self._attached: set[str] = set()  # to this process
        self._lock = threading.Lock()
        self._reading = threading.Lock()  # readers take turns: they leave connections for everybody else

    # Gateways

    def gateway_seen(self, gateway: str, now_unix_ms: int, version: str = "") -> None:
        """Take that a gateway is there: at its hello, and with every message; most cost nothing.

        Args:
            gateway: its name, from its certificate.
            version: of its software, where known.
        """
        with self._lock:
            self._attached.add(gateway)
            self._seen[gateway] = now_unix_ms
            written = self._written.get(gateway)
            if not version and written is not None and now_unix_ms - written < SEEN_WRITTEN_MS:
                return
            with writing(self._db) as connection:
                hear_gateway(connection, gateway, now_unix_ms, version=version[:100])
            self._written[gateway] = now_unix_ms

    def gateway_gone(self, gateway: str, now_unix_ms: int) -> None:
        """Take that a gateway's stream ended. It counts as silent only after a while."""
        with self._lock:
            self._attached.discard(gateway)
            self._seen[gateway] = now_unix_ms
            self._written.pop(gateway, None)  # its return is written at once
            with writing(self._db) as connection:
                before = find_gateway(connection, gateway)
                if before is not None:
                    put_gateway(connection, replace(before, attached=False, seen_at_unix_ms=now_unix_ms))

    def take_state(self, gateway: str, state: "GatewayState", now_unix_ms: int) -> None:
        """Take what a gateway tells of its lines and devices; what it does not name stays as it was.

        Raises:
            Unreadable: a line's name, an address or a terminal's number is none; nothing was taken.
            Refused: more lines than a gateway can have; nothing was taken.
        """
        lines, devices = lines_of(state), devices_of(state)
        with self._lock, writing(self._db) as connection:
            before = store.health_before(connection, gateway)
            for name in {line for line, _ in devices} - before.lines.keys() - lines.keys():
                lines[name] = Line(name, "", Health.UNSPECIFIED, "", 0, 0, 0, 0)
            if state.complete:
                before = store.remove_missing(
                    connection, gateway, before, lines.keys(), devices.keys(), now_unix_ms
                )
            if len(before.lines.keys() | lines.keys()) > LINES_MAX:
                raise Refused(f"gateway {gateway} tells of more than {LINES_MAX} lines")
            store.put_lines(connection, gateway, lines, before, now_unix_ms)
            lines_now = before.lines | {name: line.health for name, line in lines.items()}
            store.put_devices(connection, gateway, devices, before, lines_now, now_unix_ms)
            spool = min(state.spool_waiting, COUNT_MAX), min(state.spool_size, COUNT_MAX)
            hear_gateway(connection, gateway, now_unix_ms, spool=spool)
            self._attached.add(gateway)
            self._seen[gateway] = now_unix_ms

    # Devices of others

    def take_reports(self, key: str, reports: Sequence[DeviceReport], now_unix_ms: int) -> int:
        """Take how devices of others are; return how many reports were newer than what was known.

        Args:
            key: name of the key that they came under.
            reports: of several on one device, the newest counts.

        Raises:
            Unreadable: one of them cannot be taken; then none is.
            Refused: this key has named too many devices; none was taken.
        """
        require_reports(reports, now_unix_ms)
        with self._lock, writing(self._db) as connection:
            known = store.reported(connection, [(report.kind, report.device) for report in reports])
            newer = [
                report
                for place, report in _newest(reports).items()
                if place not in known or report.at_unix_ms > known[place].report.at_unix_ms
            ]
            new = sum((report.kind, report.device) not in known for report in newer)
            if new and store.count_of_key(connection, key) + new > DEVICES_PER_KEY_MAX:
                raise Refused(
                    Sentence("a key reports at most {most} devices: use another", most=DEVICES_PER_KEY_MAX)
                )
            for report in newer:
                before = known.get((report.kind, report.device))
                store.put_report(connection, key, report, before, now_unix_ms)
        return len(newer)

    # Time passes, and people look

    def look(self, now_unix_ms: int) -> None:
        """Find who has become silent. Call it every few seconds."""
        for name in sorted(self._attached):
            if now_unix_ms - self._written.get(name, 0) >= IDLE_WRITTEN_MS:
                self._still_there(name, now_unix_ms)
        with reading(self._db) as connection:
            anybody = self._silent(connection, now_unix_ms) or self._late(connection, now_unix_ms)
        if not anybody:
            return
        with self._lock, writing(self._db) as connection:  # again: somebody may have spoken meanwhile
            for gateway in self._silent(connection, now_unix_ms):
                silence_gateway(connection, gateway, now_unix_ms)
                self._written.pop(gateway.gateway, None)
            for device in self._late(connection, now_unix_ms):
                store.mark_late(connection, device, now_unix_ms)

    def all(self, now_unix_ms: int) -> Topology:
        """Return everything, as a tree."""
        with self._reading, reading(self._db) as connection:
            reported = store.reported(connection)
            return Topology(now_unix_ms, store.gateways(connection), list(reported.values()))

    def _still_there(self, gateway: str, now_unix_ms: int) -> None:
        with self._lock:
            if gateway in self._attached:
                with writing(self._db) as connection:
                    hear_gateway(connection, gateway, now_unix_ms)
                self._written[gateway] = now_unix_ms

    def _silent(self, connection: Connection, now_unix_ms: int) -> list[GatewayRow]:
        return [
            gateway
            for gateway in heard_gateways(connection)
            if gateway.gateway not in self._attached
            and now_unix_ms
            - max(gateway.seen_at_unix_ms, self._seen.get(gateway.gateway, 0), self._started_at_unix_ms)
            > self._silent_after_ms
        ]

    def _late(self, connection: Connection, now_unix_ms: int) -> list[ReportedNow]:
        return [
            device
            for device in store.reported(connection).values()
            if not device.late
            and device.report.silent_after_s
            and now_unix_ms - max(device.received_at_unix_ms, self._started_at_unix_ms)
            > device.report.silent_after_s * 1000
        ]


def forget(connection: Connection, subject: str, now_unix_ms: int) -> None:
    """Take a gateway, or a device of others, off the board, and close its alarms: it was removed for good.

    Args:
        subject: `<gateway>`, or `<kind>/<device>`.

    Raises:
        NotFound: nothing of that name is known.
    """
    kind, _, device = subject.partition("/")
    if device:
        its_row = (reported_devices.c.kind == kind) & (reported_devices.c.device == device)
        gone = connection.execute(delete(reported_devices).where(its_row))
        close_all(connection, Part.DEVICE, subject, now_unix_ms)
    else:
        before = store.health_before(connection, subject)
        store.remove_missing(connection, subject, before, (), (), now_unix_ms)
        gone = connection.execute(delete(gateway_states).where(gateway_states.c.gateway == subject))
        close_all(connection, Part.GATEWAY, subject, now_unix_ms)
    if gone.rowcount == 0:
        raise NotFound(Sentence("nothing is known of {subject}", subject=subject))


def _newest(reports: Sequence[DeviceReport]) -> dict[tuple[str, str], DeviceReport]:
    newest: dict[tuple[str, str], DeviceReport] = {}
    for report in reports:
        other = newest.get((report.kind, report.device))
        if other is None or report.at_unix_ms > other.at_unix_ms:
            newest[report.kind, report.device] = report
    return newest
