"""What random programs are made of: accounts, items before they are read, and requests that break a rule."""

from dataclasses import dataclass

from hypothesis import strategies as st

from campus_node.ledger.chart import FLOOR_NONE, AccountClass, Kind, account_number
from campus_node.ledger.engine import EngineLimits
from campus_node.ledger.store import AccountOpening
from federation.transfer import CURRENCY_CNY, Origin, Request, Verb
from tests.ledger.script import STARTED_AT_UNIX_MS

BANK = account_number(AccountClass.BANK, 1)
LI = account_number(AccountClass.ONLINE, 1)
WANG = account_number(AccountClass.ONLINE, 2)
CANTEEN = account_number(AccountClass.MERCHANT_PAYABLE, 1)
RISK = account_number(AccountClass.RISK, 1)  # not open at first
ACCOUNTS = [LI, WANG, CANTEEN, BANK, RISK]
FIRST = [AccountOpening(BANK, "bank", FLOOR_NONE), *(AccountOpening(n, "x", 0) for n in (LI, WANG, CANTEEN))]
LIMITS = EngineLimits(recent_ids_max=6)  # so small that most repeats are looked up
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a program, before it is read against what exists."""

    what: str
    pair: int = 0  # who pays whom
    amount_fen: int = 1
    about: int = 0  # which of the items before
    fact: bool = False
    valid_for_ms: int = 60_000
    twist: int = 0  # which field a changed repeat changes, which rule a wrong item breaks
    age: int = 0  # how the id was made: 0 no UUIDv7, 1 yesterday, 2 now, 3 tomorrow


PAIRS = [(LI, CANTEEN)] * 6 + [(WANG, CANTEEN)] * 4 + [(CANTEEN, LI), (LI, LI), (RISK, LI)]
WHATS = {
    "post": 3,
    "reserve": 4,
    "confirm": 4,
    "reverse": 2,
    "refund": 3,
    "repeat": 2,
    "changed": 1,
    "overtaking": 1,
    "overtaken": 1,
    "wrong": 1,
    "load": 1,
}
ITEMS = st.builds(
    Item,
    what=st.sampled_from([what for what, weight in WHATS.items() for _ in range(weight)]),
    pair=st.integers(0, len(PAIRS) - 1),
    amount_fen=st.sampled_from([1, 50, 100, 700, 1_000, 5_000, 100_000, 100_001]),
    about=st.integers(0, 8),
    fact=st.booleans(),
    valid_for_ms=st.sampled_from([60_000, 1, 1_000, 3_600_000, 7 * DAY_MS]),
    twist=st.integers(0, 9),
    age=st.integers(0, 3),
)
BATCHES = st.lists(ITEMS, min_size=1, max_size=6)
TIMES_MS = st.sampled_from([1, 999, 1_000, 59_999, 60_000, 3_600_000, DAY_MS])


def changed(request: Request, twist: int) -> Request:
    """Return another request under the same id."""
    match twist % 4:
        case 0:
            return request._replace(made_at_unix_ms=request.made_at_unix_ms + 1)
        case 1:
            return request._replace(window_id=request.window_id + 1)
        case 2:
            return request._replace(fact=not request.fact)
    return request._replace(currency=840)


def wrong(request: Request, twist: int) -> Request:
    """Return a request that breaks a rule which comes before all accounts and balances."""
    breaks: list[dict[str, int | bytes]] = [
        {"currency": 840},
        {"amount_fen": 0},
        {"amount_fen": -1},
        {"amount_fen": 10**13 + 1},
        {"amount_fen": 2**63},
        {"originator": 0},
        {"transfer_id": request.transfer_id[:15]},
        {"kind": 0},
        {"valid_for_ms": 1},
        {"target_id": request.transfer_id},
    ]
    return request._replace(**breaks[twist])


def lunch(number: int, debit: int = LI, credit: int = CANTEEN, kind: Kind = Kind.PURCHASE) -> Request:
    """Return a payment of one yuan with an id of its own."""
    return Request(
        originator=3,
        transfer_id=(kind << 64 | number).to_bytes(16, "big"),
        verb=int(Verb.POST),
        fact=False,
        kind=int(kind),
        debit=debit,
        credit=credit,
        amount_fen=100,
        currency=CURRENCY_CNY,
        target_originator=0,
        target_id=b"",
        made_at_unix_ms=STARTED_AT_UNIX_MS,
        valid_for_ms=0,
        origin=int(Origin.ONLINE),
        window_id=0,
    )
