"""The operators of a small campus, for the tests of what they may do."""

from sqlalchemy import Engine

from campus_node.operators.audit import Actor
from campus_node.operators.permissions import Grant, Role, Scope, parse_scope
from campus_node.operators.roster import Roster
from federation.clock import VirtualClock

NORTH = parse_scope("north")
CANTEENS = parse_scope("north/canteens")
NOODLES = parse_scope("north/canteens/noodles")
ROOT = Actor("root", "console 127.0.0.1")


def actor(operator: str) -> Actor:
    return Actor(operator, "desk 3")


def staff(db: Engine, clock: VirtualClock, **roles: tuple[Role, Scope]) -> Roster:
    """Enrol an administrator named root, and everybody named with one role."""
    roster = Roster(db, clock)
    roster.enrol_first("root", "The first one", NORTH, "campus init")
    for operator, (role, scope) in roles.items():
        roster.enrol(ROOT, operator, operator.title(), NORTH, "works here")
        roster.grant(ROOT, operator, Grant(role, scope), "contract 12")
    return roster
