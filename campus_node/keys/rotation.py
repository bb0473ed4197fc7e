"""New versions of keys: which card has which, the least that a range may use, and how a card is upgraded.

A new version or algorithm is issued beside the old one; terminals' PSAMs get it first, cards at their next
tap at a connected terminal, old keys are deleted in each card, and at the end the minimum of the range goes
up (A22, B2.3).

The upgrade of a card keeps no state: what is left to do follows from the card's own key list, one command at
a time, so that it goes on wherever it was torn. The list may be read anywhere; commands are made where the
keys are.
"""

import sqlite3
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from campus_node.keys.hierarchy import ASN_BYTES, KEY_BYTES, Usage, algorithm_word, campus_key, card_factor
from campus_node.keys.messaging import StoredMessagingKey
from campus_node.keys.store import KeyStore
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.apdu import Command, demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.errors import AnswerUnreadable
from campus_node.purse.key_writing import (
    CARD_USAGE_OF,
    KeyInCard,
    delete_key_command,
    is_there,
    key_list,
    row_of,
    write_key_command,
)
from campus_node.purse.profile import ProfileKey
from campus_node.purse.secure_messaging import challenge_of, signed_part, with_mac
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import Misconfigured, Refused

STEPS_MAX: Final = 4 * KEY_BYTES  # of one upgrade; a card that never ends is not one of ours
_BUSY_WITHIN_S: Final = 10
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS card_key (asn BLOB, usage TEXT, key_index INTEGER, version INTEGER,"
    " algorithm INTEGER, seen_at_unix_ms INTEGER, PRIMARY KEY (asn, usage, key_index)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS minimum (first_asn BLOB PRIMARY KEY, last_asn BLOB, version INTEGER,"
    " algorithm INTEGER) WITHOUT ROWID",
)


class UpgradeStuck(Refused):
    """The card takes the commands and its key list does not change."""


class StepKind(Enum):
    """What one command of an upgrade does."""

    WRITE = "write"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Step:
    """One command of an upgrade."""

    kind: StepKind
    row: KeyInCard

    @property
    def usage(self) -> Usage:
        """What the key is for."""
        return CARD_USAGE_OF[self.row.type]


def steps_left(
    target: Sequence[ProfileKey], present: Sequence[KeyInCard], *, delete: bool = True
) -> list[Step]:
    """Return what a card still needs: what is written, then what is deleted; maintenance keys last of each.

    Args:
        target: the keys that the card shall have in the end.
        present: the card's key list.
        delete: False keeps the old keys beside the new ones.
    """
    wanted = sorted((row_of(key) for key in target), key=_maintenance_last)
    steps = [Step(StepKind.WRITE, row) for row in wanted if not is_there(row, present)]
    if delete:
        replaced = {(row.type, row.index) for row in wanted}  # writing there takes the old one away
        old = [
            row
            for row in sorted(present, key=_maintenance_last)
            if row.type in CARD_USAGE_OF and (row.type, row.index) not in replaced
        ]
        steps += [Step(StepKind.DELETE, row) for row in old]
    return steps


def command_of(
    step: Step, asn: bytes, present: Sequence[KeyInCard], challenge: bytes, store: KeyStore, issuer: bytes
) -> Command:
    """Return the command of one step, protected for the next thing that this card does.

    Args:
        asn: of the card, 10 bytes.
        present: the card's key list, which tells the maintenance key in force.
        challenge: what the card gave just now.

    Raises:
        AnswerUnreadable: the list has no maintenance key.
        KeyUnknown: the store lacks the new key, or the one in force.
    """
    factors = (card_factor(asn),)
    in_force = min((row for row in present if _is_maintenance(row)), key=lambda row: row.index, default=None)
    if in_force is None:
        raise AnswerUnreadable(Sentence("the card has no maintenance key"))
    name = campus_key(Usage.MAINTENANCE, in_force.version, in_force.algorithm, issuer)
    under = StoredMessagingKey(store, name, factors)
    if step.kind is StepKind.DELETE:
        command = delete_key_command(step.row)
    else:
        command = write_key_command(step.row, issuer, step.usage, factors, under)
    return with_mac(command, under.mac(challenge, signed_part(command)))


def upgrade_card(
    channel: CardChannel,
    asn: bytes,
    target: Sequence[ProfileKey],
    store: KeyStore,
    issuer: bytes,
    *,
    delete: bool = True,
) -> int:
    """Bring the selected application of a card to its target keys, and return how many commands that took.

    Torn anywhere, it is repeated with the same card and goes on.

    Raises:
        UpgradeStuck: the card does not do what it acknowledges.
        CardRefused, CardLeft, ReaderLost: see `apdu.demand`.
    """
    for done in range(STEPS_MAX):
        present = key_list(channel)
        left = steps_left(target, present, delete=delete)
        if not left:
            return done
        demand(channel, command_of(left[0], asn, present, challenge_of(channel), store, issuer))
    raise UpgradeStuck(Sentence("the card's keys do not change: take it out of use and look at it"))


@dataclass(frozen=True, slots=True)
class KeyMinimum:
    """The oldest keys that cards of a range may still use; signed by the issuer before terminals take it.

    Args:
        first, last: ASNs, both belong to the range.
        version: the lowest.
        algorithm: SM4 also refuses 3DES of any version.
    """

    first: bytes
    last: bytes
    version: int
    algorithm: Algorithm

    def __post_init__(self) -> None:
        if len(self.first) != ASN_BYTES or len(self.last) != ASN_BYTES or self.first > self.last:
            raise Misconfigured(Sentence("a range goes from one ASN of 20 digits to the same or a later one"))

    def covers(self, asn: bytes) -> bool:
        """Tell whether a card is of this range."""
        return self.first <= asn <= self.last

    def admits(self, version: int, algorithm: Algorithm) -> bool:
        """Tell whether such a key may be used."""
        return version >= self.version and (algorithm is Algorithm.SM4 or self.algorithm is Algorithm.TDES)


@dataclass(frozen=True, slots=True)
class Progress:
    """How many cards of a range have exactly these versions of a key, such as "1/3des + 2/sm4"."""

    versions: str
    cards: int


class RotationBook:
    """What cards were last seen with, and the minimums: one SQLite file beside the key store, without keys.

    Args:
        path: the file; ":memory:" keeps it in this process.
    """

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(
            path, timeout=_BUSY_WITHIN_S, isolation_level=None, check_same_thread=False
        )
        self._lock = threading.Lock()
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        for table in _TABLES:
            self._db.execute(table)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def note(self, asn: bytes, rows: Sequence[KeyInCard], clock: Clock) -> None:
        """Write down a card's key list as it was seen now."""
        seen = [
            (asn, CARD_USAGE_OF[row.type].value, row.index, row.version, int(row.algorithm), clock.unix_ms())
            for row in rows
            if row.type in CARD_USAGE_OF
        ]
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM card_key WHERE asn = ?", (asn,))
            self._db.executemany("INSERT INTO card_key VALUES (?, ?, ?, ?, ?, ?)", seen)
            self._db.execute("COMMIT")

    def progress(self, first: bytes, last: bytes, usage: Usage = Usage.PURCHASE) -> list[Progress]:
        """Return how many cards of a range are at which versions; the most frequent first."""
        found = self._all(
            "SELECT asn, version, algorithm FROM card_key WHERE asn BETWEEN ? AND ? AND usage = ?"
            " ORDER BY asn, version, algorithm",
            first,
            last,
            usage.value,
        )
        cards: dict[bytes, list[str]] = {}
        for asn, version, algorithm in found:
            cards.setdefault(asn, []).append(f"{version}/{algorithm_word(Algorithm(algorithm))}")
        counted = Counter(" + ".join(versions) for versions in cards.values())
        return [Progress(versions, count) for versions, count in counted.most_common()]

    def set_minimum(self, minimum: KeyMinimum) -> None:
        """Set the minimum of a range. It never goes down: that would bring broken keys back.

        Raises:
            Misconfigured: it is lower than what holds, or overlaps another range.
        """
        for known in self.minimums():
            same = (known.first, known.last) == (minimum.first, minimum.last)
            if not same and known.first <= minimum.last and minimum.first <= known.last:
                raise Misconfigured(
                    Sentence("this range overlaps the one from {first}", first=known.first.hex())
                )
            lower = minimum.version < known.version or (
                known.algorithm is Algorithm.SM4 and minimum.algorithm is Algorithm.TDES
            )
            if same and lower:
                raise Misconfigured(Sentence("the minimum of a range never goes down"))
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO minimum VALUES (?, ?, ?, ?)",
                (minimum.first, minimum.last, minimum.version, int(minimum.algorithm)),
            )

    def minimums(self) -> list[KeyMinimum]:
        """Return all minimums, by range."""
        rows = self._all("SELECT first_asn, last_asn, version, algorithm FROM minimum ORDER BY first_asn")
        return [KeyMinimum(first, last, version, Algorithm(a)) for first, last, version, a in rows]

    def admits(self, asn: bytes, version: int, algorithm: Algorithm) -> bool:
        """Tell whether a card may use such a key; where no range covers it, it may."""
        return all(each.admits(version, algorithm) for each in self.minimums() if each.covers(asn))

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:  # whatever SQLite stores
        with self._lock:
            return self._db.execute(query, values).fetchall()


def _is_maintenance(row: KeyInCard) -> bool:
    return CARD_USAGE_OF.get(row.type) is Usage.MAINTENANCE


def _maintenance_last(row: KeyInCard) -> tuple[bool, KeyInCard]:
    return _is_maintenance(row), row
