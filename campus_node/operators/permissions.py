"""Who may do what: roles, the permissions of each, and the scope in which a role is held. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from federation.identity import is_name

SCOPE_LEVELS: Final = ("campus", "department", "merchant")


class Permission(StrEnum):
    """Something that is asked before it is done."""

    ACCOUNT_OPEN = "account.open"
    ALARM_ACKNOWLEDGE = "alarm.acknowledge"  # and close
    ALARM_READ = "alarm.read"
    AUDIT_READ = "audit.read"
    CARD_WRITE = "card.write"  # register cards, and say what is the matter with them
    DEVICE_WRITE = "device.write"  # keys of devices that report; devices that were removed
    FIRMWARE_ROLLOUT = "firmware.rollout"  # begin, pause, resume and stop
    LEDGER_POST = "ledger.post"  # by hand, kinds of transfer that one person may make
    LEDGER_READ = "ledger.read"
    OPERATOR_WRITE = "operator.write"  # enrol, grant, revoke, disable
    PARAMETERS_WRITE = "parameters.write"  # how all terminals work
    RECORD_COVER = "record.cover"  # say that a backup holds what came in
    TERMINAL_WRITE = "terminal.write"  # register, isolate, retire and revoke terminals
    TRANSFER_APPROVE = "transfer.approve"
    TRANSFER_REQUEST = "transfer.request"  # kinds of transfer that need two people


class Role(StrEnum):
    """What somebody is employed for."""

    CASHIER = "cashier"
    CARD_OFFICE = "card_office"
    FINANCE = "finance"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


_P = Permission
PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    Role.CASHIER: frozenset({_P.ALARM_READ, _P.LEDGER_READ, _P.LEDGER_POST}),
    Role.CARD_OFFICE: frozenset(
        {
            _P.ACCOUNT_OPEN,
            _P.ALARM_ACKNOWLEDGE,
            _P.ALARM_READ,
            _P.CARD_WRITE,
            _P.LEDGER_POST,
            _P.LEDGER_READ,
            _P.TERMINAL_WRITE,
            _P.TRANSFER_REQUEST,
        }
    ),
    Role.FINANCE: frozenset(
        {_P.ALARM_ACKNOWLEDGE, _P.ALARM_READ, _P.LEDGER_READ, _P.TRANSFER_APPROVE, _P.TRANSFER_REQUEST}
    ),
    Role.AUDITOR: frozenset({_P.ALARM_READ, _P.AUDIT_READ, _P.LEDGER_READ}),
    # Whoever hands out rights touches no money.
    Role.ADMINISTRATOR: frozenset(
        {
            _P.ALARM_ACKNOWLEDGE,
            _P.ALARM_READ,
            _P.AUDIT_READ,
            _P.DEVICE_WRITE,
            _P.FIRMWARE_ROLLOUT,
            _P.OPERATOR_WRITE,
            _P.PARAMETERS_WRITE,
            _P.RECORD_COVER,
            _P.TERMINAL_WRITE,
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of a campus: `north`, `north/canteens` or `north/canteens/noodles`."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join(self.parts)

    def covers(self, other: "Scope") -> bool:
        """Tell whether the other is this part or lies within it."""
        return other.parts[: len(self.parts)] == self.parts


@dataclass(frozen=True, slots=True)
class Grant:
    """A role held in a scope."""

    role: Role
    scope: Scope

    def allows(self, permission: Permission, scope: Scope) -> bool:
        """Tell whether this grant permits it there."""
        return permission in PERMISSIONS[self.role] and self.scope.covers(scope)


def parse_scope(text: str) -> Scope:
    """Return the scope that `campus`, `campus/department` or `campus/department/merchant` names.

    Raises:
        ValueError: too many parts, or one that is not 1 to 63 of a-z, 0-9 and hyphens.
    """
    parts = tuple(text.split("/"))
    if len(parts) > len(SCOPE_LEVELS) or not all(map(is_name, parts)):
        raise ValueError(f"scope {text!r} must be {'[/'.join(SCOPE_LEVELS)}]], each of a-z, 0-9 and hyphens")
    return Scope(parts)
