"""Keys under which devices of others report: shown once, kept as a hash, good for some kinds of device.

A key is `cck_<name>.<secret>`; the secret is 32 random bytes in base64url. So much randomness needs no slow
hash: SHA-256 of it is kept, compared in constant time.
"""

import hashlib
import hmac
import json
import math
import re
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, insert, select, update

from campus_node.database.connect import reading
from campus_node.devices.tables import device_keys
from campus_node.operators.audit import Actor, AuditedChange
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import NotFound, NotIdentified, Refused
from federation.identity import is_name

PREFIX: Final = "cck_"
SECRET_BYTES: Final = 32
KINDS_MAX: Final = 32
KEYS_MAX: Final = 1_024
KNOWN_FOR_S: Final = 2.0  # so soon a revoked key is refused
_BEARER: Final = re.compile(r"cck_([a-z0-9-]{1,63})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """What a key is good for.

    Args:
        key: its name.
        kinds: kinds of device that it may report.
        reads: whether it may read what is known of all devices.
    """

    key: str
    kinds: tuple[str, ...]
    reads: bool
    created_by: str
    created_at_unix_ms: int
    revoked_at_unix_ms: int | None


def create_key(
    change: AuditedChange, actor: Actor, key: str, kinds: Sequence[str], *, reads: bool, why: str
) -> str:
    """Make a key and return it, `cck_…`: nobody can ever read it again.

    Args:
        change: the transaction, in which the actor's permission was checked.
        key: its name; it stays taken for ever.
        kinds: may be empty for a key that only reads.

    Raises:
        Refused: the name or a kind is none, the name is taken, or it could neither report nor read.
    """
    wrong = next((text for text in (key, *kinds) if not is_name(text)), None)
    if wrong is not None:
        raise Refused(Sentence('"{text}" is no name: 1 to 63 of a-z, 0-9 and hyphen', text=wrong))
    if not kinds and not reads:
        raise Refused(Sentence("such a key is good for nothing: name a kind of device, or let it read"))
    if len(kinds) > KINDS_MAX:
        raise Refused(Sentence("a key has at most {most} kinds of device", most=KINDS_MAX))
    known = _keys(change.connection)
    if key in known:
        raise Refused(Sentence("there is, or was, a key {key}: choose another name", key=key))
    if len(known) >= KEYS_MAX:
        raise Refused(Sentence("there are {most} keys already", most=KEYS_MAX))
    secret = secrets.token_urlsafe(SECRET_BYTES)
    good_for = {"kinds": sorted(set(kinds)), "reads": reads}
    change.connection.execute(
        insert(device_keys).values(
            key=key,
            secret_hash=_hash(secret),
            kinds=json.dumps(good_for["kinds"]),
            reads=reads,
            created_by=actor.operator,
            created_at_unix_ms=change.now_unix_ms,
        )
    )
    change.record(actor, "device.key.create", key, why, after=good_for)
    return f"{PREFIX}{key}.{secret}"


def revoke_key(change: AuditedChange, actor: Actor, key: str, why: str) -> None:
    """Let a key do nothing any more; a running node knows within KNOWN_FOR_S.

    Raises:
        NotFound: there is no such key.
        Refused: it was revoked before.
    """
    revoked = change.connection.execute(
        update(device_keys)
        .where(device_keys.c.key == key, device_keys.c.revoked_at_unix_ms.is_(None))
        .values(revoked_at_unix_ms=change.now_unix_ms)
    )
    if revoked.rowcount == 0:
        if key not in _keys(change.connection):
            raise NotFound(Sentence("there is no key {key}", key=key))
        raise Refused(Sentence("key {key} was revoked before", key=key))
    change.record(actor, "device.key.revoke", key, why)


def all_keys(connection: Connection) -> list[DeviceKey]:
    """Return every key, revoked ones too, by name."""
    return [key for key, _ in _keys(connection).values()]


class KeyRing:
    """Recognises keys; asks the database one question at a time, however many call. Thread-safe.

    What is known is believed for KNOWN_FOR_S; a name that is not known is looked up at once.

    Args:
        db: where they are kept.
        clock: monotonic time.
    """

    def __init__(self, db: Engine, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[DeviceKey, bytes]] = {}
        self._good_until_s = -math.inf

    def recognise(self, authorization: str) -> DeviceKey:
        """Return the key of an Authorization header, `Bearer cck_…`.

        Raises:
            NotIdentified: there is none, or it is none of ours, or revoked; which, is not said.
            StoreDown: the database does not answer.
        """
        scheme, _, bearer = authorization.strip().partition(" ")
        match = _BEARER.fullmatch(bearer.strip())
        if scheme.lower() != "bearer" or match is None:
            raise NotIdentified(Sentence("show a device key: Authorization: Bearer cck_…"))
        found = self._find(match[1])
        its_hash = found[1] if found is not None else bytes(32)
        right = hmac.compare_digest(_hash(match[2]), its_hash)
        if not right or found is None or found[0].revoked_at_unix_ms is not None:
            raise NotIdentified(Sentence("this device key is not known here, or was revoked"))
        return found[0]

    def _find(self, key: str) -> tuple[DeviceKey, bytes] | None:
        with self._lock:
            now_s = self._clock.monotonic_s()
            if now_s >= self._good_until_s:
                with reading(self._db) as connection:
                    self._known = _keys(connection)
                self._good_until_s = now_s + KNOWN_FOR_S
            elif key not in self._known:
                with reading(self._db) as connection:
                    self._known |= _keys(connection, key)
            return self._known.get(key)


def _keys(connection: Connection, only: str = "") -> dict[str, tuple[DeviceKey, bytes]]:
    query = select(device_keys).order_by(device_keys.c.key)
    if only:
        query = query.where(device_keys.c.key == only)
    return {
        row.key: (
            DeviceKey(
                row.key,
                tuple(json.loads(row.kinds)),
                row.reads,
                row.created_by,
                row.created_at_unix_ms,
                row.revoked_at_unix_ms,
            ),
            bytes(row.secret_hash),
        )
        for row in connection.execute(query)
    }


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
