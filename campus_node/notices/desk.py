"""The desk where everything begins that a campus says to all its terminals (A15, B4.4; rules 29, 32)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from campus_node.database.connect import reading, writing
from campus_node.notices import announcing, holdings, hotlists, orders, parameters
from campus_node.notices.announcing import Announcing, Told
from campus_node.notices.hotlists import HotlistChange
from campus_node.notices.key import HOTLIST_FILE_NAME, signing_key
from campus_node.notices.parameters import ParametersWait
from campus_node.notices.shelf import Shelf
from campus_node.notices.spreading import Spreading
from campus_node.operators.audit import Actor, AuditedChange, auditing
from campus_node.pki.certificates import instant
from campus_node.spending.parameter_values import read_parameters
from campus_node.wording import Sentence
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock


class HotlistChanged(NamedTuple):
    """What became of a change."""

    version: int
    urgent: bool  # said to all terminals at once; otherwise distributed by orders


class NoticeDesk:
    """Signs notices, keeps versions, and says what each gateway must be told.

    Everything raises StoreDown or OutcomeUnknown: repeat it. It may be called by any thread.

    Args:
        db: the campus's database.
        key: with which notices are signed; see `campus_node.notices.key`.
        hotlist_key: with which hotlists are signed.
        shelf: where what is distributed lies.
        clock: tells the time.
    """

    def __init__(
        self,
        db: Engine,
        key: Ed25519PrivateKey,
        hotlist_key: Ed25519PrivateKey,
        shelf: Shelf,
        clock: Clock,
    ) -> None:
        self._db = db
        self._key = key
        self._hotlist_key = hotlist_key
        self.shelf = shelf
        self._clock = clock

    @classmethod
    def of(cls, directory: Path, db: Engine, clock: Clock) -> "NoticeDesk":
        """Return the desk of the campus in a directory; makes its two keys if they are not there.

        Raises:
            Misconfigured: a key cannot be read or made.
        """
        pki = directory / "pki"
        hotlist_key = signing_key(pki, HOTLIST_FILE_NAME)
        return cls(db, signing_key(pki), hotlist_key, Shelf(directory / "data" / "distribution"), clock)

    @property
    def public_key(self) -> bytes:
        """The key under which terminals believe notices: Ed25519, 32 bytes; goes into every TerminalRoll."""
        return self._key.public_key().public_bytes_raw()

    @property
    def hotlist_public_key(self) -> bytes:
        """The key under which anybody believes this campus's hotlists: Ed25519, 32 bytes."""
        return self._hotlist_key.public_key().public_bytes_raw()

    # What operators and other rooms change.

    def change_hotlist(self, actor: Actor, wanted: HotlistChange, why: str) -> HotlistChanged:
        """Refuse cards from now on, or not any more; the same again changes nothing.

        One or a few go to all terminals at once in a notice of up to 216 bytes; more are distributed.
        """
        with self._audited() as (audited, saying):
            before, after = hotlists.change(saying.connection, wanted)
            if before == after:
                return HotlistChanged(after, urgent=True)
            audited.record(
                actor,
                "hotlist.change",
                wanted.issuer.hex().upper(),
                why,
                before={"version": before},
                after={"version": after, "listed": len(wanted.listed), "removed": len(wanted.removed)},
            )
            spreading = Spreading(saying, self._key, self._hotlist_key, self.shelf)
            spreading.say_versions()
            urgent = spreading.revoke(wanted.issuer, before, after)
            if not urgent:
                spreading.order_hotlist(wanted.issuer, after)
            return HotlistChanged(after, urgent)

    def set_parameters(
        self, actor: Actor, content: Mapping[str, str], effective_at_unix_ms: int, why: str
    ) -> int:
        """Replace the parameters of all terminals from an instant on (0 = at once); return their version.

        Raises:
            ParametersWrong: no terminal would take these values. Nothing was changed.
        """
        with self._audited() as (audited, saying):
            return self._say_parameters(audited, saying, actor, dict(content), effective_at_unix_ms, why)

    def change_parameters(
        self, actor: Actor, wanted: Mapping[str, str | None], effective_at_unix_ms: int, why: str
    ) -> int:
        """Change some parameters of the newest version from an instant on; None = its default again.

        Raises:
            ParametersWait: the newest version does not hold yet, and the new one would from another instant.
            ParametersWrong: no terminal would take these values. Nothing was changed.
        """
        with self._audited() as (audited, saying):
            for known in parameters.versions(saying.connection, 1):
                waits = known.effective_at_unix_ms > saying.now_unix_ms
                if waits and known.effective_at_unix_ms != effective_at_unix_ms:
                    raise ParametersWait(_waits(known))
                old: dict[str, str | None] = dict(known.content)
                wanted = old | dict(wanted)
            content = {name: value for name, value in wanted.items() if value is not None}
            return self._say_parameters(audited, saying, actor, content, effective_at_unix_ms, why)

    # What gateways ask and tell.

    def told_since(self, gateway: str, mark: int) -> Told:
        """Return what a gateway is to be told, and the next mark; 0 = it attaches and was told nothing."""
        with reading(self._db) as connection:
            return announcing.told_since(connection, gateway, mark, self._clock.unix_ms())

    def take_progress(self, gateway: str, told: pb.OrderProgress) -> None:
        """Note how far an order has come. Raise Refused if it is none of this gateway's."""
        with self._saying() as saying:
            orders.take_progress(saying, gateway, told)

    def take_reports(self, gateway: str, reports: Mapping[bytes, wire.TerminalReport]) -> None:
        """Note which versions terminals have, and order what they lack.

        Args:
            gateway: that they hang on.
            reports: the newest of each terminal, by its number, 6 bytes.
        """
        with self._saying() as saying:
            for terminal_id, report in reports.items():
                holdings.note(saying, gateway, terminal_id, report)
                orders.note_running(saying, terminal_id, report.firmware_version)
            Spreading(saying, self._key, self._hotlist_key, self.shelf).order_missing(gateway, reports)

    # What is known.

    def hotlist_versions(self) -> dict[bytes, int]:
        """Return the version of each issuer's hotlist."""
        with reading(self._db) as connection:
            return hotlists.versions(connection)

    def hotlist_delta(self, issuer: bytes, from_version: int) -> wire.HotlistDelta | None:
        """Return what leads from a version to the newest one, signed, None if that is it; 0 = everything."""
        with reading(self._db) as connection:
            return hotlists.delta(connection, self._hotlist_key, issuer, from_version)

    def parameters(self) -> wire.Parameters | None:
        """Return the newest parameters; None if there never were any."""
        with reading(self._db) as connection:
            return parameters.newest(connection)

    # What the firmware room orders.

    @contextmanager
    def ordering(self) -> Iterator["Ordering"]:
        """Give a transaction in which orders are made, changed and called off."""
        with self._saying() as saying:
            yield Ordering(saying, self._key)

    def _say_parameters(
        self,
        audited: AuditedChange,
        saying: Announcing,
        actor: Actor,
        content: dict[str, str],
        effective_at_unix_ms: int,
        why: str,
    ) -> int:
        read_parameters(content.items())
        known = parameters.newest(saying.connection)
        new = parameters.replace(saying.connection, content, effective_at_unix_ms, saying.now_unix_ms)
        if known is None or known.version != new.version:
            before = None if known is None else {each.name: each.value for each in known.parameters}
            audited.record(actor, "parameters.change", str(new.version), why, before=before, after=content)
            spreading = Spreading(saying, self._key, self._hotlist_key, self.shelf)
            spreading.say_parameters(new)
            spreading.order_parameters(new)
        return new.version

    @contextmanager
    def _saying(self) -> Iterator[Announcing]:
        with writing(self._db) as connection:
            yield Announcing(connection, self._clock.unix_ms())

    @contextmanager
    def _audited(self) -> Iterator[tuple[AuditedChange, Announcing]]:
        with auditing(self._db, self._clock) as change:
            yield change, Announcing(change.connection, change.now_unix_ms)


def _waits(known: parameters.Version) -> Sentence:
    return Sentence(
        "version {version} of the parameters waits for {instant}: a new one takes its place, from then on",
        version=known.version,
        instant=instant(known.effective_at_unix_ms).isoformat(),
    )


class Ordering:
    """A transaction of the notice desk, for who orders something. Ends with the desk's context."""

    def __init__(self, saying: Announcing, key: Ed25519PrivateKey) -> None:
        self.connection = saying.connection
        self.now_unix_ms = saying.now_unix_ms
        self._saying = saying
        self._key = key

    def make(self, gateway: str, terminals: Sequence[bytes], wanted: orders.Wanted) -> list[int]:
        """See `orders.make`."""
        return orders.make(self._saying, self._key, gateway, terminals, wanted)

    def let_on(self, number: int, stop_at_unix_ms: int) -> None:
        """See `orders.let_on`."""
        orders.let_on(self._saying, number, stop_at_unix_ms)

    def call_off(self, number: int) -> None:
        """See `orders.call_off`."""
        orders.call_off(self._saying, number)
