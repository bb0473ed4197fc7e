"""Records and the registry are tested on both databases."""

import pytest
from sqlalchemy import Engine

from campus_node.database.connect import writing
from campus_node.records.intake import Intake
from campus_node.registry.terminals import register
from federation.clock import VirtualClock
from federation.identity import Role
from tests.records.build import FOURTEEN, SEVEN, books, register_all, terminal
from tests.rooms.conftest import clock, db, sqlite_template, url
from tests.serving.conftest import free_ports, north, template
from tests.serving.node import Campus

__all__ = ["clock", "db", "free_ports", "north", "sqlite_template", "template", "url"]


@pytest.fixture
def campus(north: Campus) -> Campus:
    """North with two gateways; canteen serves SEVEN and FOURTEEN, library serves till-21."""
    for name in ("canteen", "library"):
        north.issue(Role.GATEWAY, name)
    db = books(north)
    with writing(db) as connection:
        for each in (SEVEN, FOURTEEN, terminal(21, "library")):
            register(connection, each, north.clock.unix_ms())
    db.dispose()
    return north


@pytest.fixture
def intake(db: Engine, clock: VirtualClock) -> Intake:
    """Return the intake of a campus with two terminals, SEVEN and FOURTEEN, at the gateway canteen."""
    register_all(db, clock, SEVEN, FOURTEEN)
    return Intake(db, clock)
