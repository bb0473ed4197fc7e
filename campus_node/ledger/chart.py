"""Chart of accounts, and between which classes each kind of transfer may go.

Source: rules of the field, 39. Numbers are class × 10^12 + local number.
"""

from enum import IntEnum
from typing import Final

LOCAL_PER_CLASS: Final = 10**12
FLOOR_NONE: Final = -(2**62)  # assets and expenses have no floor


class AccountClass(IntEnum):
    """First four digits of an account number."""

    CASH = 1000  # asset: one account a drawer
    BANK = 1100  # asset: one account a bank
    DUE_FROM_PEER = 1200  # asset: local number = the peer's campus number
    OVERDRAFT_RECEIVABLE = 1300  # asset: what holders owe
    CARD_PURSE = 2000  # liability: what is on cards, a projection from verified records
    ONLINE = 2100  # liability: online accounts, where the database is the truth
    UNCLAIMED_SUBSIDY = 2200  # liability: granted, not yet on a card
    MERCHANT_PAYABLE = 2300  # liability: what merchants are owed
    DUE_TO_PEER = 2400  # liability: local number = the peer's campus number
    FEES = 4000  # income
    PROMOTIONS = 5000  # expense: funded budgets
    RISK = 5100  # expense: losses by the written rules
    LONG_SHORT = 5200  # differences found at closing
    SUSPENSE = 9000  # not yet explained; empty when a day closes


class Kind(IntEnum):
    """What a transfer is for."""

    PURCHASE = 1
    LOAD = 2
    UNLOAD = 3
    SUBSIDY_GRANT = 4
    SUBSIDY_CLAIM = 5
    FEE = 6
    PROMOTION = 7
    MERCHANT_SETTLEMENT = 8
    PEER_SETTLEMENT = 9
    LOSS = 10
    DIFFERENCE = 11
    OVERDRAFT = 12
    ADJUSTMENT = 13


A = AccountClass  # only to keep the table below readable
_ANY: Final = frozenset(AccountClass)
_MONEY: Final = frozenset({A.CASH, A.BANK})
_HOLDER: Final = frozenset({A.CARD_PURSE, A.ONLINE})
_PEER: Final = frozenset({A.DUE_FROM_PEER, A.DUE_TO_PEER})

FLOWS: Final[dict[Kind, tuple[frozenset[AccountClass], frozenset[AccountClass]]]] = {
    Kind.PURCHASE: (
        _HOLDER | {A.UNCLAIMED_SUBSIDY, A.PROMOTIONS, A.DUE_FROM_PEER},
        frozenset({A.MERCHANT_PAYABLE, A.DUE_TO_PEER, A.FEES}),
    ),
    Kind.LOAD: (_MONEY | _HOLDER | {A.UNCLAIMED_SUBSIDY, A.SUSPENSE}, _HOLDER),
    Kind.UNLOAD: (_HOLDER, _MONEY | _HOLDER | {A.SUSPENSE}),
    Kind.SUBSIDY_GRANT: (_MONEY, frozenset({A.UNCLAIMED_SUBSIDY})),
    Kind.SUBSIDY_CLAIM: (frozenset({A.UNCLAIMED_SUBSIDY}), _HOLDER),
    Kind.FEE: (_HOLDER | {A.MERCHANT_PAYABLE}, frozenset({A.FEES})),
    Kind.PROMOTION: (frozenset({A.PROMOTIONS}), _HOLDER | {A.MERCHANT_PAYABLE}),
    Kind.MERCHANT_SETTLEMENT: (frozenset({A.MERCHANT_PAYABLE}), _MONEY),
    Kind.PEER_SETTLEMENT: (_PEER | _MONEY, _PEER | _MONEY),
    Kind.LOSS: (frozenset({A.RISK}), _HOLDER | _PEER | {A.MERCHANT_PAYABLE, A.SUSPENSE}),
    Kind.DIFFERENCE: (_MONEY | {A.LONG_SHORT, A.SUSPENSE}, _MONEY | {A.LONG_SHORT, A.SUSPENSE}),
    Kind.OVERDRAFT: (frozenset({A.OVERDRAFT_RECEIVABLE}), _HOLDER),
    Kind.ADJUSTMENT: (_ANY, _ANY),
}

# Two people: these create money or move it by hand (rules of the field, 42).
NEEDS_APPROVAL: Final = frozenset({Kind.SUBSIDY_GRANT, Kind.LOSS, Kind.DIFFERENCE, Kind.ADJUSTMENT})

# Beyond this a person decides before anything is posted (rules of the field, 12).
SANE_LIMIT_FEN: Final[dict[Kind, int]] = {Kind.PURCHASE: 100_000}


def account_number(account_class: AccountClass, local: int) -> int:
    """Return the number of an account.

    Raises:
        ValueError: local is not in 0 to 10^12 − 1.
    """
    if not 0 <= local < LOCAL_PER_CLASS:
        raise ValueError(f"local number is {local}, must be 0 to {LOCAL_PER_CLASS - 1}")
    return account_class * LOCAL_PER_CLASS + local


def split_account_number(number: int) -> tuple[AccountClass, int]:
    """Return class and local number.

    Raises:
        ValueError: there is no such class.
    """
    account_class, local = divmod(number, LOCAL_PER_CLASS)
    return AccountClass(account_class), local


# Hot path: one look-up for a kind and two classes.
_ALLOWED: Final = frozenset(
    (int(kind), int(debit), int(credit))
    for kind, (payers, payees) in FLOWS.items()
    for debit in payers
    for credit in payees
)


def flow_is_allowed(kind: int, debit: int, credit: int) -> bool:
    """Tell whether a kind of transfer may go from one account to another, both by number."""
    return (kind, debit // LOCAL_PER_CLASS, credit // LOCAL_PER_CLASS) in _ALLOWED


def default_floor_fen(account_class: AccountClass) -> int:
    """Return the floor of a new account: 0 where we owe somebody, none elsewhere."""
    owed = {
        A.CARD_PURSE,
        A.ONLINE,
        A.UNCLAIMED_SUBSIDY,
        A.MERCHANT_PAYABLE,
        A.DUE_TO_PEER,
    }
    return 0 if account_class in owed else FLOOR_NONE
