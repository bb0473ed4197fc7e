"""How the lines of a gateway are and what hangs on them, as data for the node (A12, B5.2). Pure.

All of it when the stream begins, then what changed. When a device was last heard changes all the time and is
told with the rest only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from campus_node.gateway.alarms import MEANINGS, Alarms
from campus_node.lines.events import Event, What
from campus_node.lines.line import Peer
from campus_node.watch.alarms import Severity
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire

SILENT_AFTER_MS: Final = 180_000  # three reports
MOVES_REMEMBERED_S: Final = 600.0
NO_NODE: Final = 255
_QUARANTINED: Final = {What.BABBLING, What.STALLING, What.BROKEN, What.FORGING}


@dataclass(slots=True)
class _Line:
    state: pb.LineState
    previous: dict[int, tuple[bytes, float]] = field(default_factory=dict)  # by address: who was there before


class Board:
    """Lines and devices.

    Args:
        alarms: what people ought to know.
    """

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._lines: dict[str, _Line] = {}
        self._devices: dict[tuple[str, int], pb.DeviceState] = {}
        self._places: dict[bytes, tuple[str, int]] = {}
        self._left: dict[bytes, tuple[tuple[str, int], float]] = {}
        self._told: dict[tuple[str, int], bytes] = {}

    def line_is(self, name: str, kind: str, bitrate: int, failure: str = "") -> None:
        """Note that a line was opened, or why it was not."""
        health = pb.HEALTH_FAILED if failure else pb.HEALTH_WELL
        state = pb.LineState(line=name, kind=kind, bitrate=bitrate, health=health, reason=failure)
        known = self._lines.setdefault(name, _Line(state))
        known.state.CopyFrom(state)

    def counted(self, name: str, received: int, broken: int, forged: int) -> None:
        """Note what a line's desk counted."""
        state = self._lines[name].state
        state.received, state.broken, state.forged = received, broken, forged

    def heard(self, name: str, heard_unix_ms: Mapping[Peer, int], now_unix_ms: int) -> None:
        """Note when each address was last heard; who proved to be there and is silent for long, is so."""
        for peer, at_unix_ms in heard_unix_ms.items():
            device = self._devices.get((name, peer))
            if device is not None:
                device.heard_at_unix_ms = at_unix_ms
        for (line, _), device in self._devices.items():
            if line != name or not device.terminal_id:
                continue
            silent = now_unix_ms - device.heard_at_unix_ms > SILENT_AFTER_MS
            if silent and device.health == pb.HEALTH_WELL:
                device.health, device.reason = pb.HEALTH_SILENT, "nothing was heard of it for three minutes"
            elif not silent and device.health == pb.HEALTH_SILENT:
                device.health, device.reason = pb.HEALTH_WELL, ""

    def began(self, name: str, address: int, terminal_id: bytes, now_s: float, now_unix_ms: int) -> None:
        """Note that a terminal proved to be at a place, and find out who is in two, or two in one."""
        place = name, address
        device = self._device(name, address)
        evidence = {"terminal": terminal_id.hex().upper(), "line": name, "address": address}
        self._find_conflict(name, address, device.terminal_id, terminal_id, now_s)
        before = self._places.get(terminal_id)
        if before is not None and before != place:
            left = self._left.get(terminal_id)
            if left is not None and left[0] == place and now_s - left[1] < MOVES_REMEMBERED_S:
                elsewhere = f"{before[0]}/{before[1]}"
                self._tell("terminal.duplicate", Severity.CRITICAL, terminal_id.hex().upper(),
                           {**evidence, "elsewhere": elsewhere}, now_s)  # fmt: skip
            self._left[terminal_id] = before, now_s
            old = self._devices.get(before)
            if old is not None and old.terminal_id == terminal_id:
                del self._devices[before]
        self._places[terminal_id] = place
        device.terminal_id, device.heard_at_unix_ms = terminal_id, now_unix_ms
        if device.health in {pb.HEALTH_UNSPECIFIED, pb.HEALTH_SILENT}:
            device.health, device.reason = pb.HEALTH_WELL, ""

    def happened(self, name: str, events: Iterable[Event], now_s: float) -> None:
        """Take what a line has to tell."""
        for event in events:
            meaning = MEANINGS[event.what]
            of_line = event.address in {0, NO_NODE}
            subject = name if of_line else f"{name}/{event.address}"
            if of_line:
                self._line_is_now(name, meaning.health, event)
            else:
                self._device_is_now(name, event.address, meaning.health, event)
            if meaning.alarm:
                evidence: dict[str, object] = {
                    "line": name,
                    "address": event.address,
                    "detail": event.detail,
                    "hint": event.hint,
                    "what": str(event.what),
                }
                device = self._devices.get((name, event.address))
                if device is not None and device.terminal_id:
                    evidence["terminal"] = device.terminal_id.hex().upper()
                if event.what in _QUARANTINED:
                    evidence["quarantined"] = True
                self._tell(meaning.alarm, meaning.severity, subject, evidence, now_s)

    def stranger(self, name: str, address: int, terminal_id: bytes, why: str, now_s: float) -> None:
        """Note that somebody asked for a session without having a key that we know."""
        evidence = {"line": name, "address": address, "claims": terminal_id.hex().upper(), "why": why}
        self._tell("terminal.stranger", Severity.WARNING, f"{name}/{address}", evidence, now_s)

    def forged(self, name: str, count: int, now_s: float) -> None:
        """Note that envelopes of a line had a wrong tag."""
        self._tell("line.forged", Severity.SERIOUS, name, {"line": name, "envelopes": count}, now_s)

    def reported(self, terminal_id: bytes, report: wire.TerminalReport, behind: bool) -> None:
        """Note what a terminal says of itself."""
        place = self._places.get(terminal_id)
        if place is None:
            return
        device = self._device(*place)
        device.report.CopyFrom(report)
        if device.health not in {pb.HEALTH_ISOLATED, pb.HEALTH_FAILED}:
            unwell = report.health_code != 0 or not report.selling
            device.health = pb.HEALTH_DEGRADED if unwell or behind else pb.HEALTH_WELL
            device.reason = (
                f"it reports health code {report.health_code}" if report.health_code
                else "it does not sell" if not report.selling
                else "its hotlist is older than the node's" if behind
                else ""
            )  # fmt: skip

    def isolated(self, terminal_id: bytes, isolated: bool) -> None:
        """Note that a person keeps a terminal off its line, or lets it on again."""
        place = self._places.get(terminal_id)
        if place is not None:
            device = self._device(*place)
            device.health = pb.HEALTH_ISOLATED if isolated else pb.HEALTH_WELL
            device.reason = "kept off its line by a person" if isolated else ""

    def line(self, name: str) -> pb.LineState:
        """Return how a line is; a copy."""
        state = pb.LineState(line=name)
        if name in self._lines:
            state.CopyFrom(self._lines[name].state)
        return state

    def devices(self) -> list[pb.DeviceState]:
        """Return all devices; any thread may read what it gets."""
        return list(self._devices.values())

    def complete(self) -> pb.GatewayState:
        """Return all there is."""
        self._told.clear()
        state = self.changes()
        state.complete = True
        return state

    def changes(self) -> pb.GatewayState:
        """Return what is not as it was told last; without lines and devices if nothing is."""
        state = pb.GatewayState()
        for name, line in self._lines.items():
            if self._is_news((name, -1), line.state):
                state.lines.append(line.state)
        for (name, address), device in self._devices.items():
            still = pb.DeviceState()
            still.CopyFrom(device)
            still.ClearField("heard_at_unix_ms")
            still.report.ClearField("clock_unix_ms")
            if self._is_news((name, address), still):
                state.devices.append(device)
        return state

    def _is_news(self, key: tuple[str, int], still: pb.LineState | pb.DeviceState) -> bool:
        content = still.SerializeToString(deterministic=True)
        if self._told.get(key) == content:
            return False
        self._told[key] = content
        return True

    def _device(self, name: str, address: int) -> pb.DeviceState:
        place = name, address
        if place not in self._devices:
            self._devices[place] = pb.DeviceState(line=name, address=address)
        return self._devices[place]

    def _find_conflict(self, name: str, address: int, before: bytes, now: bytes, now_s: float) -> None:
        """Once is an exchange; back and forth are two devices under one address."""
        if not before or before == now:
            return
        previous = self._lines[name].previous
        earlier = previous.get(address)
        previous[address] = before, now_s
        if earlier is not None and earlier[0] == now and now_s - earlier[1] < MOVES_REMEMBERED_S:
            evidence = {
                "line": name,
                "address": address,
                "terminals": [before.hex().upper(), now.hex().upper()],
                "hint": False,
            }
            self._tell("line.address_conflict", Severity.SERIOUS, f"{name}/{address}", evidence, now_s)

    def _line_is_now(self, name: str, health: pb.Health.ValueType | None, event: Event) -> None:
        state = self._lines[name].state
        if health is None and event.what in {What.BUS_BACK, What.CLEAR}:
            state.health, state.reason = pb.HEALTH_WELL, ""
        elif health is not None:
            state.health, state.reason = health, str(event.what)

    def _device_is_now(
        self, name: str, address: int, health: pb.Health.ValueType | None, event: Event
    ) -> None:
        if (name, address) not in self._devices and event.hint:
            return  # a hint puts nobody on the map
        device = self._device(name, address)
        device.health = pb.HEALTH_WELL if health is None else health
        device.reason = "" if health is None else str(event.what)

    def _tell(
        self, name: str, severity: Severity, subject: str, evidence: Mapping[str, object], now_s: float
    ) -> None:
        self._alarms.tell(name, severity, subject, evidence, now_s)
