"""What each role may ask of the posting API. Pure: a table and the questions to it.

An item may only speak of transfers (its own id and its target's) of originators that its caller may name.
That is why a terminal's REFUND can undo nothing but purchases: its targets are its own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from campus_node.ledger.chart import NEEDS_APPROVAL, Kind
from federation.errors import NotPermitted
from federation.identity import Identity, Role, is_name
from federation.transfer import Request

_ALL: Final = frozenset(map(int, Kind))
_BUYING: Final = _ALL - {int(Kind.PURCHASE)}
_APPROVED: Final = frozenset(map(int, NEEDS_APPROVAL))


@dataclass(frozen=True, slots=True)
class Permission:
    """What a role may do.

    Args:
        kinds_denied: kinds of transfer that it may not ask for; unknown kinds are left to the ledger's rules.
        facts: whether it may state facts, which are booked whatever the balance.
        names: roles of the originators that it may name besides itself.
        opens_accounts, reads_balances, reads_statements: the other calls.
    """

    kinds_denied: frozenset[int]
    facts: bool
    names: frozenset[Role]
    opens_accounts: bool
    reads_balances: bool
    reads_statements: bool


PERMISSIONS: Final[dict[Role, Permission]] = {
    Role.TERMINAL: Permission(_BUYING, False, frozenset(), False, False, False),
    Role.GATEWAY: Permission(_BUYING, True, frozenset({Role.TERMINAL}), False, True, False),
    Role.NODE: Permission(_APPROVED, True, frozenset(Role), True, True, True),
}


def require_names(caller: Identity, names: Collection[str]) -> None:
    """Return if the caller may speak of transfers of these originators.

    Args:
        caller: who asks.
        names: `<role>/<name>`; empty = the caller itself.

    Raises:
        NotPermitted: at least one is not its to name, or no name of an originator at all.
    """
    allowed = PERMISSIONS[caller.role].names
    for name in names:
        if name in {"", caller.originator_name}:
            continue
        role, _, machine = name.partition("/")
        if role not in set(Role) or not is_name(machine):
            raise NotPermitted(f"originator {name[:80]!r} is not <node|gateway|terminal>/<name>")
        if Role(role) not in allowed:
            others = ", ".join(sorted(allowed)) or "nobody else"
            raise NotPermitted(
                f"{caller.originator_name} may not speak for {name}: leave the originator empty to speak for "
                f"yourself; a {caller.role} may also name: {others}"
            )


def require_items(caller: Identity, requests: Sequence[Request], *, approved: bool = False) -> None:
    """Return if the caller may ask for all of these.

    Args:
        caller: who asks.
        requests: what is asked; their originators were checked by `require_names`.
        approved: two people approved exactly this request; it holds for kinds that need that.

    Raises:
        NotPermitted: says which item, and why.
    """
    permission = PERMISSIONS[caller.role]
    denied = permission.kinds_denied - _APPROVED if approved else permission.kinds_denied
    if not denied.isdisjoint({request.kind for request in requests}):
        at, request = next((i, r) for i, r in enumerate(requests) if r.kind in denied)
        kind = Kind(request.kind)
        if caller.role is Role.NODE:
            raise NotPermitted(
                f"transfer {at}: kind {kind.name} needs the approval of two people: send it alone with Post "
                "and name the approval in the metadata approval-id"
            )
        raise NotPermitted(f"transfer {at}: a {caller.role} may ask for PURCHASE only, not {kind.name}")
    if not permission.facts and any(request.fact for request in requests):
        raise NotPermitted(f"a {caller.role} may not state facts: send it as a request, or through a gateway")


def require_approvable(caller: Identity) -> None:
    """Return if the caller may carry out what two people approved; raise NotPermitted."""
    if caller.role is not Role.NODE:
        raise NotPermitted(f"a {caller.role} may not carry out approvals: ask the campus's node")


def require_opening(caller: Identity) -> None:
    """Return if the caller may open accounts; raise NotPermitted."""
    if not PERMISSIONS[caller.role].opens_accounts:
        raise NotPermitted(f"a {caller.role} may not open accounts: ask the campus's node")


def require_balance(caller: Identity) -> None:
    """Return if the caller may read balances; raise NotPermitted."""
    if not PERMISSIONS[caller.role].reads_balances:
        raise NotPermitted(f"a {caller.role} may not read balances: ask the campus's node")


def require_statement(caller: Identity) -> None:
    """Return if the caller may read statements; raise NotPermitted."""
    if not PERMISSIONS[caller.role].reads_statements:
        raise NotPermitted(f"a {caller.role} may not read statements: ask the campus's node")
