"""Fares: flat, by stops, and rides that nobody ended."""

from dataclasses import replace

import pytest

from campus_node.purse.errors import AnswerUnreadable
from campus_node.spending.parameter_values import DEFAULTS
from campus_node.spending.refusals import Refusal
from campus_node.spending.rides import (
    Paid,
    Ride,
    Tap,
    fare_refused,
    flat_fare,
    on_entry,
    on_exit,
    read,
    whole_record,
)
from tests.spending.tills import values

BUS = bytes.fromhex("010203040506")
LINE = values(
    "fare_matrix_fen=0,100,200,350; 100,0,100,250; 200,100,0,150; 350,250,150,0",
    "fare_open_ride_fen=400",
    "class_3_rate_percent=50",
    "class_3_fare_open_ride_fen=300",
)
ENTERED = Ride(7, 1, 1_000, 400, BUS)


def tap(stop: int, at_s: int, card_class: int = 1, tariff: int = 7) -> Tap:
    return Tap(tariff, card_class, stop, at_s, BUS)


def test_a_flat_fare_goes_by_class() -> None:
    assert flat_fare(tap(0, 0), DEFAULTS).amount_fen == 200
    assert flat_fare(tap(0, 0, 3), values("class_3_rate_percent=62.5", "fare_flat_fen=150")).amount_fen == 94
    assert flat_fare(tap(0, 0), DEFAULTS).ride is None


def test_a_ride_begins_without_a_fen_but_only_with_what_it_may_cost() -> None:
    fare = on_entry(tap(1, 1_000), None, LINE)
    assert (fare.amount_fen, fare.parts, fare.ride) == (0, ((Paid.ENTRY, 0),), ENTERED)
    assert fare_refused(fare, 399) is Refusal.PURSE_TOO_SMALL
    assert fare_refused(fare, 400) is None


@pytest.mark.parametrize(
    ("what", "ride", "leaves", "paid", "fen"),
    [
        ("two stops on", ENTERED, tap(3, 2_000), Paid.EXIT, 250),
        ("half price", replace(ENTERED, cost_fen=300), tap(3, 2_000, 3), Paid.EXIT, 125),
        ("where it began", ENTERED, tap(1, 1_010), Paid.EXIT, 0),
        (
            "never more than was said at the entrance",
            replace(ENTERED, cost_fen=200),
            tap(3, 2_000),
            Paid.EXIT,
            200,
        ),
        ("at the last second", ENTERED, tap(3, 1_000 + 240 * 60), Paid.EXIT, 250),
        ("too late", ENTERED, tap(3, 1_001 + 240 * 60), Paid.NOT_ENDED, 400),
        ("before it began", ENTERED, tap(3, 999), Paid.NOT_ENDED, 400),
        ("on another line", ENTERED, tap(3, 2_000, tariff=8), Paid.NOT_ENDED, 400),
        ("at a stop that nobody knows", ENTERED, tap(4, 2_000), Paid.NOT_ENDED, 400),
        ("from a stop that nobody knows", replace(ENTERED, stop=9), tap(3, 2_000), Paid.NOT_ENDED, 400),
        ("without an entrance", None, tap(3, 2_000), Paid.NO_ENTRY, 400),
        ("without an entrance, class 3", None, tap(3, 2_000, 3), Paid.NO_ENTRY, 300),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_ride_costs_at_its_end(
    what: str, ride: Ride | None, leaves: Tap, paid: Paid, fen: int
) -> None:
    fare = on_exit(leaves, ride, LINE)
    assert (fare.amount_fen, fare.parts, fare.ride) == (fen, ((paid, fen),), None)


def test_a_ride_that_nobody_ended_is_paid_at_the_next_entrance() -> None:
    fare = on_entry(tap(2, 90_000), ENTERED, LINE)
    assert fare.amount_fen == 400
    assert fare.parts == ((Paid.NOT_ENDED, 400), (Paid.ENTRY, 0))
    assert fare.ride == Ride(7, 2, 90_000, 400, BUS)
    assert fare.needs_fen == 800


@pytest.mark.parametrize("ride", [ENTERED, Ride(255, 63, 2**32 - 1, 100_000, bytes(6)), None])
def test_a_ride_survives_the_card(ride: Ride | None) -> None:
    record = whole_record(ride)
    assert len(record) == 31
    assert read(record) == ride
    assert read(bytes((0x12, 29)) + bytes(29)) is None, "a card that never took a bus"


def test_a_record_that_is_not_ours_is_no_ride() -> None:
    record = whole_record(ENTERED)
    for at in range(3, len(record)):
        wrong = bytearray(record)
        wrong[at] ^= 1 << at % 8
        with pytest.raises(AnswerUnreadable):
            read(bytes(wrong))
    for other in (b"", record[:10], b"\x11" + record[1:], b"\x12\x03\0\1\2"):
        with pytest.raises(AnswerUnreadable):
            read(other)
