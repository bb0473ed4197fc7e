"""The registry by its commands, and on both databases."""

from tests.campus.conftest import _quiet_environment, campus, new_campus, north, staff, staffed_campus
from tests.rooms.conftest import clock, db, sqlite_template, url

__all__ = [
    "_quiet_environment",
    "campus",
    "clock",
    "db",
    "new_campus",
    "north",
    "sqlite_template",
    "staff",
    "staffed_campus",
    "url",
]
