"""Messages in the database. Each function works inside the caller's transaction.

A message is claimed before it is delivered: its next attempt is put off, so that no other relay takes it, and
the attempt is counted, so that a message which kills its process is given up in the end.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select, text, update

from campus_node.outbox.tables import outbox

_ENQUEUE = text("""
INSERT INTO outbox (message, topic, body, created_at_unix_ms, attempts, next_attempt_at_unix_ms)
VALUES (:message, :topic, :body, :now, 0, :now)
ON CONFLICT (message) DO NOTHING
""")
_RECEIVE = text("""
INSERT INTO inbox (receiver, message, received_at_unix_ms) VALUES (:receiver, :message, :now)
ON CONFLICT (receiver, message) DO NOTHING
""")
_FORGET_SENT = text("""
DELETE FROM outbox WHERE message IN (
    SELECT message FROM outbox WHERE delivered_at_unix_ms < :before LIMIT :limit)
""")
_FORGET_RECEIVED = text("""
DELETE FROM inbox WHERE (receiver, message) IN (
    SELECT receiver, message FROM inbox WHERE received_at_unix_ms < :before LIMIT :limit)
""")
_ERROR_CHARS_MAX = 500


@dataclass(frozen=True, slots=True)
class Message:
    """Something to be told.

    Args:
        message: its id, chosen by the sender; the receiver recognises a repeat by it.
        attempts: deliveries begun, this one included.
    """

    message: str
    topic: str
    body: str
    created_at_unix_ms: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits under one topic."""

    topic: str
    waiting: int
    dead: int
    oldest_created_at_unix_ms: int | None  # of what waits


def enqueue(connection: Connection, message: str, topic: str, body: str, now_unix_ms: int) -> None:
    """Store a message together with whatever the transaction changes; repeating its id adds nothing."""
    connection.execute(_ENQUEUE, {"message": message, "topic": topic, "body": body, "now": now_unix_ms})


def is_first(connection: Connection, receiver: str, message: str, now_unix_ms: int) -> bool:
    """Tell whether the receiver sees the message for the first time, and remember it.

    Only what the receiver changes in the same transaction takes effect exactly once.
    """
    parameters = {"receiver": receiver, "message": message, "now": now_unix_ms}
    return connection.execute(_RECEIVE, parameters).rowcount == 1


def anything_due(connection: Connection, topics: Collection[str], now_unix_ms: int, horizon_ms: int) -> bool:
    """Tell whether a message of these topics is due; horizon as in `claim`."""
    query = select(outbox.c.message).where(_due(topics, now_unix_ms, horizon_ms)).limit(1)
    return connection.execute(query).first() is not None


def claim(
    connection: Connection,
    topics: Collection[str],
    now_unix_ms: int,
    horizon_ms: int,
    claimed_until_unix_ms: int,
) -> Message | None:
    """Take the message that has waited longest; nobody else gets it until the claim lapses.

    Args:
        horizon_ms: the longest that anything is ever put off. What is put off longer was so by a clock that
            has been set back since, and is due now.
    """
    chosen = (
        select(outbox.c.message)
        .where(_due(topics, now_unix_ms, horizon_ms))
        .order_by(outbox.c.next_attempt_at_unix_ms, outbox.c.created_at_unix_ms, outbox.c.message)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = connection.execute(
        update(outbox)
        .where(outbox.c.message == chosen.scalar_subquery())
        .values(attempts=outbox.c.attempts + 1, next_attempt_at_unix_ms=claimed_until_unix_ms)
        .returning(
            outbox.c.message, outbox.c.topic, outbox.c.body, outbox.c.created_at_unix_ms, outbox.c.attempts
        )
    ).first()
    return None if row is None else Message(*row)


def mark_delivered(connection: Connection, message: str, now_unix_ms: int) -> None:
    """Record that the receiver has the message; it is not sent again."""
    _set(connection, message, delivered_at_unix_ms=now_unix_ms, last_error=None)


def mark_failed(connection: Connection, message: str, error: str, next_attempt_at_unix_ms: int) -> None:
    """Record why an attempt failed and when the next is due."""
    _set(
        connection,
        message,
        next_attempt_at_unix_ms=next_attempt_at_unix_ms,
        last_error=error[:_ERROR_CHARS_MAX],
    )


def mark_dead(connection: Connection, message: str, error: str, now_unix_ms: int) -> None:
    """Give the message up; it stays until somebody revives it."""
    _set(connection, message, dead_at_unix_ms=now_unix_ms, last_error=error[:_ERROR_CHARS_MAX])


def revive(connection: Connection, message: str, now_unix_ms: int) -> bool:
    """Try a message again that was given up, with all its attempts. False = it is not dead."""
    revived = connection.execute(
        update(outbox)
        .where(outbox.c.message == message, outbox.c.dead_at_unix_ms.is_not(None))
        .values(dead_at_unix_ms=None, attempts=0, next_attempt_at_unix_ms=now_unix_ms)
    )
    return revived.rowcount == 1


def forget(connection: Connection, before_unix_ms: int, limit: int) -> None:
    """Delete what was delivered or received before an instant, at most `limit` of each."""
    parameters = {"before": before_unix_ms, "limit": limit}
    connection.execute(_FORGET_SENT, parameters)
    connection.execute(_FORGET_RECEIVED, parameters)


def backlog(connection: Connection) -> list[Backlog]:
    """Return what is not delivered, by topic."""
    alive = outbox.c.dead_at_unix_ms.is_(None)
    query = (
        select(
            outbox.c.topic,
            func.count().filter(alive),
            func.count().filter(~alive),
            func.min(outbox.c.created_at_unix_ms).filter(alive),
        )
        .where(outbox.c.delivered_at_unix_ms.is_(None))
        .group_by(outbox.c.topic)
        .order_by(outbox.c.topic)
    )
    return [Backlog(*row) for row in connection.execute(query)]


def _due(topics: Collection[str], now_unix_ms: int, horizon_ms: int) -> ColumnElement[bool]:
    time_has_come = (
        (outbox.c.attempts == 0)  # never put off, whatever clock its sender had
        | (outbox.c.next_attempt_at_unix_ms <= now_unix_ms)
        | (outbox.c.next_attempt_at_unix_ms > now_unix_ms + horizon_ms)
    )
    return (
        outbox.c.delivered_at_unix_ms.is_(None)
        & outbox.c.dead_at_unix_ms.is_(None)
        & time_has_come
        & outbox.c.topic.in_(sorted(topics))
    )


def _set(connection: Connection, message: str, **values: object) -> None:
    # Another relay may have delivered it after our claim had lapsed: what is delivered stays so.
    undelivered = (outbox.c.message == message) & outbox.c.delivered_at_unix_ms.is_(None)
    connection.execute(update(outbox).where(undelivered).values(**values))
