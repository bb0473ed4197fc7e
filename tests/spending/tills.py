"""Moments, cards and tills for the tests of spending, and the language that their tables are written in."""

from datetime import datetime
from zoneinfo import ZoneInfo

from campus_node.spending import parameters as p
from campus_node.spending.card_record import Spent
from campus_node.spending.moments import Moment, moment_at
from campus_node.spending.parameter_values import DEFAULTS, Values, read_parameters
from campus_node.spending.sales import Card, Decision, Sale, Till, decide
from federation.business_date import BusinessCalendar

OWN = bytes.fromhex("4355434100000001")
OTHER = bytes.fromhex("4355434100000002")
ASN = bytes.fromhex("00000001000000000123")
MIDNIGHT = BusinessCalendar()
NIGHT_OWL = BusinessCalendar(cut_off="03:00")
DEFAULT_ENDS = p.MEAL_ENDS.default_value
LATE_ENDS = p.MEAL_ENDS.kind.read("10:00,14:00,20:00,02:00")


def unix_ms(local: str) -> int:
    """Return a local time in Shanghai, such as 2026-09-01 12:00, as ms since 1970."""
    at = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Asia/Shanghai"))
    return round(at.timestamp() * 1000)


def moment(local: str, calendar: BusinessCalendar = MIDNIGHT, ends: tuple[int, ...] = DEFAULT_ENDS) -> Moment:
    return moment_at(unix_ms(local), calendar, ends)


LUNCH = moment("2026-09-01 12:00")


def fen(yuan: str) -> int:
    whole, _, rest = yuan.partition(".")
    return int(whole) * 100 + int(rest.ljust(2, "0"))


def values(*texts: str) -> Values:
    """Return parameters from texts such as class_3_payment_max_fen=500."""
    return read_parameters((name, text) for name, _, text in (each.partition("=") for each in texts))


def play(line: str, settings: Values = DEFAULTS) -> Decision:
    """Return what is decided of one line of a table: an amount in yuan, then words and name=value.

    card: listed, forgetful (no record), class=, day= month= offline= (spent, in yuan), taken= (this meal),
    starts= expires= (yyyymmdd), foreign. till: wrong-clock, full, suspect, cut-off, sold= (offline, in yuan),
    unheard= (hours; never), last= (yuan,ms ago). sale: confirmed, again, step, tariff=.
    """
    amount, *words = line.split()
    told = dict(word.partition("=")[::2] for word in words)
    unheard = told.get("unheard", "0")
    last_yuan, _, ago_ms = told.get("last", "").partition(",")
    at = moment_at(unix_ms("2026-09-01 12:00"), MIDNIGHT, DEFAULT_ENDS, valid="wrong-clock" not in told)
    spent = Spent(
        day=20260901,
        day_fen=fen(told.get("day", "0")),
        month_fen=fen(told.get("month", told.get("day", "0"))),
        offline_fen=fen(told.get("offline", "0")),
        meals=(9, int(told.get("taken", "0")), 9, 9, 0, 0, 0, 0),
    )
    card = Card(
        ASN,
        OTHER if "foreign" in told else OWN,
        int(told.get("class", "1")),
        int(told.get("starts", "20260101")),
        int(told.get("expires", "20361231")),
        spent,
        tracked="forgetful" not in told,
        listed="listed" in told,
    )
    till = Till(
        at,
        "cut-off" in told,
        "full" in told,
        "suspect" in told,
        fen(told.get("sold", "0")),
        None if unheard == "never" else int(unheard) * 3600,
        (ASN, fen(last_yuan), at.unix_ms - int(ago_ms)) if last_yuan else None,
    )
    sale = Sale(
        fen(amount), int(told.get("tariff", "0")), "confirmed" in told, "again" in told, "step" in told
    )
    return decide(sale, card, till, settings)


def said(decision: Decision) -> str:
    """Return a decision in the words of the tables."""
    if decision.refusal is not None:
        return decision.refusal.value
    return " ".join(["asks", *(each.value for each in decision.questions)]) if decision.questions else "sold"
