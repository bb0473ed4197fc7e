"""Whatever befalls cells: messages arrive whole, in order, once, or not at all and their sender is told."""

import random

import pytest

from campus_node.lines.crc16 import crc16
from campus_node.lines.errors import LineDown, PeerGone
from campus_node.lines.events import What
from campus_node.lines.line import ALL, HEAD, Peer
from campus_node.lines.thin.cells import Cell, Kind, encode, parse
from campus_node.lines.thin.line import QUEUED_MAX, RECEIVED_MAX
from campus_node.lines.thin.radio import Heard
from campus_node.lines.thin.transfer import ATTEMPTS, FORGOTTEN_AFTER_S
from hil_rig.virtual.radio_air import Misfortune
from tests.lines.thin.air_time import AirTime

ONE, TWO = Peer(1), Peer(2)
FAULTS = {
    "lost": Misfortune(lose=0.2),
    "corrupted": Misfortune(corrupt=0.2),
    "duplicated": Misfortune(duplicate=0.5),
    "delayed": Misfortune(delay=0.4, delay_s_max=1.0),
    "all": Misfortune(lose=0.1, corrupt=0.1, duplicate=0.2, delay=0.2),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_messages_of_all_lengths_survive_it_in_order_and_once(fault: str, seed: int) -> None:
    air = AirTime(3, seed, FAULTS[fault])
    rng = random.Random(f"faults {fault} {seed}")
    sent = {
        address: [
            bytes((address, n)) + rng.randbytes(rng.choice([1, 60, 89, 90, 300, 1200])) for n in range(15)
        ]
        for address in air.tills
    }
    for address, messages in sent.items():
        for message in messages:
            air.tills[address].send(HEAD, message)
            air.head.send(address, message)
    air.run(300)
    up = [received for _ in range(45) if (received := air.head.receive(0))]
    for address, messages in sent.items():
        assert [received.message for received in up if received.peer == address] == messages
        down = [received.message for _ in range(15) if (received := air.tills[address].receive(0))]
        assert down == messages
    assert air.head.receive(0) is None
    counted = _counted(air)
    assert counted[fault] > 20 if fault != "all" else min(counted.values()) > 20, "planned and never fired"


def _counted(air: AirTime) -> dict[str, int]:
    fired = air.air.fired
    return {
        "lost": fired.lost,
        "corrupted": fired.corrupted,
        "duplicated": fired.duplicated,
        "delayed": fired.delayed,
    }


def test_only_what_lacks_is_sent_again() -> None:
    air = AirTime(1)
    heard = 0
    hit = {3, 7, 8}

    def lose(source: Peer, _target: Peer, _cell: bytes) -> None:
        nonlocal heard
        if source == ONE:
            air.air.misfortune = Misfortune(lose=1.0 if heard in hit else 0.0)
            heard += 1

    air.air.tap = lose
    air.tills[ONE].send(HEAD, bytes(20 * 91))
    air.run(10)
    assert air.head.receive(0) == (ONE, bytes(20 * 91))
    assert air.air.fired.lost == 3
    assert heard == 20 + 3


def test_an_unplugged_terminal_is_told_of_and_comes_back_in_the_middle_of_a_message() -> None:
    air = AirTime(2)
    air.head.send(ONE, bytes(3000))
    air.run(0.5)
    air.radios[ONE].plugged = False
    air.run(5)
    air.radios[ONE].plugged = True
    air.run(20)
    assert air.tills[ONE].receive(0) == (HEAD, bytes(3000))
    assert air.head.events() == []


def test_a_terminal_that_stays_away_is_named_and_the_others_go_on() -> None:
    air = AirTime(2)
    air.radios[ONE].plugged = False
    air.head.send(ONE, b"lost")
    air.head.send(ONE, b"lost too")
    air.head.send(TWO, b"not lost")
    air.run(30)
    told = [(event.what, event.address) for event in air.head.events()]
    assert told == [(What.PEER_SILENT, ONE)]
    assert air.head.given_up_count == 2
    with pytest.raises(PeerGone):
        air.head.send(ONE, b"gone")
    assert air.tills[TWO].receive(0) == (HEAD, b"not lost")
    air.radios[ONE].plugged = True
    air.tills[ONE].send(HEAD, b"here again")
    air.run(1)
    air.head.send(ONE, b"welcome")
    air.run(1)
    assert air.tills[ONE].receive(0) == (HEAD, b"welcome")


def test_a_dead_peer_costs_no_more_than_its_attempts() -> None:
    air = AirTime(1)
    air.radios[ONE].plugged = False
    air.head.send(ONE, b"anybody there")
    air.run(60)
    assert air.air.fired.sent == ATTEMPTS


@pytest.mark.parametrize("seed", range(5))
def test_a_terminal_that_starts_anew_is_understood(seed: int) -> None:
    air = AirTime(1, seed)
    for life in range(1, 12):
        air.tills[ONE].send(HEAD, bytes((life,)) * 500)
        air.run(0.15)  # in the middle of a message
        till = air.start(ONE, life)
        air.run(0.5)
        till.send(HEAD, bytes((life,)) * 100)
        air.run(FORGOTTEN_AFTER_S + 6)  # the longest: its first number looks like one of before
        got = []
        while received := air.head.receive(0):
            got.append(received.message)
        assert got[-1:] == [bytes((life,)) * 100]


def test_urgent_messages_overtake_long_ones() -> None:
    air = AirTime(1)
    air.tills[ONE].send(HEAD, bytes(4095))
    air.run(0.3)
    air.tills[ONE].send(HEAD, b"urgent", urgent=True)
    air.run(0.3)
    assert air.head.receive(0) == (ONE, b"urgent")
    air.run(5)
    assert air.head.receive(0) == (ONE, bytes(4095))


def test_no_terminal_starves() -> None:
    air = AirTime(10)
    for till in air.tills.values():
        for number in range(QUEUED_MAX):
            till.send(HEAD, bytes((number,)) * 100)
    air.run(40)
    counts = dict.fromkeys(air.tills, 0)
    while received := air.head.receive(0):
        counts[received.peer] += 1
    assert sum(counts.values()) < 10 * QUEUED_MAX, "they are still at it"
    assert min(counts.values()) * 2 >= max(counts.values())


def test_a_notice_reaches_all_through_bad_air_and_once() -> None:
    air = AirTime(20, seed=5, misfortune=Misfortune(lose=0.05))
    air.head.send(ALL, bytes(150), urgent=True)
    air.run(5)
    assert air.air.fired.lost > 0
    assert [till.receive(0) for till in air.tills.values()] == [(HEAD, bytes(150))] * 20
    assert [till.receive(0) for till in air.tills.values()] == [None] * 20
    assert air.head.receive(0) is None


def test_only_the_head_speaks_to_all() -> None:
    air = AirTime(2)
    air.radios[ONE].send(encode(Cell(Kind.NOTICE, True, 1, 0, 3, b"hey")), ALL)
    air.run(1)
    assert air.tills[TWO].receive(0) is None
    assert air.head.receive(0) is None


def test_a_broken_radio_is_told_and_taken_back() -> None:
    air = AirTime(1)
    air.radios[HEAD].working = False
    air.run(1)
    with pytest.raises(LineDown):
        air.head.send(ONE, b"x")
    air.radios[HEAD].working = True
    air.run(5)
    assert [event.what for event in air.head.events()] == [What.PORT_DOWN, What.BUS_BACK]
    air.head.send(ONE, b"it works")
    air.run(1)
    assert air.tills[ONE].receive(0) == (HEAD, b"it works")


def test_who_sends_what_nobody_sends_is_named_and_held() -> None:
    air = AirTime(2)
    content = bytes.fromhex("08 0001 0000 0003 616263")  # a bit that nobody sets, under a right checksum
    while not air.head.suspects.held(ONE):
        assert air.air.now_s < 10
        air.radios[ONE].send(content + crc16(content), HEAD)
        air.run(0.015)
    assert [(event.what, event.address) for event in air.head.events()] == [(What.BROKEN, ONE)]
    with pytest.raises(PeerGone):
        air.head.send(ONE, b"x")
    air.tills[TWO].send(HEAD, b"the others go on")
    air.run(1)
    assert air.head.receive(0) == (TWO, b"the others go on")
    air.run(20)
    assert [(event.what, event.address) for event in air.head.events()] == [(What.RELEASED, ONE)]


def test_forged_messages_that_the_gateway_reports_hold_their_sender() -> None:
    air = AirTime(1)
    air.head.report_forged(ONE, times=21)
    assert air.head.suspects.held(ONE)
    assert [(event.what, event.address) for event in air.head.events()] == [(What.FORGING, ONE)]


def test_who_nobody_reads_for_is_not_answered_and_loses_nothing() -> None:
    air = AirTime(1)
    sent = 0
    for _ in range(60):
        for _ in range(QUEUED_MAX // 2):
            air.tills[ONE].send(HEAD, sent.to_bytes(2))
            sent += 1
        air.run(1)
        if sent >= RECEIVED_MAX:
            break
    air.run(1)
    got = []
    for _ in range(30):
        while received := air.head.receive(0):
            got.append(received.message)
        air.run(1)
    assert got == [n.to_bytes(2) for n in range(sent)]


def test_garbage_moves_nothing_and_ends_nothing(seed: int) -> None:
    air = AirTime(2, seed)
    rng = random.Random(f"garbage {seed}")
    for _ in range(3000):
        junk = rng.randbytes(rng.randrange(1, 101))
        if rng.random() < 0.5:  # what looks like a transfer, or a right checksum around nonsense
            kind, urgent = Kind(rng.randrange(3)), rng.random() < 0.5
            junk = encode(Cell(kind, urgent, rng.randrange(4), rng.choice([0, 91]), 182, rng.randbytes(91)))
            if rng.random() < 0.5:
                content = bytes((rng.randrange(256),)) + junk[1 : rng.randrange(7, 90)]
                junk = content + crc16(content)
        for radio in air.radios.values():
            radio.hear(Heard(Peer(rng.randrange(256)), junk))
        air.run(0.02)
    air.run(FORGOTTEN_AFTER_S + 30)
    for line in air.lines:
        while line.receive(0):
            pass
    air.tills[ONE].send(HEAD, b"honest")
    air.head.send(TWO, b"honest")
    air.run(2)
    assert air.head.receive(0) == (ONE, b"honest")
    assert air.tills[TWO].receive(0) == (HEAD, b"honest")


def test_the_cells_on_the_air_are_those_of_the_wire_document() -> None:
    air = AirTime(1)
    seen: list[Cell] = []
    air.air.tap = lambda _source, _target, cell: seen.append(parse(cell))
    air.tills[ONE].send(HEAD, b"abc")
    air.run(1)
    number = seen[0].message
    assert seen == [Cell(Kind.PART, False, number, 0, 3, b"abc"), Cell(Kind.RECEIVED, False, number, 3, 3)]
