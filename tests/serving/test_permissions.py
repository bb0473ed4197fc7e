"""Who may ask what, as a table."""

import pytest

from campus_node.ledger.chart import NEEDS_APPROVAL, Kind
from campus_node.serving.permissions import (
    PERMISSIONS,
    require_approvable,
    require_balance,
    require_items,
    require_names,
    require_opening,
    require_statement,
)
from federation.errors import NotPermitted
from federation.identity import Identity, Role
from federation.transfer import CURRENCY_CNY, Origin, Request, Verb

TERMINAL = Identity("north", Role.TERMINAL, "0001")
GATEWAY = Identity("north", Role.GATEWAY, "library")
NODE = Identity("north", Role.NODE, "1")
EVERYBODY = (TERMINAL, GATEWAY, NODE)


def asked(verb: Verb = Verb.POST, kind: int = Kind.PURCHASE, *, fact: bool = False) -> Request:
    return Request(1, bytes(16), verb, fact, kind, 0, 0, 1, CURRENCY_CNY, 0, b"", 0, 0, Origin.ONLINE, 0)


def allowed(caller: Identity, *requests: Request, approved: bool = False) -> bool:
    try:
        require_items(caller, requests, approved=approved)
    except NotPermitted:
        return False
    return True


def test_every_role_has_a_row_in_the_table() -> None:
    assert set(PERMISSIONS) == set(Role)


@pytest.mark.parametrize("caller", EVERYBODY)
@pytest.mark.parametrize("verb", [Verb.POST, Verb.RESERVE])
def test_everybody_may_buy(caller: Identity, verb: Verb) -> None:
    assert allowed(caller, asked(verb))


@pytest.mark.parametrize("caller", EVERYBODY)
@pytest.mark.parametrize("verb", [Verb.CONFIRM, Verb.REVERSE, Verb.REFUND])
def test_everybody_may_follow_up_on_what_it_may_name(caller: Identity, verb: Verb) -> None:
    assert allowed(caller, asked(verb, kind=0))


@pytest.mark.parametrize("kind", Kind)
def test_terminals_and_gateways_may_do_nothing_but_buy(kind: Kind) -> None:
    for caller in (TERMINAL, GATEWAY):
        assert allowed(caller, asked(kind=kind)) == (kind is Kind.PURCHASE)
        assert allowed(caller, asked(), asked(kind=kind)) == (kind is Kind.PURCHASE), "one spoils the batch"


@pytest.mark.parametrize("kind", Kind)
def test_a_node_may_do_everything_but_what_takes_two_people(kind: Kind) -> None:
    assert allowed(NODE, asked(kind=kind)) == (kind not in NEEDS_APPROVAL)
    assert allowed(NODE, asked(kind=kind), approved=True)


def test_an_approval_opens_nothing_else_to_others() -> None:
    assert not allowed(TERMINAL, asked(kind=Kind.LOAD), approved=True)
    for caller in (TERMINAL, GATEWAY):
        with pytest.raises(NotPermitted):
            require_approvable(caller)
    require_approvable(NODE)


@pytest.mark.parametrize(("caller", "may"), [(TERMINAL, False), (GATEWAY, True), (NODE, True)])
def test_only_gateways_and_nodes_state_facts(caller: Identity, may: bool) -> None:
    assert allowed(caller, asked(fact=True)) == may
    assert allowed(caller, asked(), asked(fact=True)) == may


@pytest.mark.parametrize(
    ("caller", "name", "may"),
    [
        (TERMINAL, "", True),
        (TERMINAL, "terminal/0001", True),
        (TERMINAL, "terminal/0002", False),
        (TERMINAL, "gateway/library", False),
        (TERMINAL, "node/1", False),
        (GATEWAY, "", True),
        (GATEWAY, "gateway/library", True),
        (GATEWAY, "gateway/gym", False),
        (GATEWAY, "terminal/0002", True),
        (GATEWAY, "node/1", False),
        (NODE, "", True),
        (NODE, "node/2", True),
        (NODE, "gateway/gym", True),
        (NODE, "terminal/0002", True),
        (NODE, "terminal/", False),
        (NODE, "terminal/A", False),
        (NODE, "bank/1", False),
        (NODE, "terminal/1/2", False),
        (NODE, "ledger", False),
        (GATEWAY, "terminal/" + "0" * 64, False),
    ],
)
def test_who_may_speak_for_whom(caller: Identity, name: str, may: bool) -> None:
    if may:
        require_names(caller, {name, ""})
        return
    with pytest.raises(NotPermitted):
        require_names(caller, {"", name})


def test_what_else_each_role_may_ask() -> None:
    for caller in EVERYBODY:
        permission = PERMISSIONS[caller.role]
        for require, may in (
            (require_opening, permission.opens_accounts),
            (require_balance, permission.reads_balances),
            (require_statement, permission.reads_statements),
        ):
            if may:
                require(caller)
                continue
            with pytest.raises(NotPermitted, match="ask the campus's node"):
                require(caller)
    assert [PERMISSIONS[role].opens_accounts for role in (Role.TERMINAL, Role.GATEWAY)] == [False, False]
