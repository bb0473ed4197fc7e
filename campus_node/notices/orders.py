"""Orders to gateways: what is to be distributed to which terminals, and how far it has come (B4.4)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Row, delete, insert, select, update

from campus_node.firmware.tables import firmware_images
from campus_node.lines import notice as signed_notice
from campus_node.lines.distribution import BLOCK_BYTES, Manifest
from campus_node.lines.notice import TERMINAL_ID_BYTES, TRANSFER_MAX
from campus_node.notices.announcing import Announcing
from campus_node.notices.tables import orders, progress
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import Refused

TERMINALS_MAX: Final = 100  # of one order: its notice has to fit into one message
FORGET_AFTER_MS: Final = 30 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """An order to be made.

    Args:
        kind: what it is.
        subject: whose version it leads to: an issuer as hexadecimal digits, "parameters", or a model.
        version: that it leads to.
        digest: SHA-256 of the content, on the shelf.
        content: the bytes themselves.
        expires_at_unix_ms: nobody begins to take it after that.
        models: for which models; empty = all.
        from_version: only for terminals with this version or a later one; 0 = any.
        rollout: on whose behalf; None = nobody's.
        load_percent: of a bus; 0 = as the gateway is set.
        stop_at_unix_ms: not after this instant; 0 = whenever.
    """

    kind: wire.DistributionKind.ValueType
    subject: str
    version: int
    digest: bytes
    content: bytes
    expires_at_unix_ms: int
    models: tuple[str, ...] = ()
    from_version: int = 0
    rollout: str | None = None
    load_percent: int = 0
    stop_at_unix_ms: int = 0


class Step(NamedTuple):
    """The newest word about one content at one terminal."""

    terminal_id: bytes
    state: int  # DistributionState
    blocks_stored: int
    blocks: int
    silent: bool
    changed_at_unix_ms: int


def make(
    saying: Announcing, key: Ed25519PrivateKey, gateway: str, terminals: Sequence[bytes], wanted: Wanted
) -> list[int]:
    """Order something to be distributed by one gateway; return its number; more than TERMINALS_MAX take more.

    Raises:
        MessageSize: the content is too large for one notice.
    """
    numbers = []
    ordered = sorted(set(terminals))
    for at in range(0, len(ordered), TERMINALS_MAX):
        number = saying.next_number()
        some = b"".join(ordered[at : at + TERMINALS_MAX])
        saying.connection.execute(
            insert(orders).values(
                number=number,
                gateway=gateway,
                kind=wanted.kind,
                subject=wanted.subject,
                version=wanted.version,
                hash=wanted.digest,
                notice=_notice(key, number, some, wanted),
                terminal_ids=some,
                rollout=wanted.rollout,
                load_percent=wanted.load_percent,
                stop_at_unix_ms=wanted.stop_at_unix_ms,
                is_open=True,
                made_at_unix_ms=saying.now_unix_ms,
                expires_at_unix_ms=wanted.expires_at_unix_ms,
            )
        )
        _announce(saying, number)
        numbers.append(number)
    return numbers


def let_on(saying: Announcing, number: int, stop_at_unix_ms: int) -> None:
    """Let an order go on until another instant; 0 = until it is done."""
    row = orders.c.number == number
    saying.connection.execute(update(orders).where(row).values(stop_at_unix_ms=stop_at_unix_ms, is_open=True))
    _announce(saying, number)


def call_off(saying: Announcing, number: int) -> None:
    """Call an order off; its gateway forgets it, what terminals have stays there."""
    row = saying.connection.execute(select(orders).where(orders.c.number == number)).one()
    saying.connection.execute(update(orders).where(orders.c.number == number).values(is_open=False))
    said = pb.NodeToGateway(order=pb.Order(order=number, notice=row.notice))
    saying.announce(f"order/{number}", said, saying.now_unix_ms + FORGET_AFTER_MS, row.gateway)


def close(saying: Announcing, number: int) -> None:
    """An order is done: nobody is told of it any more."""
    saying.connection.execute(update(orders).where(orders.c.number == number).values(is_open=False))
    saying.forget(f"order/{number}")


def found(
    connection: Connection, *, rollout: str | None = None, subject: str | None = None
) -> list[Row[Any]]:
    """Return open orders, oldest first: of a rollout, or all of a subject."""
    query = select(orders).where(orders.c.is_open).order_by(orders.c.number)
    if rollout is not None:
        query = query.where(orders.c.rollout == rollout)
    if subject is not None:
        query = query.where(orders.c.subject == subject)
    return list(connection.execute(query))


def covered(connection: Connection, subject: str, version: int, since_unix_ms: int) -> set[bytes]:
    """Return the terminals for whom an order to this version is under way, made not before an instant."""
    return {
        terminal_id
        for row in found(connection, subject=subject)
        if row.version == version and row.made_at_unix_ms >= since_unix_ms
        for terminal_id in terminal_ids_of(row.terminal_ids)
    }


def terminal_ids_of(joined: bytes) -> list[bytes]:
    """Return numbers of terminals that stand one behind the other."""
    return [joined[at : at + TERMINAL_ID_BYTES] for at in range(0, len(joined), TERMINAL_ID_BYTES)]


def take_progress(saying: Announcing, gateway: str, told: pb.OrderProgress) -> None:
    """Note what terminals said; an order that all of them have or refused is done.

    Raises:
        Refused: this gateway has no such order, or a terminal is not among its terminals.
    """
    connection = saying.connection
    row = connection.execute(
        select(orders).where(orders.c.number == told.order, orders.c.gateway == gateway)
    ).first()
    if row is None:
        raise Refused(f"gateway {gateway} has no order {told.order}")
    addressed = set(terminal_ids_of(row.terminal_ids))
    for terminal in told.terminals:
        if terminal.terminal_id not in addressed:
            raise Refused(f"order {told.order} is not for terminal {terminal.terminal_id.hex()}")
        _note(connection, row.hash, terminal, saying.now_unix_ms)
    ended = {step.terminal_id for step in steps(connection, row.hash, addressed) if is_ended(step.state)}
    if row.is_open and ended == addressed:
        close(saying, row.number)


def steps(connection: Connection, digest: bytes, terminals: Iterable[bytes]) -> list[Step]:
    """Return the newest word of each of these terminals that said something about a content."""
    wanted = set(terminals)
    rows = connection.execute(select(progress).where(progress.c.hash == digest))
    return [
        Step(
            row.terminal_id,
            row.state,
            row.blocks_stored,
            row.blocks,
            row.silent,
            row.changed_at_unix_ms,
        )
        for row in rows
        if row.terminal_id in wanted
    ]


def note_running(saying: Announcing, terminal_id: bytes, firmware_version: int) -> None:
    """Note that a terminal runs a version: the image of it that it stored is in force."""
    images = select(firmware_images.c.hash).where(firmware_images.c.version == firmware_version)
    saying.connection.execute(
        update(progress)
        .where(
            progress.c.terminal_id == terminal_id,
            progress.c.state == wire.DISTRIBUTION_STATE_STORED,
            progress.c.hash.in_(images),
        )
        .values(state=wire.DISTRIBUTION_STATE_ACTIVE, changed_at_unix_ms=saying.now_unix_ms)
    )


def is_ended(state: int) -> bool:
    """Tell whether nothing more is to be sent in this state."""
    return state in {
        wire.DISTRIBUTION_STATE_STORED,
        wire.DISTRIBUTION_STATE_ACTIVE,
        wire.DISTRIBUTION_STATE_REFUSED,
    }


def _note(connection: Connection, digest: bytes, told: pb.TerminalProgress, now_unix_ms: int) -> None:
    row = (progress.c.hash == digest) & (progress.c.terminal_id == told.terminal_id)
    report = told.report
    if report.hash != digest:  # its gateway only knows that it is silent
        values = {"silent": told.silent, "changed_at_unix_ms": now_unix_ms}
        if connection.execute(update(progress).where(row).values(**values)).rowcount:
            return
        report = wire.DistributionReport(state=wire.DISTRIBUTION_STATE_RECEIVING)
    connection.execute(delete(progress).where(row))
    connection.execute(
        insert(progress).values(
            hash=digest,
            terminal_id=told.terminal_id,
            state=int(report.state),
            blocks_stored=report.blocks_stored,
            blocks=report.blocks,
            silent=told.silent,
            changed_at_unix_ms=now_unix_ms,
        )
    )


def _notice(key: Ed25519PrivateKey, number: int, terminal_ids: bytes, wanted: Wanted) -> bytes:
    manifest = Manifest.of(wanted.content, BLOCK_BYTES)
    return signed_notice.sign(
        key,
        wire.Notice(
            number=number,
            expires_at_unix_ms=wanted.expires_at_unix_ms,
            manifest=wire.Manifest(
                transfer=number % TRANSFER_MAX + 1,
                kind=wanted.kind,
                version=wanted.version,
                size=manifest.image_bytes,
                block_size=manifest.block_bytes,
                block_hashes=manifest.block_hashes,
                hash=manifest.image_sha256,
                models=wanted.models,
                from_version=wanted.from_version,
                terminal_ids=terminal_ids,
            ),
        ),
    )


def _announce(saying: Announcing, number: int) -> None:
    row = saying.connection.execute(select(orders).where(orders.c.number == number)).one()
    order = pb.Order(
        order=row.number,
        notice=row.notice,
        terminal_ids=terminal_ids_of(row.terminal_ids),
        stop_at_unix_ms=row.stop_at_unix_ms,
        load_percent=row.load_percent,
    )
    saying.announce(f"order/{number}", pb.NodeToGateway(order=order), row.expires_at_unix_ms, row.gateway)
