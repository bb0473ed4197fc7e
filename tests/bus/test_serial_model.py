"""RS-485 in virtual time: what UARTs make of a wire, alone, together, at wrong rates."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import Misconfigured
from hil_rig.virtual.serial_model import SerialEvent, SerialModel

SECOND_NS = 1_000_000_000


@pytest.mark.parametrize("baud", [9600, 19200, 115_200])
def test_bytes_arrive_when_ten_bits_each_are_over(baud: int) -> None:
    bus = SerialModel()
    head, till, other = (bus.attach(name, baud) for name in ("head", "till", "other"))
    head.write(bytes(range(256)))
    bus.advance_to(2550 * SECOND_NS // baud)
    assert till.read() == bytes(range(255))
    bus.advance_until_quiet()
    assert till.read() == b"\xff"
    assert other.read() == bytes(range(256))
    assert head.read() == b""
    assert bus.now_ns == 2560 * SECOND_NS // baud
    assert till.arrived_ns == pytest.approx(
        2559.5 * SECOND_NS / baud, abs=2
    )  # in the middle of the last stop bit


def test_an_answer_at_once_does_not_collide_with_the_end_of_the_question() -> None:
    bus = SerialModel()
    head, till = bus.attach("head", 115_200), bus.attach("till", 115_200)
    head.write(b"?")
    while not till.read():
        bus.advance_by_ns(1000)
    till.write(b"!")
    bus.advance_until_quiet()
    assert head.read() == b"!"


def test_what_is_written_while_sending_follows_without_a_gap() -> None:
    events: list[SerialEvent] = []
    bus = SerialModel(trace=events.append)
    head, till = bus.attach("head"), bus.attach("till")
    head.write(b"one")
    bus.advance_by_ns(1_000_000)
    head.write(b"two")
    assert head.sending_until_ns == 6 * 10 * SECOND_NS // 9600
    bus.advance_until_quiet()
    assert till.read() == b"onetwo"
    assert [event.payload for event in events] == [b"one", b"two"]
    assert events[0].end_ns == events[1].start_ns


def test_two_who_send_at_once_are_heard_as_the_zeros_of_both() -> None:
    bus = SerialModel()
    one, two, head = (bus.attach(name) for name in ("one", "two", "head"))
    one.write(b"\xf0\x55")
    two.write(b"\xaa\x0f")
    bus.advance_until_quiet()
    bus.advance_by_ns(SECOND_NS)
    assert head.read() == bytes([0xF0 & 0xAA, 0x55 & 0x0F])
    assert one.read() == two.read() == b""  # nobody hears while it sends


def test_a_collision_spoils_what_overlaps_and_nothing_before() -> None:
    bus = SerialModel()
    one, two, head = (bus.attach(name) for name in ("one", "two", "head"))
    one.write(b"AAAAAAAA")
    bus.advance_to(35 * SECOND_NS // 9600)  # within the fourth byte
    two.write(b"\x00\x00")
    bus.advance_until_quiet()
    bus.advance_by_ns(SECOND_NS)
    heard = head.read()
    assert heard[:3] == b"AAA"
    assert heard[3:] != b"AAAAA"
    one.write(b"clean")
    bus.advance_until_quiet()
    assert head.read() == b"clean"


def test_at_half_the_rate_every_byte_is_another_and_at_the_right_one_again_it_is_not() -> None:
    bus = SerialModel()
    head, till = bus.attach("head", 9600), bus.attach("till", 4800)
    head.write(b"U")  # 0 10101010 1 at 9600: at 4800 the samples fall on every second edge's far side
    bus.advance_until_quiet()
    bus.advance_by_ns(SECOND_NS)
    assert till.read() != b"U"
    head.write(b"poll 7")
    bus.advance_until_quiet()
    bus.advance_by_ns(SECOND_NS)
    assert till.read() != b"poll 7"
    till.baud = 9600
    head.write(b"poll 7")
    bus.advance_until_quiet()
    assert till.read() == b"poll 7"


def test_a_slow_sender_is_heard_bit_by_bit_at_ten_times_the_rate() -> None:
    # At 9600 a byte 0 is 9 zeros of 104 us; at 96000 its first 10 bits are all 0: a byte 0, no stop bit.
    bus = SerialModel()
    head, till = bus.attach("head", 9600), bus.attach("till", 96_000)
    head.write(b"\x00")
    bus.advance_until_quiet()
    bus.advance_by_ns(SECOND_NS)
    assert (till.read(), till.framing_errors) == (b"\x00", 1)


def test_rates_within_two_per_cent_understand_each_other() -> None:
    bus = SerialModel()
    head, till = bus.attach("head", 9600), bus.attach("till", 9750)
    head.write(bytes(range(256)))
    bus.advance_until_quiet()
    bus.advance_by_ns(SECOND_NS)
    assert till.read() == bytes(range(256))
    assert till.framing_errors == 0


def test_an_unplugged_node_neither_hears_nor_is_heard() -> None:
    bus = SerialModel()
    head, till, other = (bus.attach(name) for name in ("head", "till", "other"))
    till.unplug()
    head.write(b"to all")
    bus.advance_until_quiet()
    till.write(b"alone")
    bus.advance_by_ns(SECOND_NS)
    assert (till.read(), head.read(), other.read()) == (b"", b"", b"to all")
    till.plug()
    head.write(b"again")
    bus.advance_until_quiet()
    assert till.read() == b"again"


def test_a_plug_pulled_while_sending_ends_it_there() -> None:
    bus = SerialModel()
    head, till = bus.attach("head"), bus.attach("till")
    till.write(b"abcdef")
    bus.advance_to(30 * SECOND_NS // 9600 + 1)
    till.unplug()
    bus.advance_by_ns(SECOND_NS)
    assert head.read()[:3] == b"abc"
    assert head.read() == b""


def test_a_stuck_transmitter_silences_all_until_it_is_healed() -> None:
    bus = SerialModel()
    head, till, bad = (bus.attach(name) for name in ("head", "till", "bad"))
    bad.stick()
    head.write(b"hello")
    bus.advance_by_ns(SECOND_NS)
    assert b"hello" not in till.read()
    bad.stick(False)
    bus.advance_by_ns(SECOND_NS)
    till.read()
    head.write(b"hello")
    bus.advance_until_quiet()
    assert till.read() == b"hello"


def test_names_rates_and_bursts_are_checked() -> None:
    bus = SerialModel()
    port = bus.attach("till")
    with pytest.raises(Misconfigured, match="till"):
        bus.attach("till")
    with pytest.raises(Misconfigured, match="baud"):
        port.baud = 0
    with pytest.raises(ValueError, match="65536"):
        port.write(bytes(65_537))


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from([(9600, 9600), (9600, 115_200), (115_200, 9600)]))
def test_how_time_is_cut_into_steps_changes_nothing(seed: int, bauds: tuple[int, int]) -> None:
    def run(stepped: bool) -> list[bytes]:
        rng, steps = random.Random(seed), random.Random(seed + 1)
        bus = SerialModel()
        ports = [bus.attach("0", bauds[0]), bus.attach("1", bauds[0]), bus.attach("2", bauds[1])]
        heard = [b""] * 3
        for _ in range(6):
            ports[rng.randrange(3)].write(rng.randbytes(rng.randrange(6)))
            target_ns = bus.now_ns + rng.randrange(8_000_000)
            while stepped and bus.now_ns < target_ns:
                bus.advance_to(min(target_ns, bus.now_ns + steps.randrange(1, 900_000)))
            bus.advance_to(target_ns)
        bus.advance_by_ns(SECOND_NS)
        for n, port in enumerate(ports):
            heard[n] += port.read()
        return heard

    assert run(True) == run(False), seed
