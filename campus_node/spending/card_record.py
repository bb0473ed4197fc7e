"""What a card remembers of its spending: record 11 of its file 0017, written together with the debit. Pure.

The record limits what is sold and books nothing: the TAC does not cover it. Since it is one write with the
debit, a torn card has both or neither. The layout is in docs/limits.md, in a record of 28 bytes:

    version1 ‖ day4 (BCD) ‖ day_fen3 ‖ month_fen4 ‖ payments1 ‖ offline_fen3 ‖ meals8 ‖ carried1 ‖ 00 ‖ crc2
"""

import binascii
from dataclasses import dataclass, replace
from struct import Struct
from typing import Final

from campus_node.purse.errors import AnswerUnreadable
from campus_node.purse.files import COMMON_SFI, CappRecord
from campus_node.spending.moments import MEALS_MAX, Moment, days_after, is_date

SFI: Final = COMMON_SFI
RECORD_ID: Final = 0x11
CONTENT_BYTES: Final = 28
VERSION: Final = 1
OPEN: Final = 0  # the lock of a record that no application holds
COUNT_MAX: Final = 0xFF
SUM_MAX_FEN: Final = 0xFFFFFF
MONTH_MAX_FEN: Final = 0xFFFFFFFF

_FORM: Final = Struct(f">B4s3sIB3s{MEALS_MAX}sBx")
_CHECKED_BYTES: Final = CONTENT_BYTES - 2


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent with a card, as of its last payment.

    Args:
        day: business day of that payment, yyyymmdd; 0 = there was none.
        day_fen: sum of that day.
        month_fen: sum of that day's month.
        payments: of that day; stays at 255.
        offline_fen: sum since the card was last used at a terminal that reached its gateway.
        meals: payments by meal, 8 of them; they stay at 255.
        carried: number of the meal whose payments are of the day before, because it began then; 0 = none.
    """

    day: int = 0
    day_fen: int = 0
    month_fen: int = 0
    payments: int = 0
    offline_fen: int = 0
    meals: tuple[int, ...] = (0,) * MEALS_MAX
    carried: int = 0


def read(record: bytes | None) -> Spent | None:
    """Return what a card remembers; None = it can remember nothing for us, and is limited by each terminal.

    Args:
        record: the whole record as the card has it, with id, length and lock; None = there is no such record.
    """
    if record is None:
        return None
    try:
        found = CappRecord.parse(record)
    except AnswerUnreadable:
        return None
    if found.record_id != RECORD_ID or found.lock != OPEN or len(found.content) < CONTENT_BYTES:
        return None
    content = found.content[:CONTENT_BYTES]
    return Spent() if content == bytes(CONTENT_BYTES) else _decode(content)


def whole_record(spent: Spent) -> bytes:
    """Return the whole record for UPDATE CAPP DATA CACHE, with id, length and lock."""
    content = _FORM.pack(
        VERSION,
        bytes.fromhex(f"{spent.day:08d}"),
        spent.day_fen.to_bytes(3, "big"),
        spent.month_fen,
        spent.payments,
        spent.offline_fen.to_bytes(3, "big"),
        bytes(spent.meals),
        spent.carried,
    )
    return CappRecord(RECORD_ID, OPEN, content + _checksum(content)).encode()


def standing(spent: Spent, moment: Moment) -> Spent:
    """Return what counts at a moment of what was spent before: sums of days that are over fall away.

    A record of the day after (another campus has its cut-off earlier) counts as it stands. One that is
    further ahead was written under a wrong clock and counts for nothing; see `is_ahead`.
    """
    if not spent.day or is_ahead(spent, moment):
        return replace(Spent(), day=moment.day, carried=_carried(moment))
    lag = days_after(moment.day, spent.day)
    meal = moment.meal
    if lag < 0:
        return spent
    if lag == 0:
        if spent.carried == meal.number and meal.day == moment.day:
            return replace(spent, meals=_set(spent.meals, meal.number, 0), carried=0)
        return spent
    same_meal = meal.day == spent.day and spent.carried != meal.number
    count = spent.meals[meal.number - 1] if same_meal else 0
    same_month = spent.day // 100 == moment.month
    return replace(
        spent,
        day=moment.day,
        day_fen=0,
        month_fen=spent.month_fen if same_month else 0,
        payments=0,
        meals=_set((0,) * MEALS_MAX, meal.number, count),
        carried=_carried(moment),
    )


def is_ahead(spent: Spent, moment: Moment) -> bool:
    """Tell whether a record is more than a day ahead: a terminal somewhere has a wrong clock."""
    return bool(spent.day) and days_after(spent.day, moment.day) > 1


def after_payment(
    spent: Spent, moment: Moment, amount_fen: int, *, cut_off: bool, counts: bool = True, in_meal: bool = True
) -> Spent:
    """Return what the card remembers after a payment.

    Args:
        spent: before it.
        amount_fen: 0 or more.
        cut_off: whether the terminal is out of reach of its gateway.
        counts: whether it is a payment of its own; False for a further step of the same session.
        in_meal: whether it counts for the meal too.
    """
    now = standing(spent, moment)
    one = int(counts)
    meal = moment.meal.number
    return replace(
        now,
        day_fen=min(now.day_fen + amount_fen, SUM_MAX_FEN),
        month_fen=min(now.month_fen + amount_fen, MONTH_MAX_FEN),
        payments=min(now.payments + one, COUNT_MAX),
        offline_fen=min(now.offline_fen + amount_fen, SUM_MAX_FEN) if cut_off else 0,
        meals=_set(now.meals, meal, min(now.meals[meal - 1] + (one if in_meal else 0), COUNT_MAX)),
    )


def _decode(content: bytes) -> Spent | None:
    checked = content[:_CHECKED_BYTES]
    if content[0] != VERSION or content[_CHECKED_BYTES:] != _checksum(checked):
        return None
    _, day, day_fen, month_fen, payments, offline_fen, meals, carried = _FORM.unpack(checked)
    written = day.hex()
    if not written.isdecimal() or not is_date(int(written)) or carried > MEALS_MAX:
        return None
    return Spent(
        int(written),
        int.from_bytes(day_fen, "big"),
        month_fen,
        payments,
        int.from_bytes(offline_fen, "big"),
        tuple(meals),
        carried,
    )


def _carried(moment: Moment) -> int:
    return moment.meal.number if moment.meal.day < moment.day else 0


def _set(meals: tuple[int, ...], number: int, count: int) -> tuple[int, ...]:
    return (*meals[: number - 1], count, *meals[number:])


def _checksum(content: bytes) -> bytes:
    return binascii.crc_hqx(content, 0).to_bytes(2, "big")
