"""The board on both databases, with a clock that is moved by hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from campus_node.database import migrate
from campus_node.database.connect import connect, reading
from campus_node.devices.board import DeviceBoard
from campus_node.devices.health import Health
from campus_node.devices.reports import DeviceReport, Figure
from campus_node.devices.topology import Topology
from campus_node.watch.store import AlarmFilter, find
from campuscard.v1 import gateway_pb2 as pb
from federation.clock import VirtualClock


@dataclass
class Bench:
    """A board, its database and its clock."""

    db: Engine
    clock: VirtualClock
    board: DeviceBoard

    def alarms(self, *, closed: bool | None = False) -> list[tuple[str, str, str]]:
        """Name, subject and severity of the alarms, oldest first."""
        with reading(self.db) as connection:
            found = find(connection, AlarmFilter(closed=closed))
        return [(a.alarm.name, a.alarm.subject, a.alarm.severity.name) for a in reversed(found)]

    def occurrences(self) -> list[int]:
        with reading(self.db) as connection:
            return [each.occurrences for each in find(connection, AlarmFilter(closed=None))]

    def state(self, state: pb.GatewayState, gateway: str = "canteen") -> None:
        self.board.take_state(gateway, state, self.clock.unix_ms())

    def seen(self, gateway: str = "canteen", version: str = "") -> None:
        self.board.gateway_seen(gateway, self.clock.unix_ms(), version)

    def report(self, *reports: DeviceReport, key: str = "doors") -> int:
        return self.board.take_reports(key, reports, self.clock.unix_ms())

    def after(self, seconds: float) -> None:
        self.clock.advance(round(seconds * 1000))
        self.board.look(self.clock.unix_ms())

    def all(self) -> Topology:
        return self.board.all(self.clock.unix_ms())

    def door(self, health: Health = Health.WELL, *, device: str = "east-1", age_s: float = 0) -> DeviceReport:
        at = self.clock.unix_ms() - round(age_s * 1000)
        figures = (Figure("temperature_c", 21_500),)
        return DeviceReport(device, "door-controller", health, at, "", 120, figures, "east gate")


def line(name: str = "can0", health: Health = Health.WELL, kind: str = "can") -> pb.LineState:
    return pb.LineState(line=name, kind=kind, health=int(health), bitrate=250_000)  # type: ignore[arg-type]  # an enum's number


def device(
    address: int, health: Health = Health.WELL, line: str = "can0", terminal: str = ""
) -> pb.DeviceState:
    return pb.DeviceState(
        line=line,
        address=address,
        health=int(health),  # type: ignore[arg-type]  # an enum's number
        terminal_id=bytes.fromhex(terminal),
        heard_at_unix_ms=1_788_220_800_000,
    )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "postgres":
        url = str(request.getfixturevalue("postgres_dsn"))
    else:
        url = f"sqlite:///{tmp_path / 'campus.sqlite'}"
        migrate.upgrade(url)
    engine = connect(url)
    yield engine
    engine.dispose()


@pytest.fixture
def bench(db: Engine) -> Bench:
    clock = VirtualClock()
    return Bench(db, clock, DeviceBoard(db, clock.unix_ms()))
