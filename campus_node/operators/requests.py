"""What takes two people: kinds of request, their states, and the id under which one is carried out. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from campus_node.operators.permissions import Permission, Scope
from federation.transfer import TRANSFER_ID_BYTES

_DAY_MS: Final = 24 * 3_600_000


class Kind(StrEnum):
    """What is asked for."""

    TRANSFER = "transfer"  # one that creates money or moves it by hand (`chart.NEEDS_APPROVAL`)


@dataclass(frozen=True, slots=True)
class KindRule:
    """Who may ask, who may decide, and how long the whole may take until it is begun."""

    to_request: Permission
    to_approve: Permission
    valid_for_ms: int


RULES: Final[dict[Kind, KindRule]] = {
    Kind.TRANSFER: KindRule(Permission.TRANSFER_REQUEST, Permission.TRANSFER_APPROVE, 3 * _DAY_MS),
}


class State(StrEnum):
    """Where a request stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"  # by the second person
    EXPIRED = "expired"  # nobody decided, or nobody began, in time
    EXECUTING = "executing"  # begun under an id that never changes; repeated until its outcome is known
    EXECUTED = "executed"
    FAILED = "failed"  # begun, and refused for good by whoever carries it out


STEPS: Final[dict[State, frozenset[State]]] = {
    State.REQUESTED: frozenset({State.APPROVED, State.REFUSED, State.EXPIRED}),
    State.APPROVED: frozenset({State.EXECUTING, State.EXPIRED}),
    State.EXECUTING: frozenset({State.EXECUTED, State.FAILED}),
    State.REFUSED: frozenset(),
    State.EXPIRED: frozenset(),
    State.EXECUTED: frozenset(),
    State.FAILED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """One request and what became of it."""

    request: str
    kind: Kind
    scope: Scope
    payload: Mapping[str, object]
    payload_hash: bytes  # SHA-256 of the canonical payload: what the second person signs off
    reason: str
    state: State
    requested_by: str
    requested_at_unix_ms: int
    expires_at_unix_ms: int
    decided_by: str | None
    decided_at_unix_ms: int | None
    decision_note: str | None
    transfer_id: bytes | None  # 16 bytes, from EXECUTING on
    ended_at_unix_ms: int | None
    result: Mapping[str, object] | None


def transfer_id_of(request: str) -> bytes:
    """Return the id under which a request is carried out: the same however often that is tried; 16 bytes.

    It is the beginning of SHA-256("approval" ‖ request in UTF-8).
    """
    return hashlib.sha256(b"approval" + request.encode()).digest()[:TRANSFER_ID_BYTES]
