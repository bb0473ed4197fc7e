"""What gateways are to be told: the newest word of each key, in the order in which it was said.

A gateway that attaches is told everything that still holds, then what is new: it needs no memory of its own.
Numbers of notices follow the wall clock, so that a database that was restored gives none out again.
"""

from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, insert, or_, select, text, update

from campus_node.notices.tables import announcements, notice_head
from campuscard.v1 import gateway_pb2 as pb

_HEAD: Final = 1
_FIRST_HEAD = text(
    "INSERT INTO notice_head (head, number, mark) VALUES (:head, 0, 0) ON CONFLICT (head) DO NOTHING"
)


class Told(NamedTuple):
    """What a gateway is to be told, and the mark to ask from next time."""

    mark: int
    messages: list[pb.NodeToGateway]


class Announcing:
    """A transaction in which something is said; all of these come one after the other."""

    def __init__(self, connection: Connection, now_unix_ms: int) -> None:
        connection.execute(_FIRST_HEAD, {"head": _HEAD})
        locked = select(notice_head.c.number, notice_head.c.mark).with_for_update()
        number, mark = connection.execute(locked).one()
        self.connection = connection
        self.now_unix_ms = now_unix_ms
        self._number: int = number
        self._mark: int = mark

    def next_number(self) -> int:
        """Return the number of a new notice: above all others, also after a restore of the database."""
        self._number = max(self._number + 1, self.now_unix_ms)
        self._store()
        return self._number

    def announce(
        self, key: str, message: pb.NodeToGateway, expires_at_unix_ms: int, gateway: str | None = None
    ) -> None:
        """Say something; what was said under the same key before is forgotten."""
        self._mark += 1
        self._store()
        self.forget(key)
        self.connection.execute(
            insert(announcements).values(
                key=key,
                mark=self._mark,
                gateway=gateway,
                body=message.SerializeToString(deterministic=True),
                expires_at_unix_ms=expires_at_unix_ms,
            )
        )

    def forget(self, key: str) -> None:
        """Tell nobody any more what was said under this key."""
        self.connection.execute(delete(announcements).where(announcements.c.key == key))

    def forget_expired(self) -> None:
        """Drop what nobody would take any more."""
        self.connection.execute(
            delete(announcements).where(announcements.c.expires_at_unix_ms <= self.now_unix_ms)
        )

    def _store(self) -> None:
        self.connection.execute(
            update(notice_head)
            .where(notice_head.c.head == _HEAD)
            .values(number=self._number, mark=self._mark)
        )


def told_since(connection: Connection, gateway: str, mark: int, now_unix_ms: int) -> Told:
    """Return what a gateway is to be told that was told everything up to this mark; 0 = nothing yet."""
    query = (
        select(announcements.c.mark, announcements.c.body)
        .where(
            announcements.c.mark > mark,
            announcements.c.expires_at_unix_ms > now_unix_ms,
            or_(announcements.c.gateway.is_(None), announcements.c.gateway == gateway),
        )
        .order_by(announcements.c.mark)
    )
    messages = []
    for row in connection.execute(query):
        mark = row.mark
        messages.append(pb.NodeToGateway.FromString(row.body))
    return Told(mark, messages)
