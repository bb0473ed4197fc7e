"""Records and the registry are tested on both databases."""

import pytest
from sqlalchemy import Engine

from campus_node.records.intake import Intake
from federation.clock import VirtualClock
from tests.records.build import FOURTEEN, SEVEN, register_all
from tests.rooms.conftest import clock, db, sqlite_template, url
from tests.serving.conftest import free_ports, north, template

__all__ = ["clock", "db", "free_ports", "north", "sqlite_template", "template", "url"]


@pytest.fixture
def intake(db: Engine, clock: VirtualClock) -> Intake:
    """Return the intake of a campus with two terminals, SEVEN and FOURTEEN, at the gateway canteen."""
    register_all(db, clock, SEVEN, FOURTEEN)
    return Intake(db, clock)
