"""How images and rollouts are shown."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from campus_node.cli.arguments import shown_instant
from campus_node.cli.report import Report, Table, columns_of
from campus_node.firmware.rollout import GOOD, NO_RING, Outcome, State
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from campus_node.firmware.store import Goal, Rollout

_STATES: Final[dict[State, Sentence]] = {
    State.RUNNING: Sentence("running"),
    State.PAUSED: Sentence("paused"),
    State.FAILED: Sentence("stopped by itself"),
    State.STOPPED: Sentence("stopped"),
    State.DONE: Sentence("done"),
}
_OUTCOMES: Final[dict[Outcome, Sentence]] = {
    Outcome.WAITING: Sentence("waits"),
    Outcome.RECEIVING: Sentence("receives"),
    Outcome.STORED: Sentence("has it"),
    Outcome.ACTIVE: Sentence("runs it"),
    Outcome.REFUSED: Sentence("refused it"),
    Outcome.FAILED: Sentence("cannot store it"),
}


def key_report(path: Path, public_path: Path, key_id: bytes) -> Report:
    """Show a key that was made."""
    named = key_id.hex().upper()
    content = {"key": str(path), "public_key": str(public_path), "key_id": named}
    return Report(
        content,
        [
            Sentence(
                "Key {id}: {path} signs, keep it off the campus's machines.", id=content["key_id"], path=path
            ),
            Sentence("{path} goes into the pki of each campus that believes it.", path=public_path),
        ],
    )


def image_report(file: bytes, told: Sentence, *, believed: bool | None = None) -> Report:
    """Show what an image says of itself."""
    from campus_node.firmware.image import label_of

    label, key_id = label_of(file)
    content: dict[str, object] = {
        "model": label.model,
        "version": label.version,
        "minimum_version": label.minimum_version,
        "size": label.size,
        "sha256": label.sha256.hex().upper(),
        "key_id": key_id.hex().upper(),
    }
    if believed is not None:
        content["believed"] = believed
    rows: list[list[str | Sentence]] = [
        [Sentence("model"), label.model],
        [Sentence("version"), str(label.version)],
        [Sentence("minimum version"), str(label.minimum_version)],
        [Sentence("bytes"), str(label.size)],
        [Sentence("SHA-256"), label.sha256.hex().upper()],
        [Sentence("key"), key_id.hex().upper()],
    ]
    return Report(content, [Table(columns_of("field", "value"), rows), told], holds=believed is not False)


def rollouts_report(found: Sequence[tuple["Rollout", Sequence["Goal"]]]) -> Report:
    """Show all rollouts, a line each."""
    rows: list[list[str | Sentence]] = [
        [
            each.rollout,
            each.image.model,
            str(each.image.version),
            _STATES[each.standing.state],
            _ring(each),
            f"{_good(goals)}/{len(goals)}",
            shown_instant(each.begun_at_unix_ms),
        ]
        for each, goals in found
    ]
    columns = columns_of(
        "id", "model", "version", "state", "ring", "have it", "begun, UTC", spare={"begun, UTC"}
    )
    return Report(
        {"rollouts": [_as_json(each, goals) for each, goals in found]},
        [Table(columns, rows, Sentence("There is no rollout."))],
    )


def rollout_report(known: "Rollout", goals: Sequence["Goal"]) -> Report:
    """Show one rollout and how far each of its terminals is."""
    rows: list[list[str | Sentence]] = [
        [
            str(goal.ring),
            goal.name,
            goal.gateway,
            _OUTCOMES[goal.outcome],
            f"{goal.blocks_stored}/{goal.blocks}" if goal.blocks else "",
            Sentence("silent") if goal.silent else "",
        ]
        for goal in goals
    ]
    table = Table(
        columns_of(
            "ring", "terminal", "gateway", "state", "blocks", "note", right={"blocks"}, spare={"note"}
        ),
        rows,
    )
    told: list[Sentence | Table | str] = [
        Sentence(
            "{id}: {model} version {version}, {state}; {good} of {count} terminals have it.",
            id=known.rollout,
            model=known.image.model,
            version=known.image.version,
            state=_STATES[known.standing.state],
            good=_good(goals),
            count=len(goals),
        )
    ]
    if known.reason:
        told.append(Sentence("It stopped: {reason}.", reason=known.reason))
    content = _as_json(known, goals) | {"terminals": [_goal_as_json(goal) for goal in goals]}
    return Report(content, [*told, table], holds=known.standing.state is not State.FAILED)


def _as_json(known: "Rollout", goals: Sequence["Goal"]) -> dict[str, object]:
    standing, policy = known.standing, known.policy
    return {
        "id": known.rollout,
        "model": known.image.model,
        "version": known.image.version,
        "hash": known.image.digest.hex().upper(),
        "state": standing.state.value,
        "reason": known.reason,
        "ring": None if standing.ring == NO_RING else standing.ring,
        "have_it": _good(goals),
        "of": len(goals),
        "threshold_percent": policy.threshold_percent,
        "hold_s": policy.hold_s,
        "failures_max_percent": policy.failures_max_percent,
        "force": policy.force,
        "begun_at": shown_instant(known.begun_at_unix_ms),
    }


def _goal_as_json(goal: "Goal") -> dict[str, object]:
    return {
        "terminal": goal.name,
        "terminal_id": goal.terminal_id.hex().upper(),
        "gateway": goal.gateway,
        "ring": goal.ring,
        "state": goal.outcome.value,
        "blocks_stored": goal.blocks_stored,
        "blocks": goal.blocks,
        "silent": goal.silent,
    }


def _good(goals: Sequence["Goal"]) -> int:
    return sum(1 for goal in goals if goal.outcome in GOOD)


def _ring(known: "Rollout") -> str:
    return "" if known.standing.ring == NO_RING else str(known.standing.ring)
