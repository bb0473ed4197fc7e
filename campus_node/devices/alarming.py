"""Turns changes of health into alarms: raised once when it happens, closed when it is over.

A line that is down takes its devices with it: theirs are not raised beside it, and not closed either, until
the line is up again and they speak for themselves.
"""

from typing import Final

from sqlalchemy import Connection, update

from campus_node.devices.health import Health, Part, alarm_keys, alarm_of
from campus_node.watch.store import raise_alarm
from campus_node.watch.tables import alarms

CLOSED_BY: Final = "devices"  # not a person: it was well again
LINE_DOWN: Final = frozenset({Health.FAILED, Health.SILENT, Health.ISOLATED})


def tell(
    connection: Connection,
    part: Part,
    subject: str,
    health: Health,
    evidence: dict[str, object],
    now_unix_ms: int,
) -> None:
    """Raise the alarm that a new health is worth, and close those of the health before."""
    alarm = alarm_of(part, health, subject, evidence)
    keys = [key for each, key in alarm_keys(part, subject).items() if each is not health or alarm is None]
    close_keys(connection, keys, now_unix_ms)
    if alarm is not None:
        raise_alarm(connection, alarm, now_unix_ms)


def close_all(connection: Connection, part: Part, subject: str, now_unix_ms: int) -> None:
    """Close whatever its health has raised: it is gone."""
    close_keys(connection, list(alarm_keys(part, subject).values()), now_unix_ms)


def close_keys(connection: Connection, keys: list[str], now_unix_ms: int) -> None:
    """Close the open alarms of these keys."""
    connection.execute(
        update(alarms)
        .where(alarms.c.dedupe_key.in_(keys), alarms.c.closed_at_unix_ms.is_(None))
        .values(closed_at_unix_ms=now_unix_ms, closed_by=CLOSED_BY)
    )


def device_alarm_changes(
    line_before: Health | None, before: Health | None, line_now: Health | None, now: Health
) -> bool:
    """Tell whether a device's alarms must be looked at. Pure.

    Args:
        line_before, before: None = it was not known.
    """
    if before is None and now is Health.WELL:
        return False  # it has raised nothing yet
    if line_now in LINE_DOWN:
        return now is Health.WELL and before is not Health.WELL
    return before is not now or line_before in LINE_DOWN
