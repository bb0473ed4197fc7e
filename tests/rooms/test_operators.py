"""Who may do what, and where."""

import pytest
from sqlalchemy import Engine

from campus_node.operators.audit import Actor, entries
from campus_node.operators.permissions import (
    PERMISSIONS,
    Grant,
    Permission,
    Role,
    parse_scope,
)
from campus_node.operators.roster import Roster
from federation.clock import VirtualClock
from federation.errors import NotFound, NotPermitted, Refused
from tests.rooms.people import CANTEENS, NOODLES, NORTH, ROOT, actor, staff

CREATES_MONEY = {Permission.LEDGER_POST, Permission.TRANSFER_REQUEST, Permission.TRANSFER_APPROVE}
READS = {Permission.ALARM_READ, Permission.AUDIT_READ, Permission.LEDGER_READ}


def test_every_role_has_permissions_and_every_permission_a_role() -> None:
    assert set(PERMISSIONS) == set(Role)
    assert frozenset().union(*PERMISSIONS.values()) == set(Permission)


def test_whoever_gives_rights_touches_no_money_and_the_auditor_only_reads() -> None:
    for role, permitted in PERMISSIONS.items():
        assert not (Permission.OPERATOR_WRITE in permitted and permitted & CREATES_MONEY), role
    assert PERMISSIONS[Role.AUDITOR] == READS


@pytest.mark.parametrize(
    ("held", "asked", "covered"),
    [
        ("north", "north", True),
        ("north", "north/canteens/noodles", True),
        ("north/canteens", "north/canteens/noodles", True),
        ("north/canteens", "north", False),
        ("north/canteens", "north/canteens-2", False),
        ("north/canteens", "north/library", False),
        ("north", "south", False),
        ("north", "northern/canteens", False),
    ],
)
def test_a_scope_covers_itself_and_what_lies_within(held: str, asked: str, covered: bool) -> None:
    assert parse_scope(held).covers(parse_scope(asked)) is covered
    assert (
        Grant(Role.CASHIER, parse_scope(held)).allows(Permission.LEDGER_POST, parse_scope(asked)) is covered
    )


@pytest.mark.parametrize(
    "text", ["", "/", "north/", "/north", "North", "a/b/c/d", "north//x", "north/..", "北"]
)
def test_a_scope_that_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be campus"):
        parse_scope(text)


def test_a_role_permits_in_its_scope_only(db: Engine, clock: VirtualClock) -> None:
    roster = staff(db, clock, li=(Role.CASHIER, CANTEENS))
    roster.require("li", Permission.LEDGER_POST, CANTEENS)
    roster.require("li", Permission.LEDGER_POST, NOODLES)
    with pytest.raises(NotPermitted, match=r"li may not ledger.post in north:"):
        roster.require("li", Permission.LEDGER_POST, NORTH)
    with pytest.raises(NotPermitted, match=r"li may not transfer.approve in north/canteens:"):
        roster.require("li", Permission.TRANSFER_APPROVE, CANTEENS)
    with pytest.raises(NotPermitted, match="wang is no operator"):
        roster.require("wang", Permission.LEDGER_READ, NORTH)


def test_somebody_enrolled_without_a_role_may_do_nothing(db: Engine, clock: VirtualClock) -> None:
    roster = staff(db, clock)
    roster.enrol(ROOT, "li", "Li", NORTH, "new")
    for permission in Permission:
        with pytest.raises(NotPermitted):
            roster.require("li", permission, NORTH)


def test_a_revoked_role_permits_nothing_any_more(db: Engine, clock: VirtualClock) -> None:
    roster = staff(db, clock, li=(Role.CASHIER, CANTEENS))
    roster.revoke(ROOT, "li", Grant(Role.CASHIER, CANTEENS), "moved")
    with pytest.raises(NotPermitted):
        roster.require("li", Permission.LEDGER_POST, CANTEENS)
    with pytest.raises(NotFound, match="does not hold cashier in north/canteens"):
        roster.revoke(ROOT, "li", Grant(Role.CASHIER, CANTEENS), "again")


def test_somebody_disabled_may_do_nothing_and_keeps_the_name(db: Engine, clock: VirtualClock) -> None:
    roster = staff(db, clock, li=(Role.CASHIER, CANTEENS))
    roster.disable(ROOT, "li", "left")
    with pytest.raises(NotPermitted, match="disabled"):
        roster.require("li", Permission.LEDGER_POST, CANTEENS)
    with pytest.raises(Refused, match="disabled already"):
        roster.disable(ROOT, "li", "left")
    with pytest.raises(Refused, match="enrolled already"):
        roster.enrol(ROOT, "li", "Another Li", NORTH, "new")
    assert [(o.operator, o.disabled_at_unix_ms) for o in roster.all()] == [
        ("li", clock.unix_ms()),
        ("root", None),
    ]


def test_only_an_administrator_of_that_scope_changes_rights(db: Engine, clock: VirtualClock) -> None:
    roster = staff(db, clock, li=(Role.ADMINISTRATOR, CANTEENS), zhao=(Role.FINANCE, NORTH))
    roster.enrol(ROOT, "wang", "Wang", NORTH, "new")
    before = roster.all()
    with pytest.raises(NotPermitted, match=r"li may not operator.write in north:"):
        roster.grant(actor("li"), "wang", Grant(Role.CASHIER, NORTH), "")
    with pytest.raises(NotPermitted):
        roster.grant(actor("zhao"), "wang", Grant(Role.CASHIER, NORTH), "")
    with pytest.raises(NotPermitted):
        roster.enrol(actor("zhao"), "sun", "Sun", NORTH, "")
    with pytest.raises(NotPermitted):
        roster.disable(actor("li"), "zhao", "")
    with pytest.raises(NotPermitted):
        roster.revoke(actor("li"), "zhao", Grant(Role.FINANCE, NORTH), "")
    assert roster.all() == before
    roster.grant(actor("li"), "wang", Grant(Role.CASHIER, NOODLES), "helps out")
    roster.require("wang", Permission.LEDGER_POST, NOODLES)


def test_nobody_gives_themselves_a_role(db: Engine, clock: VirtualClock) -> None:
    roster = staff(db, clock)
    with pytest.raises(NotPermitted, match="another administrator"):
        roster.grant(ROOT, "root", Grant(Role.FINANCE, NORTH), "I need it")


def test_somebody_who_can_give_rights_always_remains(db: Engine, clock: VirtualClock) -> None:
    roster = staff(db, clock, li=(Role.CASHIER, CANTEENS))
    with pytest.raises(Refused, match="nobody would be left"):
        roster.revoke(ROOT, "root", Grant(Role.ADMINISTRATOR, NORTH), "")
    with pytest.raises(Refused, match="nobody would be left"):
        roster.disable(ROOT, "root", "")
    roster.require("root", Permission.OPERATOR_WRITE, NORTH)
    roster.grant(ROOT, "li", Grant(Role.ADMINISTRATOR, NORTH), "second one")
    roster.disable(actor("li"), "root", "left")


def test_the_first_administrator_is_enrolled_once(db: Engine, clock: VirtualClock) -> None:
    roster = staff(db, clock)
    with pytest.raises(Refused, match="enrolled already"):
        roster.enrol_first("eve", "Eve", NORTH, "somewhere")


@pytest.mark.parametrize("name", ["system", "", "Li", "li/wang", "-li", "李", "x" * 64])
def test_a_name_that_cannot_name_an_operator_is_refused(db: Engine, clock: VirtualClock, name: str) -> None:
    with pytest.raises(Refused, match="cannot name an operator"):
        Roster(db, clock).enrol_first(name, "Li", NORTH, "campus init")


def test_every_change_leaves_who_when_where_what_why_before_and_after(
    db: Engine, clock: VirtualClock
) -> None:
    roster = staff(db, clock)
    clock.advance(1_000)
    roster.enrol(ROOT, "li", "李", NORTH, "new cashier")
    roster.grant(ROOT, "li", Grant(Role.CASHIER, CANTEENS), "contract 12")
    clock.advance(1_000)
    roster.revoke(Actor("root", "phone"), "li", Grant(Role.CASHIER, CANTEENS), "moved")
    roster.disable(ROOT, "li", "left")
    now = clock.unix_ms()
    role = '{"role":"cashier","scope":"north/canteens"}'
    told = [
        (e.at_unix_ms, e.operator, e.place, e.action, e.why, e.before, e.after)
        for e in reversed(entries(db, subject="li"))
    ]
    desk = "console 127.0.0.1"
    enrolled = '{"display_name":"李","operator":"li"}'
    assert told == [
        (now - 1_000, "root", desk, "operator.enrol", "new cashier", None, enrolled),
        (now - 1_000, "root", desk, "operator.grant", "contract 12", None, role),
        (now, "root", "phone", "operator.revoke", "moved", role, None),
        (
            now,
            "root",
            desk,
            "operator.disable",
            "left",
            '{"disabled_at_unix_ms":null,"grants":[]}',
            f'{{"disabled_at_unix_ms":{now}}}',
        ),
    ]


def test_what_was_refused_leaves_no_trail(db: Engine, clock: VirtualClock) -> None:
    roster = staff(db, clock)
    before = entries(db)
    with pytest.raises(NotFound, match="no operator nobody"):
        roster.grant(ROOT, "nobody", Grant(Role.CASHIER, NORTH), "")
    assert entries(db) == before
