"""Keys of devices that report: shown once, good for some kinds, audited, revoked (B5.2)."""

import hashlib

import pytest
from sqlalchemy import select

from campus_node.database.connect import reading
from campus_node.devices.desk import Allowance, ReportDesk
from campus_node.devices.keys import KNOWN_FOR_S, KeyRing, all_keys, create_key, revoke_key
from campus_node.devices.tables import device_keys
from campus_node.operators.audit import Actor, auditing, entries
from federation.clock import VirtualClock
from federation.errors import NotFound, NotIdentified, NotPermitted, Overloaded, Refused
from tests.devices.conftest import Bench

ALICE = Actor("alice", "test")


def create(bench: Bench, name: str = "doors", *kinds: str, reads: bool = False) -> str:
    with auditing(bench.db, bench.clock) as change:
        return create_key(change, ALICE, name, kinds, reads=reads, why="new gates")


def revoke(bench: Bench, name: str = "doors") -> None:
    with auditing(bench.db, bench.clock) as change:
        revoke_key(change, ALICE, name, "gates sold")


@pytest.fixture
def ring(bench: Bench) -> KeyRing:
    return KeyRing(bench.db, bench.clock)


def test_a_key_is_recognised_and_only_its_hash_is_kept(bench: Bench, ring: KeyRing) -> None:
    shown = create(bench, "doors", "door-controller", "turnstile")
    key = ring.recognise(f"Bearer {shown}")
    assert (key.key, key.kinds, key.reads) == ("doors", ("door-controller", "turnstile"), False)
    secret = shown.partition(".")[2]
    with reading(bench.db) as connection:
        kept = connection.execute(select(device_keys)).one()
    assert bytes(kept.secret_hash) == hashlib.sha256(secret.encode()).digest()
    assert secret not in str(tuple(kept))
    assert secret not in str(entries(bench.db)), "the trail must not hold it either"


@pytest.mark.parametrize(
    "shown",
    ["", "Bearer", "Bearer ", "Basic {key}", "{key}", "Bearer {key}x", "Bearer {key} {key}",
     "Bearer cck_doors.", "Bearer cck_other.{secret}", "Bearer \x00",
     "Bearer cck_doors.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"],
)  # fmt: skip
def test_anything_else_is_not_recognised(bench: Bench, ring: KeyRing, shown: str) -> None:
    key = create(bench, "doors", "door-controller")
    create(bench, "other", "meter")
    with pytest.raises(NotIdentified):
        ring.recognise(shown.format(key=key, secret=key.partition(".")[2]))
    assert ring.recognise(f"bearer  {key} ").key == "doors", "schemes have no case (RFC 9110, 11.1)"


def test_a_revoked_key_is_refused_soon_and_its_name_stays_taken(bench: Bench, ring: KeyRing) -> None:
    shown = create(bench, "doors", "door-controller")
    ring.recognise(f"Bearer {shown}")
    revoke(bench)
    bench.clock.advance(round(KNOWN_FOR_S * 1000))
    with pytest.raises(NotIdentified):
        ring.recognise(f"Bearer {shown}")
    with pytest.raises(Refused, match="there is, or was, a key doors"):
        create(bench, "doors", "door-controller")
    with pytest.raises(Refused, match="revoked before"):
        revoke(bench)
    with pytest.raises(NotFound):
        revoke(bench, "nobody")


def test_making_and_revoking_leave_their_trail(bench: Bench) -> None:
    create(bench, "doors", "door-controller")
    revoke(bench)
    trail = entries(bench.db, subject="doors")
    assert [(each.action, each.operator, each.why) for each in trail] == [
        ("device.key.revoke", "alice", "gates sold"),
        ("device.key.create", "alice", "new gates"),
    ]
    with reading(bench.db) as connection:
        assert [key.revoked_at_unix_ms for key in all_keys(connection)] == [bench.clock.unix_ms()]


@pytest.mark.parametrize(
    ("name", "kinds", "why"),
    [
        ("Doors", ["meter"], "is no name"),
        ("doors", ["Meter!"], "is no name"),
        ("doors", [], "good for nothing"),
        ("doors", [f"kind-{n}" for n in range(33)], "at most 32 kinds"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(bench: Bench, name: str, kinds: list[str], why: str) -> None:
    with pytest.raises(Refused, match=why):
        create(bench, name, *kinds)
    assert entries(bench.db) == []


def test_a_key_reports_its_kinds_only_and_reads_only_if_it_may(bench: Bench, ring: KeyRing) -> None:
    desk = ReportDesk(bench.board, ring, bench.clock, calls_per_s=100)
    meters = desk.admit(f"Bearer {create(bench, 'meters', 'meter')}")
    with pytest.raises(NotPermitted, match='may not report "door-controller": it is good for: meter'):
        desk.report(meters, [bench.door()])
    with pytest.raises(NotPermitted, match="may not read"):
        desk.read(meters)
    assert bench.all().reported == []
    bench.clock.advance(round(KNOWN_FOR_S * 1000))
    wall = desk.admit(f"Bearer {create(bench, 'wall', reads=True)}")
    assert desk.read(wall).gateways == []
    with pytest.raises(NotPermitted, match="it is good for: -"):
        desk.report(wall, [bench.door()])


def test_a_key_that_calls_too_often_is_told_when_to_come_back_and_others_are_not_touched() -> None:
    clock = VirtualClock()
    allowance = Allowance(2.0, clock)
    for _ in range(10):
        allowance.spend("hasty")
    with pytest.raises(Overloaded) as raised:
        allowance.spend("hasty")
    assert raised.value.retry_after_ms == 500
    allowance.spend("patient")
    clock.advance(500)
    allowance.spend("hasty")
    with pytest.raises(Overloaded):
        allowance.spend("hasty")
