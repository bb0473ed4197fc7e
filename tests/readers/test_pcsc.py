"""What only the PC/SC service has: other programs, other readers' names, answers that its driver has cut."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from campus_node.purse.errors import CardLeft, ReaderLost
from campus_node.purse.pcsc import PcscReader
from hil_rig.virtual.vpcd import VpcdSlot
from tests.readers.devices import COUNT, Counter

pytestmark = pytest.mark.pcsc
SOON_S = 10.0
LOOKS_WHOLE = bytes.fromhex("00CA9000000000")  # echoed: its first four bytes are data and a success


@pytest.fixture
def reader(card_slot: VpcdSlot) -> Iterator[PcscReader]:
    with closing(PcscReader(card_slot.name)) as made:
        yield made


def test_a_card_that_another_program_holds_is_waited_for_and_then_refused_by_name(
    reader: PcscReader, card_slot: VpcdSlot
) -> None:
    card_slot.insert(Counter())
    with closing(PcscReader(card_slot.name)) as other:
        held = other.wait_for_card(SOON_S)
        assert held is not None
        with pytest.raises(ReaderLost, match="another program holds the card"):
            reader.wait_for_card(0.1)
        assert held.transmit(COUNT) == b"\0\0\0\1\x90\0", "it was not disturbed"
        held.close()
        channel = reader.wait_for_card(SOON_S)
        assert channel is not None
        assert channel.transmit(COUNT) == b"\0\0\0\2\x90\0"


def test_a_reader_that_nobody_knows_is_lost_by_name(reader: PcscReader) -> None:
    stranger = PcscReader("No Such Reader 00 00")
    for ask in (stranger.wait_for_card, stranger.wait_for_removal):
        with pytest.raises(ReaderLost, match="No Such Reader 00 00: the reader is not there"):
            ask(0)
    assert not stranger.wait_for_reader(0)


def test_an_answer_cut_where_its_bytes_look_like_a_success_is_short_and_the_next_command_tells(
    reader: PcscReader, card_slot: VpcdSlot
) -> None:
    card_slot.insert(Counter())
    channel = reader.wait_for_card(SOON_S)
    assert channel is not None
    card_slot.tear_in_answer(4)
    assert channel.transmit(LOOKS_WHOLE) == LOOKS_WHOLE[:4], "the driver hands it on; its length is wrong"
    with pytest.raises(CardLeft):
        channel.transmit(COUNT)
