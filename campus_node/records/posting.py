"""From verified movements to the ledger: each is a fact under an id that follows from its identity (B1.1).

So a repeat, from wherever it comes and whenever, is the same transfer: the ledger gives its first answer.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Final, Protocol

from campus_node.ledger.chart import AccountClass, Kind, account_number, default_floor_fen
from campus_node.ledger.engine import Engine
from campus_node.ledger.store import AccountOpening
from campus_node.records.assessment import Identity
from federation.errors import Overloaded, Unavailable
from federation.transfer import CURRENCY_CNY, TRANSFER_ID_BYTES, Answer, Request, Verb

ORIGINATOR: Final = "records"  # whose ids these are
GROUP_MAX: Final = 1_024
ANSWERED_WITHIN_S: Final = 60.0
_SERIAL_BYTES: Final = 6


class Books(Protocol):
    """The ledger, as whoever books records needs it. Every method raises Unavailable: repeat it."""

    def post(self, requests: Sequence[Request]) -> list[Answer]:
        """Post, and return the answers when they are durable."""

    def open(self, openings: Sequence[AccountOpening]) -> None:
        """Open accounts; those that are open stay as they are."""

    def is_open(self, account: int) -> bool:
        """Tell whether there is such an account."""

    def number_of(self, originator: str) -> int:
        """Return the number of an originator's name."""


class EngineBooks:
    """`Books` on the engine of this process.

    Args:
        engine: started; answers on any other thread than its caller's.
        group_max: items that it takes at once; see `EngineLimits.batch_items_max`.
        answered_within_s: after that an answer counts as lost.
    """

    def __init__(
        self, engine: Engine, *, group_max: int = GROUP_MAX, answered_within_s: float = ANSWERED_WITHIN_S
    ) -> None:
        self._engine = engine
        self._group_max = min(group_max, GROUP_MAX)
        self._answered_within_s = answered_within_s
        self._numbers: dict[str, int] = {}

    def post(self, requests: Sequence[Request]) -> list[Answer]:
        """See `Books`."""
        answers: list[Answer] = []
        for start in range(0, len(requests), self._group_max):
            group = requests[start : start + self._group_max]
            answers += self._asked(partial(self._engine.submit, group))
        return answers

    def open(self, openings: Sequence[AccountOpening]) -> None:
        """See `Books`."""
        for start in range(0, len(openings), self._group_max):
            group = openings[start : start + self._group_max]
            self._asked(partial(self._engine.open_accounts, group))

    def is_open(self, account: int) -> bool:
        """See `Books`."""
        return self._engine.balance(account) is not None

    def number_of(self, originator: str) -> int:
        """See `Books`."""
        if originator not in self._numbers:
            self._numbers |= self._asked(partial(self._engine.originator_numbers, [originator]))
        return self._numbers[originator]

    def _asked(self, ask: Callable[[Callable[[Any], None]], None]) -> Any:  # what the engine's reply brings
        answered = threading.Event()
        outcome: list[Any] = []

        def reply(brought: Any) -> None:
            outcome.append(brought)
            answered.set()

        ask(reply)
        if not answered.wait(self._answered_within_s):
            raise Overloaded(retry_after_ms=1000)
        if isinstance(outcome[0], Unavailable):
            raise outcome[0]
        return outcome[0]


def purse_account(asn: bytes) -> int:
    """Return the account of what is on a card: the liability of its issuer; the last 12 digits of its number.

    Raises:
        ValueError: they are no digits.
    """
    return account_number(AccountClass.CARD_PURSE, int(asn[-_SERIAL_BYTES:].hex()))


def openings_for(cards: Collection[bytes], books: Books) -> list[AccountOpening]:
    """Return the accounts that these cards still need."""
    floor_fen = default_floor_fen(AccountClass.CARD_PURSE)
    wanted = {purse_account(asn): asn for asn in cards}
    return [
        AccountOpening(account, f"card {asn.hex().upper()}", floor_fen)
        for account, asn in sorted(wanted.items())
        if not books.is_open(account)
    ]


def transfer_id_of(identity: Identity) -> bytes:
    """Return the id under which a movement is posted, the same for every record of it; 16 bytes."""
    asn, purse, line, counter = identity
    named = b"card movement" + asn + bytes((purse, line)) + counter.to_bytes(4)
    return sha256(named).digest()[:TRANSFER_ID_BYTES]


def purchase_fact(
    originator: int,
    identity: Identity,
    merchant_account: int,
    amount_fen: int,
    made_at_unix_ms: int,
    origin: int,
) -> Request:
    """Return what books a purchase: a fact, posted whatever the projection of the purse says."""
    return Request(
        originator, transfer_id_of(identity), Verb.POST, True, Kind.PURCHASE, purse_account(identity[0]),
        merchant_account, amount_fen, CURRENCY_CNY, 0, b"", made_at_unix_ms, 0, origin, 0,
    )  # fmt: skip
