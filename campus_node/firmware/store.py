"""Images and rollouts in the database."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from campus_node.firmware.image import Label
from campus_node.firmware.rollout import Member, Outcome, Policy, Standing, State
from campus_node.firmware.tables import firmware_images, rollout_terminals, rollouts
from campus_node.notices import orders
from campus_node.operators.canonical import canonical_json
from campus_node.wording import Sentence
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import NotFound, Refused

_OUTCOMES: Final[dict[int, Outcome]] = {
    wire.DISTRIBUTION_STATE_RECEIVING: Outcome.RECEIVING,
    wire.DISTRIBUTION_STATE_STORED: Outcome.STORED,
    wire.DISTRIBUTION_STATE_ACTIVE: Outcome.ACTIVE,
    wire.DISTRIBUTION_STATE_REFUSED: Outcome.REFUSED,
    wire.DISTRIBUTION_STATE_FAILED: Outcome.FAILED,
}


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image on the shelf; `digest` is SHA-256 of its file."""

    digest: bytes
    model: str
    version: int
    minimum_version: int
    size: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout and where it stands."""

    rollout: str
    image: StoredImage
    policy: Policy
    standing: Standing
    reason: str
    begun_at_unix_ms: int
    changed_at_unix_ms: int


@dataclass(frozen=True, slots=True)
class Goal:
    """One terminal that is to get an image, and how far it is."""

    terminal_id: bytes
    name: str
    gateway: str
    ring: int
    outcome: Outcome = Outcome.WAITING
    blocks_stored: int = 0
    blocks: int = 0
    silent: bool = False

    @property
    def member(self) -> Member:
        """What is decided by."""
        return Member(self.ring, self.outcome)


def take_image(connection: Connection, digest: bytes, label: Label, size: int, now_unix_ms: int) -> None:
    """Note an image that lies on the shelf; nothing happens if it is there."""
    known = connection.execute(select(firmware_images).where(firmware_images.c.hash == digest)).first()
    if known is None:
        connection.execute(
            insert(firmware_images).values(
                hash=digest,
                model=label.model,
                version=label.version,
                minimum_version=label.minimum_version,
                size=size,
                taken_at_unix_ms=now_unix_ms,
            )
        )


def begin(
    connection: Connection,
    rollout: str,
    digest: bytes,
    policy: Policy,
    goals: Iterable[Goal],
    now_unix_ms: int,
) -> Rollout:
    """Begin a rollout; the same id again is the same rollout.

    Raises:
        Refused: the id names another one, or one of the same model is under way.
    """
    image = _image(connection, digest)
    for other in all_rollouts(connection):
        if other.rollout == rollout:
            if other.image.digest == digest:
                return other
            raise Refused(Sentence("rollout {rollout} exists already, of another image", rollout=rollout))
        if other.image.model == image.model and other.standing.state not in {State.DONE, State.STOPPED}:
            raise Refused(
                Sentence(
                    "rollout {rollout} of {model} is not over: stop it first, or let it go on",
                    rollout=other.rollout,
                    model=image.model,
                )
            )
    rows = [
        {
            "rollout": rollout,
            "terminal_id": goal.terminal_id,
            "name": goal.name,
            "gateway": goal.gateway,
            "ring": goal.ring,
        }
        for goal in goals
    ]
    if not rows:
        raise Refused(Sentence("no terminal of the model {model} is registered", model=image.model))
    connection.execute(
        insert(rollouts).values(
            rollout=rollout,
            hash=digest,
            policy=canonical_json(asdict(policy)),
            state=State.RUNNING.value,
            reason="",
            ring=Standing(State.RUNNING).ring,
            begun_at_unix_ms=now_unix_ms,
            changed_at_unix_ms=now_unix_ms,
        )
    )
    connection.execute(insert(rollout_terminals), rows)
    return get(connection, rollout)


def all_rollouts(connection: Connection) -> list[Rollout]:
    """Return every rollout, oldest first."""
    query = (
        select(rollouts, firmware_images)
        .join(firmware_images, rollouts.c.hash == firmware_images.c.hash)
        .order_by(rollouts.c.begun_at_unix_ms, rollouts.c.rollout)
    )
    return [_rollout(row) for row in connection.execute(query)]


def get(connection: Connection, rollout: str) -> Rollout:
    """Return a rollout. Raise NotFound."""
    for each in all_rollouts(connection):
        if each.rollout == rollout:
            return each
    raise NotFound(Sentence("there is no rollout {rollout}", rollout=rollout))


def stand(
    connection: Connection, known: Rollout, standing: Standing, reason: str, now_unix_ms: int
) -> Rollout:
    """Note where a rollout stands from now on."""
    connection.execute(
        update(rollouts)
        .where(rollouts.c.rollout == known.rollout)
        .values(
            state=standing.state.value,
            reason=reason,
            ring=standing.ring,
            ring_good_since_unix_ms=standing.good_since_unix_ms,
            changed_at_unix_ms=now_unix_ms,
        )
    )
    return replace(known, standing=standing, reason=reason, changed_at_unix_ms=now_unix_ms)


def change_policy(connection: Connection, known: Rollout, policy: Policy) -> Rollout:
    """Let a rollout go by other figures from now on."""
    row = rollouts.c.rollout == known.rollout
    connection.execute(update(rollouts).where(row).values(policy=canonical_json(asdict(policy))))
    return replace(known, policy=policy)


def goals(connection: Connection, known: Rollout) -> list[Goal]:
    """Return the terminals of a rollout, by ring and name, each with the newest word about its image."""
    rows = list(
        connection.execute(
            select(rollout_terminals)
            .where(rollout_terminals.c.rollout == known.rollout)
            .order_by(rollout_terminals.c.ring, rollout_terminals.c.name)
        )
    )
    steps = {
        step.terminal_id: step
        for step in orders.steps(connection, known.image.digest, (row.terminal_id for row in rows))
    }
    found = []
    for row in rows:
        goal = Goal(row.terminal_id, row.name, row.gateway, row.ring)
        step = steps.get(row.terminal_id)
        if step is not None:
            outcome = _OUTCOMES.get(step.state, Outcome.WAITING)
            goal = replace(
                goal,
                outcome=outcome,
                blocks_stored=step.blocks_stored,
                blocks=step.blocks,
                silent=step.silent,
            )
        found.append(goal)
    return found


def _image(connection: Connection, digest: bytes) -> StoredImage:
    row = connection.execute(select(firmware_images).where(firmware_images.c.hash == digest)).first()
    if row is None:
        raise NotFound(Sentence("there is no image {hash}", hash=digest.hex().upper()))
    return StoredImage(row.hash, row.model, row.version, row.minimum_version, row.size)


def _rollout(row: Row[Any]) -> Rollout:
    return Rollout(
        row.rollout,
        StoredImage(row.hash, row.model, row.version, row.minimum_version, row.size),
        Policy(**json.loads(row.policy)),
        Standing(State(row.state), row.ring, row.ring_good_since_unix_ms),
        row.reason,
        row.begun_at_unix_ms,
        row.changed_at_unix_ms,
    )
