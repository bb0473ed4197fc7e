"""Two people for one act: asked for by one, decided by another, carried out once.

Carrying out survives a crash between any two steps. The state EXECUTING and the transfer id are committed
before the act begins; whoever finds the request in that state repeats the act under the same id, which the
ledger answers as it did the first time; then the outcome is recorded.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection, Engine, Row, insert, select, update

from campus_node.database.connect import reading
from campus_node.operators.audit import SYSTEM, Actor, AuditedChange, auditing
from campus_node.operators.canonical import canonical_json, content_hash
from campus_node.operators.permissions import Scope, parse_scope
from campus_node.operators.requests import RULES, STEPS, ApprovalRequest, Kind, State, transfer_id_of
from campus_node.operators.roster import require_permission
from campus_node.operators.tables import approvals
from federation.clock import Clock
from federation.errors import JournalBroken, NotFound, NotPermitted, Refused

REQUEST_CHARS_MAX: Final = 64
LISTED_MAX: Final = 1000

# Does what was asked, under the request's transfer_id; must give the same result when repeated under it.
# Raises Refused = it will never be done; anything else = nobody knows, it is repeated.
Execute = Callable[[ApprovalRequest], Mapping[str, object]]


class Approvals:
    """Requests that take two people. Everything raises StoreDown or OutcomeUnknown: repeat it."""

    def __init__(self, db: Engine, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def request(
        self, actor: Actor, request: str, kind: Kind, scope: Scope, payload: Mapping[str, object], reason: str
    ) -> ApprovalRequest:
        """Ask for something; nothing happens before somebody else approves it.

        Args:
            request: an id chosen by the caller before the first attempt; the same again changes nothing.
            payload: what is to be done, whole: JSON without floats.

        Raises:
            NotPermitted: the actor may not ask for this there.
            Refused: the id names another request already, or something is missing.
        """
        if not 0 < len(request) <= REQUEST_CHARS_MAX or not reason.strip():
            raise Refused(f"a request needs an id of 1 to {REQUEST_CHARS_MAX} characters and a reason")
        try:
            body = canonical_json(payload)
        except ValueError as error:
            raise Refused(f"the payload cannot be kept: {error}") from error
        with auditing(self._db, self._clock) as change:
            require_permission(change.connection, actor.operator, RULES[kind].to_request, scope)
            known = _find(change.connection, request)
            if known is not None:
                same = (known.kind, known.scope, known.payload_hash, known.requested_by)
                if same == (kind, scope, content_hash(body), actor.operator):
                    return known
                raise Refused(f"request {request} exists already and asks for something else")
            change.connection.execute(
                insert(approvals).values(
                    request=request,
                    kind=kind.value,
                    scope=str(scope),
                    payload=body,
                    payload_hash=content_hash(body),
                    reason=reason,
                    state=State.REQUESTED.value,
                    requested_by=actor.operator,
                    requested_at_unix_ms=change.now_unix_ms,
                    expires_at_unix_ms=change.now_unix_ms + RULES[kind].valid_for_ms,
                )
            )
            asked = _get(change.connection, request)
            change.record(actor, "approval.request", request, reason, after=_shown(asked))
            return asked

    def approve(self, actor: Actor, request: str, payload_hash: bytes, note: str) -> ApprovalRequest:
        """Agree to what another person asked for.

        Args:
            payload_hash: of the payload that the actor was shown.

        Raises:
            NotPermitted: the actor asked for it, or may not decide on this there.
            NotFound: there is no such request.
            Refused: it is decided or overdue, or what was shown is not what was asked.
        """
        return self._decide(actor, request, State.APPROVED, note, payload_hash)

    def refuse(self, actor: Actor, request: str, note: str) -> ApprovalRequest:
        """Say no to what another person asked for. Raises as `approve`."""
        return self._decide(actor, request, State.REFUSED, note, None)

    def execute(self, actor: Actor, request: str, act: Execute) -> ApprovalRequest:
        """Carry out what was approved, or finish what an earlier attempt began; return it with its result.

        Two people have decided, so whoever asks for it needs no permission and is only noted.

        Raises:
            NotFound: there is no such request.
            Refused: it is not approved, or was not begun in time.
            JournalBroken: it was changed after it was approved; nothing was done.
            CampusCardError: whatever the act raised; unless that is Refused, call this again.
        """
        self.expire_overdue()
        begun = self._begin(actor, request)
        if begun.state is not State.EXECUTING:
            return begun
        try:
            result = act(begun)
        except Refused as error:
            self._end(actor, request, State.FAILED, {"error": type(error).__name__, "why": str(error)})
            raise
        return self._end(actor, request, State.EXECUTED, result)

    def expire_overdue(self) -> int:
        """End what nobody decided or began in time; return how many."""
        with reading(self._db) as connection:
            if not _overdue(connection, self._clock.unix_ms()):
                return 0
        with auditing(self._db, self._clock) as change:
            overdue = _overdue(change.connection, change.now_unix_ms)
            ended = {"ended_at_unix_ms": change.now_unix_ms}
            for late in overdue:
                _step(change, Actor(SYSTEM, ""), late, State.EXPIRED, "overdue", **ended)
            return len(overdue)

    def find(self, *states: State, limit: int = 100) -> list[ApprovalRequest]:
        """Return requests in these states, oldest first; EXECUTING ones wait to be executed again."""
        assert 0 < limit <= LISTED_MAX, f"limit must be 1 to {LISTED_MAX}"
        query = (
            select(approvals)
            .where(approvals.c.state.in_([state.value for state in states]))
            .order_by(approvals.c.requested_at_unix_ms, approvals.c.request)
            .limit(limit)
        )
        with reading(self._db) as connection:
            return [_read(row) for row in connection.execute(query)]

    def get(self, request: str) -> ApprovalRequest:
        """Return a request.

        Raises:
            NotFound: there is none.
        """
        with reading(self._db) as connection:
            return _get(connection, request)

    def _decide(
        self, actor: Actor, request: str, to: State, note: str, payload_hash: bytes | None
    ) -> ApprovalRequest:
        self.expire_overdue()
        with auditing(self._db, self._clock) as change:
            asked = _get(change.connection, request)
            require_permission(change.connection, actor.operator, RULES[asked.kind].to_approve, asked.scope)
            if actor.operator == asked.requested_by:
                raise NotPermitted(f"{actor.operator} asked for {request}: another person must decide")
            _require_intact(asked)
            if asked.state is to and asked.decided_by == actor.operator:
                return asked
            if payload_hash is not None and payload_hash != asked.payload_hash:
                raise Refused(f"request {request} asks for something else than was shown: read it again")
            return _step(
                change,
                actor,
                asked,
                to,
                note,
                decided_by=actor.operator,
                decided_at_unix_ms=change.now_unix_ms,
                decision_note=note,
            )

    def _begin(self, actor: Actor, request: str) -> ApprovalRequest:
        with auditing(self._db, self._clock) as change:
            asked = _get(change.connection, request)
            _require_intact(asked)
            if asked.state in {State.EXECUTING, State.EXECUTED}:
                return asked
            return _step(
                change, actor, asked, State.EXECUTING, asked.reason, transfer_id=transfer_id_of(request)
            )

    def _end(self, actor: Actor, request: str, to: State, result: Mapping[str, object]) -> ApprovalRequest:
        with auditing(self._db, self._clock) as change:
            begun = _get(change.connection, request)
            if begun.state is not State.EXECUTING:
                return begun  # somebody else carried it out under the same id at the same time
            return _step(
                change,
                actor,
                begun,
                to,
                begun.reason,
                result=canonical_json(result),
                ended_at_unix_ms=change.now_unix_ms,
            )


def _step(
    change: AuditedChange, actor: Actor, asked: ApprovalRequest, to: State, why: str, **values: object
) -> ApprovalRequest:
    if to not in STEPS[asked.state]:
        raise Refused(f"request {asked.request} is {asked.state}: it cannot become {to}")
    moved = change.connection.execute(
        update(approvals)
        .where(approvals.c.request == asked.request, approvals.c.state == asked.state.value)
        .values(state=to.value, **values)
    )
    assert moved.rowcount == 1, "audited changes come one after the other"
    after = _get(change.connection, asked.request)
    change.record(actor, f"approval.{to}", asked.request, why, before=_shown(asked), after=_shown(after))
    return after


def _require_intact(request: ApprovalRequest) -> None:
    if content_hash(canonical_json(request.payload)) != request.payload_hash:
        raise JournalBroken(f"request {request.request}: its payload was changed after it was asked for")


def _overdue(connection: Connection, now_unix_ms: int) -> list[ApprovalRequest]:
    may_expire = [state.value for state, steps in STEPS.items() if State.EXPIRED in steps]
    query = (
        select(approvals)
        .where(approvals.c.state.in_(may_expire), approvals.c.expires_at_unix_ms <= now_unix_ms)
        .limit(LISTED_MAX)
    )
    return [_read(row) for row in connection.execute(query)]


def _get(connection: Connection, request: str) -> ApprovalRequest:
    found = _find(connection, request)
    if found is None:
        raise NotFound(f"there is no request {request}")
    return found


def _find(connection: Connection, request: str) -> ApprovalRequest | None:
    row = connection.execute(select(approvals).where(approvals.c.request == request)).first()
    return None if row is None else _read(row)


def _read(row: Row[tuple[object, ...]]) -> ApprovalRequest:
    return ApprovalRequest(
        row.request,
        Kind(row.kind),
        parse_scope(row.scope),
        json.loads(row.payload),
        bytes(row.payload_hash),
        row.reason,
        State(row.state),
        row.requested_by,
        row.requested_at_unix_ms,
        row.expires_at_unix_ms,
        row.decided_by,
        row.decided_at_unix_ms,
        row.decision_note,
        None if row.transfer_id is None else bytes(row.transfer_id),
        row.ended_at_unix_ms,
        None if row.result is None else json.loads(row.result),
    )


def _shown(request: ApprovalRequest) -> dict[str, object]:
    """What the trail keeps: the payload by its hash and in words once, when it is asked for."""
    shown: dict[str, object] = {
        "state": request.state.value,
        "payload_hash": request.payload_hash.hex().upper(),
    }
    if request.state is State.REQUESTED:
        shown |= {"kind": request.kind.value, "scope": str(request.scope), "payload": dict(request.payload)}
    if request.result is not None:
        shown |= {"result": dict(request.result)}
    return shown
