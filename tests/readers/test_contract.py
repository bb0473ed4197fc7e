"""What a reader promises, whichever it is: the same suite in this process and over pcscd and vpcd."""

import random
import threading
from contextlib import suppress

import pytest

from campus_node.purse.channel import CardChannel
from campus_node.purse.errors import CardLeft, ReaderLost
from tests.readers.conftest import Stand
from tests.readers.devices import ARM, ARMED, COUNT, LOSE_POWER, REFUSE, Counter

SOON_S = 10.0  # more than any reader needs to notice something


def card_on(stand: Stand, device: Counter) -> CardChannel:
    """Lay the card there and return a channel to it."""
    stand.hand.insert(device)
    channel = stand.reader.wait_for_card(SOON_S)
    assert channel is not None
    return channel


def back_again(stand: Stand, device: Counter) -> CardChannel:
    """Wait until the reader has seen that the card left, lay it there again, and return a channel to it."""
    assert stand.reader.wait_for_removal(SOON_S)
    return card_on(stand, device)


def test_an_empty_reader_has_no_card_and_says_so(stand: Stand) -> None:
    assert stand.reader.wait_for_card(0) is None
    assert stand.reader.wait_for_card(0.05) is None
    assert stand.reader.wait_for_removal(0)


def test_a_card_that_comes_while_somebody_waits_is_found(stand: Stand) -> None:
    device = Counter()
    somebody = threading.Timer(0.1, stand.hand.insert, [device])
    somebody.start()
    channel = stand.reader.wait_for_card(SOON_S)
    somebody.join()
    assert channel is not None
    assert channel.transmit(COUNT) == b"\0\0\0\1\x90\0"


def test_a_channel_names_its_reader_and_carries_bytes_unchanged(stand: Stand, seed: int) -> None:
    channel = card_on(stand, Counter())
    assert channel.reader == stand.reader.name
    rng = random.Random(seed)
    for size in [5, 6, 255, 260, 261, *(rng.randint(5, 261) for _ in range(100))]:
        command = b"\x00\xc0" + rng.randbytes(size - 2)
        assert channel.transmit(command) == command + b"\x90\x00"


def test_a_refusal_is_an_answer_like_any_other(stand: Stand) -> None:
    channel = card_on(stand, Counter())
    assert channel.transmit(REFUSE) == b"\x69\x85"
    assert channel.transmit(COUNT) == b"\0\0\0\1\x90\0"


def test_a_new_channel_leads_to_a_card_that_was_just_reset(stand: Stand) -> None:
    channel = card_on(stand, Counter())
    channel.transmit(ARM)
    assert channel.transmit(ARMED) == b"\1\x90\0"
    channel = stand.reader.wait_for_card(SOON_S)
    assert channel is not None
    assert channel.transmit(ARMED) == b"\0\x90\0"


@pytest.mark.parametrize("how", ["power_on", "reset"])
def test_both_resets_return_the_answer_to_reset_and_take_what_is_volatile(stand: Stand, how: str) -> None:
    device = Counter(7)
    channel = card_on(stand, device)
    channel.transmit(ARM)
    resets = device.resets
    assert getattr(channel, how)() == device.atr
    assert device.resets > resets
    assert channel.transmit(ARMED) == b"\0\x90\0"


def test_a_card_loses_its_power_when_the_channel_is_closed(stand: Stand) -> None:
    device = Counter()
    channel = card_on(stand, device)
    channel.transmit(ARM)
    channel.close()
    channel.close()
    with pytest.raises(CardLeft):
        channel.transmit(ARMED)
    channel = stand.reader.wait_for_card(SOON_S)
    assert channel is not None
    assert channel.transmit(ARMED) == b"\0\x90\0"


def test_a_second_channel_takes_the_card_from_the_first(stand: Stand) -> None:
    first = card_on(stand, Counter())
    second = stand.reader.wait_for_card(SOON_S)
    assert second is not None
    with pytest.raises(CardLeft):
        first.transmit(COUNT)
    assert second.transmit(COUNT) == b"\0\0\0\1\x90\0"


def test_a_removal_that_the_reader_has_not_noticed_yet(stand: Stand) -> None:
    channel = card_on(stand, Counter())
    stand.hand.remove()
    for _ in range(2):
        with pytest.raises(CardLeft):
            channel.transmit(COUNT)


def test_a_removal_that_the_reader_has_noticed(stand: Stand) -> None:
    channel = card_on(stand, Counter())
    assert not stand.reader.wait_for_removal(0)
    stand.hand.remove()
    assert stand.reader.wait_for_removal(SOON_S)
    for _ in range(2):
        with pytest.raises(CardLeft):
            channel.transmit(COUNT)
    with pytest.raises(CardLeft):
        channel.power_on()


def test_a_card_torn_before_the_command_has_not_done_it(stand: Stand) -> None:
    device = Counter()
    channel = card_on(stand, device)
    stand.hand.tear_before_command(2)
    channel.transmit(COUNT)
    with pytest.raises(CardLeft):
        channel.transmit(COUNT)
    assert device.count == 1
    assert not device.powered
    assert back_again(stand, device).transmit(COUNT) == b"\0\0\0\2\x90\0"


def test_a_card_torn_after_the_command_has_done_it(stand: Stand) -> None:
    device = Counter()
    channel = card_on(stand, device)
    stand.hand.tear_after_command()
    with pytest.raises(CardLeft):
        channel.transmit(COUNT)
    assert device.count == 1
    assert not device.powered
    assert back_again(stand, device).transmit(COUNT) == b"\0\0\0\2\x90\0"


def test_an_answer_that_was_cut_short_never_counts(stand: Stand) -> None:
    device = Counter()
    channel = card_on(stand, device)
    whole = channel.transmit(COUNT)
    for sent_bytes in range(len(whole)):
        stand.hand.tear_in_answer(sent_bytes)
        with pytest.raises(CardLeft):
            channel.transmit(COUNT)
        assert device.count == sent_bytes + 2, "it was done, and nobody knows"
        channel = back_again(stand, device)


def test_an_answer_that_came_whole_counts_even_if_the_card_then_leaves(stand: Stand) -> None:
    device = Counter()
    channel = card_on(stand, device)
    stand.hand.tear_in_answer(6)
    assert channel.transmit(COUNT) == b"\0\0\0\1\x90\0"
    with pytest.raises(CardLeft):
        channel.transmit(COUNT)
    assert device.count == 1
    stand.hand.tears.demand_fired()


def test_power_lost_inside_the_card_is_a_card_that_left(stand: Stand) -> None:
    device = Counter()
    channel = card_on(stand, device)
    with pytest.raises(CardLeft):
        channel.transmit(LOSE_POWER)
    assert device.count == 1
    assert back_again(stand, device).transmit(COUNT) == b"\0\0\0\2\x90\0"


def test_a_channel_that_has_lost_its_card_does_not_find_it_by_itself(stand: Stand) -> None:
    device = Counter()
    lost = card_on(stand, device)
    stand.hand.tear_after_command()
    with pytest.raises(CardLeft):
        lost.transmit(COUNT)
    stand.hand.insert(device)  # at once: faster than a reader looks
    assert stand.hand.wait_until_found(SOON_S)
    with pytest.raises(CardLeft):
        lost.transmit(COUNT)
    assert device.count == 1
    assert stand.reader.wait_for_card(SOON_S) is not None
    with pytest.raises(CardLeft):
        lost.transmit(COUNT)
    assert device.count == 1


@pytest.mark.parametrize("last_act", ["close", "power_on", "reset"])
def test_what_is_done_to_a_channel_whose_card_just_left_does_not_hide_the_next_card(
    stand: Stand, last_act: str
) -> None:
    channel = card_on(stand, Counter(1))
    stand.hand.remove()
    with suppress(CardLeft):
        getattr(channel, last_act)()
    stand.hand.insert(Counter(2))  # before the reader looks
    after = stand.reader.wait_for_card(SOON_S)
    assert after is not None
    assert after.power_on()[-1] == 2


def test_a_card_that_was_powered_on_at_once_and_left_at_once_is_seen_to_leave(stand: Stand) -> None:
    device = Counter()
    channel = card_on(stand, device)
    stand.hand.remove()
    with pytest.raises(CardLeft):
        channel.transmit(COUNT)
    assert stand.reader.wait_for_removal(SOON_S)
    stand.hand.insert(device)
    with suppress(CardLeft):  # not found yet, or found at once: either is right
        channel.power_on()
    stand.hand.remove()
    assert stand.reader.wait_for_removal(SOON_S)
    assert stand.reader.wait_for_card(0) is None


def test_power_on_leads_a_lost_channel_to_whatever_lies_there_now(stand: Stand) -> None:
    channel = card_on(stand, Counter(1))
    stand.hand.remove()
    with pytest.raises(CardLeft):
        channel.transmit(COUNT)
    assert stand.reader.wait_for_removal(SOON_S)
    other = Counter(2)
    again = card_on(stand, other)
    again.close()
    assert channel.power_on() == other.atr
    assert channel.transmit(COUNT) == b"\0\0\0\1\x90\0"


def test_power_on_finds_a_card_that_is_back_at_once(stand: Stand) -> None:
    device = Counter(3)
    channel = card_on(stand, device)
    for turn in range(1, 4):
        stand.hand.tear_after_command()
        with pytest.raises(CardLeft):
            channel.transmit(COUNT)
        stand.hand.insert(device)
        assert channel.power_on() == device.atr
        assert channel.transmit(COUNT) == (2 * turn).to_bytes(4) + b"\x90\0"


def test_cards_exchanged_faster_than_a_reader_looks_differ_in_nothing_but_themselves(stand: Stand) -> None:
    first, second = Counter(1), Counter(2)
    channel = card_on(stand, first)
    channel.transmit(ARM)
    stand.hand.swap(second)
    assert channel.transmit(ARMED) == b"\0\x90\0", "the other card, just reset"
    assert channel.transmit(COUNT) == b"\0\0\0\1\x90\0"
    assert (first.count, second.count) == (0, 1)
    assert channel.power_on() == second.atr


def test_a_reader_that_is_unplugged_is_lost_and_comes_back_with_its_card(stand: Stand) -> None:
    device = Counter()
    channel = card_on(stand, device)
    stand.unplug()
    try:
        with pytest.raises(ReaderLost):
            channel.transmit(COUNT)
        with pytest.raises(ReaderLost):
            stand.reader.wait_for_card(0)
        with pytest.raises(ReaderLost):
            stand.reader.wait_for_removal(0)
        assert not stand.reader.wait_for_reader(0)
    finally:
        stand.plug_in()
    assert stand.reader.wait_for_reader(SOON_S)
    with pytest.raises(CardLeft):
        channel.transmit(COUNT)
    again = stand.reader.wait_for_card(SOON_S)
    assert again is not None
    assert again.transmit(COUNT) == b"\0\0\0\1\x90\0"


def test_whatever_a_hand_does_the_reader_finds_out_in_the_end(stand: Stand, seed: int) -> None:
    rng = random.Random(seed)
    device = Counter()
    channel: CardChannel | None = None
    for _ in range(60):
        with suppress(CardLeft):
            match rng.choice(["hand", "tear", "transmit", "power on", "close", "card?", "empty?"]):
                case "hand" if stand.hand.occupied:
                    stand.hand.remove()
                case "hand":
                    stand.hand.insert(device)
                case "tear":
                    stand.hand.tear_in_answer(rng.randrange(7))
                case "transmit" if channel:
                    channel.transmit(COUNT)
                case "power on" if channel:
                    channel.power_on()
                case "close" if channel:
                    channel.close()
                case "card?":
                    channel = stand.reader.wait_for_card(rng.choice([0, 0.2])) or channel
                case "empty?":
                    stand.reader.wait_for_removal(0.1)
    stand.hand.tears.forget()
    if not stand.hand.occupied:
        assert stand.reader.wait_for_removal(SOON_S)
        stand.hand.insert(device)
    last = stand.reader.wait_for_card(SOON_S)
    assert last is not None
    count = device.count
    assert last.transmit(COUNT) == (count + 1).to_bytes(4) + b"\x90\0"
    stand.hand.remove()
    assert stand.reader.wait_for_removal(SOON_S)
