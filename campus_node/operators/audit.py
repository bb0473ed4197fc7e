"""The audit trail: who did what, when, from where, to what and why. Append-only and hash-chained.

Each entry's hash covers the hash before it, so that a changed, removed or inserted entry breaks the chain
from there on. A cut-off or wholly rewritten trail is found by comparing with a head that was noted outside.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, Row, insert, select, text, update

from campus_node.database.connect import reading, writing
from campus_node.operators.canonical import HASH_BYTES, canonical_json
from campus_node.operators.tables import audit, audit_head
from federation.clock import Clock
from federation.errors import JournalBroken

GENESIS: Final = bytes(HASH_BYTES)
SYSTEM: Final = "system"  # acts where no person does; nobody can be enrolled under it
LISTED_MAX: Final = 1000
_HEAD: Final = 1
_FETCHED: Final = 1000
_FIRST_HEAD = text(
    "INSERT INTO audit_head (head, seq, chain_hash) VALUES (:head, 0, :hash) ON CONFLICT (head) DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and from where: an address, a terminal, a command line."""

    operator: str
    place: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the trail; before and after are canonical JSON."""

    seq: int
    at_unix_ms: int
    operator: str
    place: str
    action: str
    subject: str
    why: str
    before: str | None
    after: str | None


class AuditHead(NamedTuple):
    """Where the trail ends; worth noting where this database's owner cannot write."""

    seq: int
    chain_hash: bytes  # 32 bytes


class AuditedChange:
    """A transaction that leaves its trail; all of these come one after the other."""

    def __init__(self, connection: Connection, now_unix_ms: int, head: AuditHead) -> None:
        self.connection = connection
        self.now_unix_ms = now_unix_ms
        self._head = head

    def record(
        self,
        actor: Actor,
        action: str,
        subject: str,
        why: str,
        *,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None:
        """Append an entry; it is committed with the change or not at all."""
        entry = AuditEntry(
            self._head.seq + 1,
            self.now_unix_ms,
            actor.operator,
            actor.place,
            action,
            subject,
            why,
            None if before is None else canonical_json(before),
            None if after is None else canonical_json(after),
        )
        self._head = AuditHead(entry.seq, chain_hash(self._head.chain_hash, entry))
        values = {name: getattr(entry, name) for name in entry.__slots__}
        self.connection.execute(insert(audit).values(**values, chain_hash=self._head.chain_hash))
        self.connection.execute(
            update(audit_head)
            .where(audit_head.c.head == _HEAD)
            .values(seq=self._head.seq, chain_hash=self._head.chain_hash)
        )


@contextmanager
def auditing(db: Engine, clock: Clock) -> Iterator[AuditedChange]:
    """Give a transaction for a change that is audited; other such changes wait for it.

    Raises:
        StoreDown, OutcomeUnknown: as `campus_node.database.connect.writing`.
    """
    with writing(db) as connection:
        connection.execute(_FIRST_HEAD, {"head": _HEAD, "hash": GENESIS})
        locked = select(audit_head.c.seq, audit_head.c.chain_hash).with_for_update()
        head = AuditHead(*connection.execute(locked).one())
        yield AuditedChange(connection, clock.unix_ms(), head)


def chain_hash(previous: bytes, entry: AuditEntry) -> bytes:
    """Return SHA-256(previous hash ‖ the entry's fields as canonical JSON); 32 bytes."""
    fields = {name: getattr(entry, name) for name in entry.__slots__}
    return hashlib.sha256(previous + canonical_json(fields).encode()).digest()


def verify(db: Engine, noted: AuditHead | None = None) -> AuditHead:
    """Recompute the chain; return where it ends.

    Args:
        noted: an earlier head, kept elsewhere; the trail must still contain it.

    Raises:
        JournalBroken: an entry was changed, removed or inserted; the message says which.
    """
    head = AuditHead(0, GENESIS)
    noted_seen = noted is None or noted == head
    with reading(db) as connection:
        query = select(audit).order_by(audit.c.seq).execution_options(yield_per=_FETCHED)
        for row in connection.execute(query):
            entry = _entry(row)
            if entry.seq != head.seq + 1:
                raise JournalBroken(f"audit trail: entry {head.seq + 1} is missing, {entry.seq} follows")
            head = AuditHead(entry.seq, chain_hash(head.chain_hash, entry))
            if head.chain_hash != row.chain_hash:
                raise JournalBroken(f"audit trail: entry {entry.seq} was changed")
            noted_seen = noted_seen or head == noted
        stored = connection.execute(select(audit_head.c.seq, audit_head.c.chain_hash)).first()
    if (stored is None and head.seq) or (stored is not None and AuditHead(*stored) != head):
        raise JournalBroken(f"audit trail: it ends at entry {head.seq}, but its head says otherwise")
    if not noted_seen:
        raise JournalBroken(f"audit trail: the noted entry {noted and noted.seq} is not in it any more")
    return head


def entries(
    db: Engine, *, subject: str | None = None, before_seq: int | None = None, limit: int = 100
) -> list[AuditEntry]:
    """Return entries, newest first; `before_seq` gives the next page."""
    assert 0 < limit <= LISTED_MAX, f"limit must be 1 to {LISTED_MAX}"
    query = select(audit).order_by(audit.c.seq.desc()).limit(limit)
    if subject is not None:
        query = query.where(audit.c.subject == subject)
    if before_seq is not None:
        query = query.where(audit.c.seq < before_seq)
    with reading(db) as connection:
        return [_entry(row) for row in connection.execute(query)]


def _entry(row: Row[tuple[object, ...]]) -> AuditEntry:
    return AuditEntry(*(getattr(row, name) for name in AuditEntry.__slots__))
