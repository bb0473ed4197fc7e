"""What a till is made of, piece by piece."""

import pytest

from campus_node.spending.parameter_versions import Schedule, Version
from campus_node.terminal.pos.entry import Chosen, Typed, chosen, fen_of, pin_bytes, typed
from campus_node.terminal.pos.journal_records import (
    AccountPayment,
    Hit,
    PaymentState,
    Record,
    Tries,
    decode,
    encode,
)
from campus_node.terminal.pos.rules import Rules
from campus_node.terminal.pos.settings import Key
from campus_node.terminal.pos.view import yuan
from campus_node.terminal.pos.wall_clock import WallClock
from campus_node.terminal.questions import ToldTime
from federation.clock import VirtualClock
from federation.errors import Unreadable
from tests.pos.rig import SHANGHAI_NOON_MS, parameters

AT_MS = 0x1A05B08AC00
HIT = Hit(3, bytes(range(10)), bytes(range(8)), 1234, b"TERMID", 77, AT_MS)
PAYMENT = AccountPayment(
    PaymentState.REFUSED, 19, 7, bytes(range(16)), 1234, b"TERMID", AT_MS, bytes(range(16))
)
TRIES = Tries(513, b"TERMID", AT_MS)
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("record", "form"),
    [
        (
            HIT,
            "0203 00010203040506070809 0001020304050607 000004D2 5445524D4944 000000000000004D"
            "000001A05B08AC00",
        ),
        (
            PAYMENT,
            "03031307 000102030405060708090A0B0C0D0E0F 000004D2 5445524D4944 000001A05B08AC00"
            "000102030405060708090A0B0C0D0E0F",
        ),
        (TRIES, "04000201 5445524D4944 000001A05B08AC00"),
    ],
)
def test_records_have_the_bytes_of_the_document(record: Record, form: str) -> None:
    assert encode(record).hex().upper() == form.replace(" ", "")
    assert decode(encode(record)) == record


def test_what_is_no_record_is_said_so() -> None:
    assert decode(b"\x01" + bytes(104)) is None
    assert decode(b"") is None
    for body in (b"\x02", encode(TRIES) + b"\0", b"\x03\x09" + encode(PAYMENT)[2:]):
        with pytest.raises(Unreadable):
            decode(body)


def keyed(keys: str) -> Typed:
    entry = Typed()
    for key in keys:
        entry = typed(entry, Key(key))
    return entry


@pytest.mark.parametrize(
    ("keys", "fen"),
    [("", 0), ("5", 500), ("0.05", 5), (".5", 50), ("1.239", 123), ("1..2", 120), ("2+2", 400), ("+", 0)],
)
def test_what_is_typed_is_fen(keys: str, fen: int) -> None:
    assert keyed(keys).amount_fen == fen


def test_a_menu_counts_items() -> None:
    choice = Chosen()
    for key in "1+2+1+":
        choice = chosen(choice, Key(key))
    assert choice.all_items == ((1, 2), (2, 1))
    assert chosen(choice, Key.D3).all_items == ((1, 2), (2, 1), (3, 1))
    assert chosen(choice, Key.CLEAR) == Chosen()


def test_pins_are_bcd_filled_up() -> None:
    assert pin_bytes("123") is None
    assert pin_bytes("1234") == bytes.fromhex("1234")
    assert pin_bytes("12345") == bytes.fromhex("12345F")
    assert fen_of("12.5") == 1250


def test_yuan() -> None:
    assert [yuan(fen) for fen in (0, 5, 1205, -120)] == ["0.00", "0.05", "12.05", "-1.20"]


def test_a_clock_is_believed_when_it_was_told_or_goes_on_where_the_journal_stands() -> None:
    own = VirtualClock(SHANGHAI_NOON_MS)
    assert not WallClock(own).valid
    assert WallClock(own, SHANGHAI_NOON_MS - DAY_MS).valid
    assert not WallClock(own, SHANGHAI_NOON_MS - 40 * DAY_MS).valid, "a battery clock drifts"
    assert not WallClock(own, SHANGHAI_NOON_MS + DAY_MS).valid, "it is behind the journal"
    slow = WallClock(own, SHANGHAI_NOON_MS + 60_000)
    assert (slow.valid, slow.unix_ms()) == (True, SHANGHAI_NOON_MS + 60_000)
    own.advance(1000)
    assert slow.unix_ms() == SHANGHAI_NOON_MS + 61_000


def test_a_told_time_sets_the_clock_unless_it_is_vague_or_old() -> None:
    own = VirtualClock(1_000)
    clock = WallClock(own, SHANGHAI_NOON_MS)
    clock.told(ToldTime(SHANGHAI_NOON_MS + 5, own.monotonic_s(), 60_000, asked=True))
    clock.told(ToldTime(SHANGHAI_NOON_MS - 700_000, own.monotonic_s(), 5, asked=True))
    assert not clock.valid
    at_s = own.monotonic_s()
    own.advance(250)
    clock.told(ToldTime(SHANGHAI_NOON_MS + 5, at_s, 5, asked=True))
    assert (clock.valid, clock.unix_ms()) == (True, SHANGHAI_NOON_MS + 255)
    own.advance(32 * DAY_MS)
    assert not clock.valid


def test_a_fast_clock_stands_until_the_time_has_come_and_a_machine_may_step_back_a_little() -> None:
    own = VirtualClock(SHANGHAI_NOON_MS)
    clock = WallClock(own, trusted=True)
    assert clock.unix_ms() == SHANGHAI_NOON_MS
    own.step(-50)
    assert (clock.valid, clock.unix_ms()) == (True, SHANGHAI_NOON_MS)
    for hour in range(1, 2_000):
        own.advance(3_600_000)
        true_ms = SHANGHAI_NOON_MS + hour * 3_599_990  # the machine gains 10 ms an hour
        clock.told(ToldTime(true_ms, own.monotonic_s(), 5, asked=True))
        shown_ms = clock.unix_ms()
        assert clock.valid
        assert 0 <= shown_ms - true_ms <= 50
    own.advance(4_000)
    assert clock.unix_ms() >= shown_ms + 3_900


def test_a_battery_clock_is_not_believed_for_ever_because_it_sells() -> None:
    own = VirtualClock(SHANGHAI_NOON_MS)
    clock = WallClock(own, SHANGHAI_NOON_MS - 1)
    for _ in range(31):
        assert clock.valid
        clock.unix_ms()
        own.advance(DAY_MS)
    assert not clock.valid


def test_parameters_come_in_force_at_their_instant() -> None:
    rules = Rules(Schedule(Version(1, 0, parameters("day_cut_off=03:00"))))
    night = SHANGHAI_NOON_MS + 14 * 3_600_000
    assert rules.moment_at(night, valid=True).day == 20260901
    rules.take(Version(2, night + 1000, parameters("timezone=Europe/Berlin")), night)
    assert rules.local_time(night) == bytes.fromhex("20260902020000")
    assert rules.local_time(night + 1000) == bytes.fromhex("20260901200001")
    rules.take(Version(1, 0, parameters()), night + 2000)
    assert rules.schedule.latest == 2
    rules.take(Version(3, 0, parameters("timezone=Nowhere/Land")), night + 2000)
    assert rules.moment_at(night + 2000, valid=True).day == 20260902
