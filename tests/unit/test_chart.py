"""The chart of accounts: numbers that say what they are, and where each kind of money may go."""

import pytest

from campus_node.ledger.chart import (
    FLOOR_NONE,
    FLOWS,
    LOCAL_PER_CLASS,
    NEEDS_APPROVAL,
    SANE_LIMIT_FEN,
    AccountClass,
    Kind,
    account_number,
    default_floor_fen,
    flow_is_allowed,
    split_account_number,
)

A = AccountClass


def test_an_account_number_says_its_class_and_its_local_number() -> None:
    assert account_number(A.ONLINE, 20260001) == 2100_000020260001
    assert split_account_number(2100_000020260001) == (A.ONLINE, 20260001)


@pytest.mark.parametrize("account_class", A)
@pytest.mark.parametrize("local", [0, LOCAL_PER_CLASS - 1])
def test_every_number_splits_into_what_it_was_made_of(account_class: AccountClass, local: int) -> None:
    assert split_account_number(account_number(account_class, local)) == (account_class, local)
    assert account_number(account_class, local) < 2**63


@pytest.mark.parametrize("local", [-1, LOCAL_PER_CLASS])
def test_a_local_number_never_runs_into_another_class(local: int) -> None:
    with pytest.raises(ValueError, match="must be 0 to 999999999999"):
        account_number(A.ONLINE, local)


@pytest.mark.parametrize("number", [0, 1, 2101 * LOCAL_PER_CLASS, -A.CASH * LOCAL_PER_CLASS])
def test_a_number_of_no_class_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="not a valid AccountClass"):
        split_account_number(number)


def test_every_kind_has_its_flows_and_no_flow_is_empty() -> None:
    assert set(FLOWS) == set(Kind)
    assert all(payers and payees for payers, payees in FLOWS.values())


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_goes_exactly_where_its_flows_say(kind: Kind) -> None:
    payers, payees = FLOWS[kind]
    for debit in A:
        for credit in A:
            allowed = flow_is_allowed(kind, account_number(debit, 7), account_number(credit, 8))
            assert allowed == (debit in payers and credit in payees), f"{debit.name} -> {credit.name}"


@pytest.mark.parametrize("kind", [0, 14, -1])
def test_a_kind_that_nobody_knows_goes_nowhere(kind: int) -> None:
    assert not flow_is_allowed(kind, account_number(A.ONLINE, 1), account_number(A.MERCHANT_PAYABLE, 1))


def test_losses_and_differences_are_booked_only_with_two_people() -> None:
    for kind in set(Kind) - NEEDS_APPROVAL:
        payers, payees = FLOWS[kind]
        assert A.RISK not in payers, kind.name
        assert A.LONG_SHORT not in payers | payees, kind.name


def test_a_purchase_never_pays_a_holder_or_a_drawer() -> None:
    _, payees = FLOWS[Kind.PURCHASE]
    assert not payees & {A.ONLINE, A.CARD_PURSE, A.CASH, A.BANK}


def test_who_is_owed_has_the_floor_zero_and_nobody_else_has_one() -> None:
    with_floor = {A.CARD_PURSE, A.ONLINE, A.UNCLAIMED_SUBSIDY, A.MERCHANT_PAYABLE, A.DUE_TO_PEER}
    assert {account_class for account_class in A if default_floor_fen(account_class) == 0} == with_floor
    assert {default_floor_fen(account_class) for account_class in set(A) - with_floor} == {FLOOR_NONE}


def test_no_floor_leaves_room_for_any_amount_in_64_bits() -> None:
    assert FLOOR_NONE - 10**13 > -(2**63)


def test_a_purchase_above_a_thousand_yuan_is_for_a_person_to_decide() -> None:
    assert SANE_LIMIT_FEN[Kind.PURCHASE] == 100_000
