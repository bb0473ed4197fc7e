"""Vehicles: flat fares, fares by stops of entry and exit, and rides that nobody ended (B1.1, B1.2). Pure.

The ride under way stands in record 12 of the card's file 0017, written with the debit. The layout is in
docs/limits.md, in a record of 28 bytes:

    version1 ‖ open1 ‖ tariff1 ‖ stop1 ‖ entered_at4 (s since 1970) ‖ cost_fen3 ‖ terminal6 ‖ 9 x 00 ‖ crc2
"""

import binascii
from dataclasses import dataclass
from enum import Enum
from struct import Struct
from typing import Final

from campus_node.purse.errors import AnswerUnreadable
from campus_node.purse.files import COMMON_SFI, CappRecord
from campus_node.spending import parameters as p
from campus_node.spending.parameter_values import Place, Values
from campus_node.spending.refusals import Refusal
from campus_node.spending.rounding import share_fen

SFI: Final = COMMON_SFI
RECORD_ID: Final = 0x12
CONTENT_BYTES: Final = 28
VERSION: Final = 1
_FORM: Final = Struct(">BBBBI3s6s9x")


@dataclass(frozen=True, slots=True)
class Ride:
    """A ride that has begun.

    Args:
        tariff: of the line, 0 to 255.
        stop: where it began, from 0.
        entered_at_s: when, in s since 1970.
        cost_fen: what it costs if nobody ends it.
        terminal_id: where it began, 6 bytes.
    """

    tariff: int
    stop: int
    entered_at_s: int
    cost_fen: int
    terminal_id: bytes


class Paid(Enum):
    """What a fare is for."""

    FLAT = "one ride, wherever it goes"
    ENTRY = "nothing yet: the ride begins"
    EXIT = "the ride that ends"
    NO_ENTRY = "a ride whose beginning nobody saw"
    NOT_ENDED = "the ride before, which nobody ended"


@dataclass(frozen=True, slots=True)
class Fare:
    """What a tap in a vehicle leads to.

    Args:
        amount_fen: to be debited; 0 = only the record is written.
        parts: what it is for, with its share of the amount.
        ride: what the card remembers then; None = no ride is under way.
        needs_fen: what the purse must hold, at least the amount: a ride begins only with what it may cost.
    """

    amount_fen: int
    parts: tuple[tuple[Paid, int], ...]
    ride: Ride | None
    needs_fen: int


@dataclass(frozen=True, slots=True)
class Tap:
    """A card held to a vehicle's terminal.

    Args:
        tariff: the line, 0 to 255.
        card_class: 0 to 255.
        stop: where the vehicle is, from 0.
        at_s: when, in s since 1970.
        terminal_id: 6 bytes.
    """

    tariff: int
    card_class: int
    stop: int
    at_s: int
    terminal_id: bytes


def flat_fare(tap: Tap, values: Values) -> Fare:
    """Return the fare where all rides cost the same."""
    place = Place(tap.tariff, tap.card_class)
    amount_fen = share_fen(values.of(p.FARE_FLAT, place), values.of(p.RATE, place))
    return Fare(amount_fen, ((Paid.FLAT, amount_fen),), None, amount_fen)


def on_entry(tap: Tap, under_way: Ride | None, values: Values) -> Fare:
    """Return what a tap at the entrance costs: nothing, or a ride before that was not ended."""
    open_fen = values.of(p.FARE_OPEN, Place(tap.tariff, tap.card_class))
    before_fen = under_way.cost_fen if under_way else 0
    ride = Ride(tap.tariff, tap.stop, tap.at_s, open_fen, tap.terminal_id)
    parts = ((Paid.NOT_ENDED, before_fen),) if under_way else ()
    return Fare(before_fen, (*parts, (Paid.ENTRY, 0)), ride, before_fen + open_fen)


def on_exit(tap: Tap, under_way: Ride | None, values: Values) -> Fare:
    """Return what a tap at the exit costs.

    A ride is charged as open if it began on another line, at a stop that the matrix lacks, too long ago, or
    after now.
    """
    place = Place(tap.tariff, tap.card_class)
    if under_way is None:
        return _closed(Paid.NO_ENTRY, values.of(p.FARE_OPEN, place))
    took_s = tap.at_s - under_way.entered_at_s
    stops = values.of(p.FARE_MATRIX, place)
    known = max(tap.stop, under_way.stop) < len(stops)
    if under_way.tariff != tap.tariff or not 0 <= took_s <= 60 * values.of(p.RIDE_MAX, place) or not known:
        return _closed(Paid.NOT_ENDED, under_way.cost_fen)
    by_stops_fen = share_fen(stops[under_way.stop][tap.stop], values.of(p.RATE, place))
    return _closed(Paid.EXIT, min(by_stops_fen, under_way.cost_fen))


def fare_refused(fare: Fare, balance_fen: int) -> Refusal | None:
    """Return why a ride is not sold; None = it is."""
    return Refusal.PURSE_TOO_SMALL if balance_fen < fare.needs_fen else None


def read(record: bytes) -> Ride | None:
    """Return the ride that a card's record holds; None = none is under way.

    Raises:
        AnswerUnreadable: the record is not ours: this card takes no rides by stops.
    """
    found = CappRecord.parse(record)
    content = found.content[:CONTENT_BYTES]
    if found.record_id != RECORD_ID or len(content) < CONTENT_BYTES:
        raise AnswerUnreadable("this card has no record of rides")
    if content == bytes(CONTENT_BYTES):
        return None
    version, is_open, tariff, stop, entered_at_s, cost_fen, terminal_id = _FORM.unpack(content[:-2])
    if version != VERSION or content[-2:] != _checksum(content[:-2]):
        raise AnswerUnreadable("this card has no record of rides")
    ride = Ride(tariff, stop, entered_at_s, int.from_bytes(cost_fen, "big"), terminal_id)
    return ride if is_open else None


def whole_record(ride: Ride | None) -> bytes:
    """Return the whole record for UPDATE CAPP DATA CACHE, with id, length and lock."""
    shown = ride or Ride(0, 0, 0, 0, bytes(6))
    content = _FORM.pack(
        VERSION,
        ride is not None,
        shown.tariff,
        shown.stop,
        shown.entered_at_s,
        shown.cost_fen.to_bytes(3, "big"),
        shown.terminal_id,
    )
    return CappRecord(RECORD_ID, 0, content + _checksum(content)).encode()


def _closed(paid: Paid, amount_fen: int) -> Fare:
    return Fare(amount_fen, ((paid, amount_fen),), None, amount_fen)


def _checksum(content: bytes) -> bytes:
    return binascii.crc_hqx(content, 0).to_bytes(2, "big")
