"""The flows that are torn: what is done, and what it must come to in the card."""

from collections.abc import Callable
from dataclasses import dataclass

from campus_node.purse import load, purchase, unload
from campus_node.purse.commands import Purse, TransactionType
from campus_node.purse.outcome import Outcome
from tests.purse.flows.till import LAYOUT, NOON, PIN, TERMINAL_ID, Till

PRICE_FEN = 1250
LOAD_FEN = 3000
CARDS = ("card-3des", "card-sm4")


def _capp_record(record_id: int, filled: int) -> bytes:
    return bytes((record_id, 29, 0)) + bytes([filled]) * 28


CAPP = (
    purchase.CappUpdate(23, 0x11, _capp_record(0x11, 0xA1)),
    purchase.CappUpdate(23, 0x12, _capp_record(0x12, 0xB2)),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One flow.

    Args:
        name: for people.
        run: does it.
        purse: which one it changes.
        change_fen: by how much, when it is done once.
        online: it counts in the online counter, and an issuer takes part.
        capp: it writes the two records of file 0017 as well.
    """

    name: str
    run: Callable[[Till], Outcome]
    purse: Purse
    change_fen: int
    online: bool = False
    capp: bool = False

    def __str__(self) -> str:
        return self.name


def _buy(request: purchase.PurchaseRequest) -> Callable[[Till], Outcome]:
    return lambda till: purchase.run(request, card=till.channel, sam=till.sam, log=till.log, layout=LAYOUT)


def _load(request: load.LoadRequested) -> Callable[[Till], Outcome]:
    return lambda till: load.run(request, card=till.channel, authority=till.line, log=till.log, layout=LAYOUT)


def _unload(till: Till) -> Outcome:
    return unload.run(
        LOAD_FEN, TERMINAL_ID, card=till.channel, authority=till.line, log=till.log, layout=LAYOUT, pin=PIN
    )


SCENARIOS = (
    Scenario("purchase", _buy(purchase.PurchaseRequest(PRICE_FEN, NOON)), Purse.EP, -PRICE_FEN),
    Scenario(
        "purchase-from-deposit",
        _buy(
            purchase.PurchaseRequest(PRICE_FEN, NOON, transaction_type=TransactionType.ED_PURCHASE, pin=PIN)
        ),
        Purse.ED,
        -PRICE_FEN,
    ),
    Scenario(
        "cash",
        _buy(purchase.PurchaseRequest(PRICE_FEN, NOON, transaction_type=TransactionType.CASH, pin=PIN)),
        Purse.ED,
        -PRICE_FEN,
    ),
    Scenario(
        "compound",
        _buy(purchase.PurchaseRequest(PRICE_FEN, NOON, transaction_type=TransactionType.CAPP, capp=CAPP)),
        Purse.EP,
        -PRICE_FEN,
        capp=True,
    ),
    Scenario(
        "load", _load(load.LoadRequested(LOAD_FEN, TERMINAL_ID, pin=PIN)), Purse.EP, LOAD_FEN, online=True
    ),
    Scenario(
        "load-deposit",
        _load(load.LoadRequested(LOAD_FEN, TERMINAL_ID, transaction_type=TransactionType.ED_LOAD, pin=PIN)),
        Purse.ED,
        LOAD_FEN,
        online=True,
    ),
    Scenario("unload", _unload, Purse.ED, -LOAD_FEN, online=True),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
