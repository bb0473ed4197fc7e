"""How much of the air's time messages get; in air time, so that the figures are the same on any machine."""

import pytest

from campus_node.lines.line import HEAD, Peer
from campus_node.lines.thin.cells import HEAD_BYTES, PART_BYTES, Cell, Kind, cut, encode, received
from hil_rig.virtual.radio_air import SLOT_S, SLOTS, Misfortune
from tests.lines.thin.air_time import AirTime

ONE = Peer(1)
RECORD_BYTES = 96 + 17 + 8  # a record in its envelope, with what protobuf adds


def _limit_s(air: AirTime, message_bytes: int) -> float:
    """What a message and its answer take at least: their cells, each behind half of all slots on average."""
    cells = [*cut(Kind.PART, False, 1, bytes(message_bytes)), received(False, 1, message_bytes, range(99))]
    return sum(air.air.air_s(encode(cell)) + (SLOTS + 1) / 2 * SLOT_S for cell in cells)


@pytest.mark.parametrize(("message_bytes", "share"), [(RECORD_BYTES, 0.9), (1000, 0.9), (4095, 0.9)])
def test_one_terminal_gets_nearly_all_that_the_framing_allows(message_bytes: int, share: float) -> None:
    air = AirTime(1)
    count = max(3, 60 * RECORD_BYTES // message_bytes)
    for _ in range(count):
        air.tills[ONE].send(HEAD, bytes(message_bytes))
    arrived = 0
    while arrived < count:
        air.run(0.01)
        while air.head.receive(0):
            arrived += 1
        assert air.air.now_s < 60
    assert count * _limit_s(air, message_bytes) / air.air.now_s >= share


def test_ten_terminals_share_the_air_without_losing_more_than_a_quarter_of_it() -> None:
    air = AirTime(10)
    for till in air.tills.values():
        for _ in range(20):
            till.send(HEAD, bytes(RECORD_BYTES))
    arrived = 0
    while arrived < 200:
        air.run(0.1)
        while air.head.receive(0):
            arrived += 1
        assert air.air.now_s < 120
    assert 200 * _limit_s(air, RECORD_BYTES) / air.air.now_s >= 0.75


def test_one_cell_in_ten_lost_costs_less_than_half_of_the_speed() -> None:
    air = AirTime(1, seed=4, misfortune=Misfortune(lose=0.1))
    for _ in range(10):
        air.tills[ONE].send(HEAD, bytes(4000))
    arrived = 0
    while arrived < 10:
        air.run(0.1)
        while air.head.receive(0):
            arrived += 1
        assert air.air.now_s < 120
    assert 10 * _limit_s(air, 4000) / air.air.now_s >= 0.6


def test_a_cell_has_no_more_than_nine_bytes_of_its_own() -> None:
    cell = encode(Cell(Kind.PART, False, 1, 0, PART_BYTES, bytes(PART_BYTES)))
    assert len(cell) - PART_BYTES == HEAD_BYTES + 2 == 9
