"""The operators of a campus: enrolled, given roles in scopes, disabled; every change is audited."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, select, update

from campus_node.database.connect import reading
from campus_node.operators.audit import SYSTEM, Actor, AuditedChange, auditing
from campus_node.operators.permissions import PERMISSIONS, Grant, Permission, Role, Scope, parse_scope
from campus_node.operators.tables import operator_grants, operators
from federation.clock import Clock
from federation.errors import NotFound, NotPermitted, Refused
from federation.identity import is_name


@dataclass(frozen=True, slots=True)
class Operator:
    """One person who works the system."""

    operator: str
    display_name: str
    enrolled_at_unix_ms: int
    disabled_at_unix_ms: int | None
    grants: tuple[Grant, ...]


def require_permission(connection: Connection, operator: str, permission: Permission, scope: Scope) -> None:
    """Return if the operator may do it there, as of the caller's transaction.

    Raises:
        NotPermitted: unknown, disabled, or no role held there permits it.
    """
    enabled = select(operators.c.disabled_at_unix_ms).where(operators.c.operator == operator)
    row = connection.execute(enabled).first()
    if row is None or row.disabled_at_unix_ms is not None:
        raise NotPermitted(f"{operator} is no operator here, or is disabled")
    if not any(grant.allows(permission, scope) for grant in _grants(connection, operator)):
        raise NotPermitted(f"{operator} may not {permission} in {scope}: no role held there permits it")


class Roster:
    """Who works here and may do what.

    Everything raises StoreDown or OutcomeUnknown when the database is away. It may be repeated then: what was
    done is refused as done already.
    """

    def __init__(self, db: Engine, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def require(self, operator: str, permission: Permission, scope: Scope) -> None:
        """Return if the operator may do it there.

        Raises:
            NotPermitted: unknown, disabled, or no role held there permits it.
        """
        with reading(self._db) as connection:
            require_permission(connection, operator, permission, scope)

    def all(self) -> list[Operator]:
        """Return every operator, disabled ones too, by name."""
        with reading(self._db) as connection:
            rows = connection.execute(select(operators).order_by(operators.c.operator)).all()
            return [
                Operator(
                    row.operator,
                    row.display_name,
                    row.enrolled_at_unix_ms,
                    row.disabled_at_unix_ms,
                    tuple(_grants(connection, row.operator)),
                )
                for row in rows
            ]

    def enrol_first(self, operator: str, display_name: str, campus: Scope, place: str) -> None:
        """Enrol the first administrator of a new campus; only that one needs nobody's permission.

        Raises:
            Refused: the name is not allowed, or somebody is enrolled already.
        """
        actor = Actor(SYSTEM, place)
        with auditing(self._db, self._clock) as change:
            if change.connection.execute(select(operators.c.operator).limit(1)).first() is not None:
                raise Refused("somebody is enrolled already: an administrator enrols everybody else")
            _enrol(change, actor, operator, display_name, "the first administrator of a new campus")
            _grant(change, actor, operator, Grant(Role.ADMINISTRATOR, campus), "the first administrator")

    def enrol(self, actor: Actor, operator: str, display_name: str, scope: Scope, why: str) -> None:
        """Add somebody who may do nothing yet.

        Args:
            scope: where the actor is an administrator.

        Raises:
            NotPermitted: the actor may not.
            Refused: the name is not allowed or taken.
        """
        with auditing(self._db, self._clock) as change:
            require_permission(change.connection, actor.operator, Permission.OPERATOR_WRITE, scope)
            _enrol(change, actor, operator, display_name, why)

    def grant(self, actor: Actor, operator: str, grant: Grant, why: str) -> None:
        """Give somebody else a role in a scope.

        Raises:
            NotPermitted: the actor may not do so in that scope, or gives it to themselves.
            NotFound: there is no such operator.
            Refused: they have it already.
        """
        with auditing(self._db, self._clock) as change:
            require_permission(change.connection, actor.operator, Permission.OPERATOR_WRITE, grant.scope)
            if actor.operator == operator:
                raise NotPermitted(f"{operator} cannot give themselves a role: another administrator must")
            _grant(change, actor, operator, grant, why)

    def revoke(self, actor: Actor, operator: str, grant: Grant, why: str) -> None:
        """Take a role in a scope away.

        Raises:
            NotPermitted: the actor may not do so in that scope.
            NotFound: it is not held.
            Refused: nobody would be left who can give rights.
        """
        with auditing(self._db, self._clock) as change:
            require_permission(change.connection, actor.operator, Permission.OPERATOR_WRITE, grant.scope)
            deleted = change.connection.execute(
                delete(operator_grants).where(
                    operator_grants.c.operator == operator,
                    operator_grants.c.role == grant.role,
                    operator_grants.c.scope == str(grant.scope),
                )
            )
            if deleted.rowcount == 0:
                raise NotFound(f"{operator} does not hold {grant.role} in {grant.scope}")
            _require_an_administrator(change.connection)
            change.record(actor, "operator.revoke", operator, why, before=_shown(grant))

    def disable(self, actor: Actor, operator: str, why: str) -> None:
        """Let somebody do nothing any more; the name stays theirs for ever.

        Raises:
            NotPermitted: the actor is no administrator of every scope in which they hold a role.
            NotFound: there is no such operator.
            Refused: they are disabled already, or nobody would be left who can give rights.
        """
        with auditing(self._db, self._clock) as change:
            held = _grants(change.connection, operator)
            own = _grants(change.connection, actor.operator)
            for scope in [grant.scope for grant in held] or [grant.scope for grant in own]:
                require_permission(change.connection, actor.operator, Permission.OPERATOR_WRITE, scope)
            _require_enrolled(change.connection, operator)
            disabled = change.connection.execute(
                update(operators)
                .where(operators.c.operator == operator, operators.c.disabled_at_unix_ms.is_(None))
                .values(disabled_at_unix_ms=change.now_unix_ms)
            )
            if disabled.rowcount == 0:
                raise Refused(f"{operator} is disabled already")
            _require_an_administrator(change.connection)
            change.record(
                actor,
                "operator.disable",
                operator,
                why,
                before={"disabled_at_unix_ms": None, "grants": [_shown(grant) for grant in held]},
                after={"disabled_at_unix_ms": change.now_unix_ms},
            )


def _enrol(change: AuditedChange, actor: Actor, operator: str, display_name: str, why: str) -> None:
    if operator == SYSTEM or not is_name(operator):
        raise Refused(f"{operator!r} cannot name an operator: use 1 to 63 of a-z, 0-9 and hyphens")
    taken = select(operators.c.operator).where(operators.c.operator == operator)
    if change.connection.execute(taken).first() is not None:
        raise Refused(f"{operator} is enrolled already")
    values = {"operator": operator, "display_name": display_name}
    change.connection.execute(insert(operators).values(**values, enrolled_at_unix_ms=change.now_unix_ms))
    change.record(actor, "operator.enrol", operator, why, after=values)


def _grant(change: AuditedChange, actor: Actor, operator: str, grant: Grant, why: str) -> None:
    _require_enrolled(change.connection, operator)
    if grant in _grants(change.connection, operator):
        raise Refused(f"{operator} holds {grant.role} in {grant.scope} already")
    change.connection.execute(
        insert(operator_grants).values(
            operator=operator,
            role=grant.role.value,
            scope=str(grant.scope),
            granted_by=actor.operator,
            granted_at_unix_ms=change.now_unix_ms,
        )
    )
    change.record(actor, "operator.grant", operator, why, after=_shown(grant))


def _require_enrolled(connection: Connection, operator: str) -> None:
    found = select(operators.c.operator).where(operators.c.operator == operator)
    if connection.execute(found).first() is None:
        raise NotFound(f"there is no operator {operator}")


def _require_an_administrator(connection: Connection) -> None:
    roles = [role.value for role, permitted in PERMISSIONS.items() if Permission.OPERATOR_WRITE in permitted]
    left = (
        select(operators.c.operator)
        .join(operator_grants, operator_grants.c.operator == operators.c.operator)
        .where(operators.c.disabled_at_unix_ms.is_(None), operator_grants.c.role.in_(roles))
        .limit(1)
    )
    if connection.execute(left).first() is None:
        raise Refused("nobody would be left who can give rights: make somebody else an administrator first")


def _grants(connection: Connection, operator: str) -> Sequence[Grant]:
    held = (
        select(operator_grants.c.role, operator_grants.c.scope)
        .where(operator_grants.c.operator == operator)
        .order_by(operator_grants.c.role, operator_grants.c.scope)
    )
    return [Grant(Role(row.role), parse_scope(row.scope)) for row in connection.execute(held)]


def _shown(grant: Grant) -> dict[str, object]:
    return {"role": grant.role.value, "scope": str(grant.scope)}
