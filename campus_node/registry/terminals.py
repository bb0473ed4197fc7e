"""Terminals and the PSAMs in them. Each function works inside the caller's transaction."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Connection, Row, insert, select, text, update

from campus_node.keys.hierarchy import algorithm_named, algorithm_word
from campus_node.purse.algorithm import Algorithm
from campus_node.registry.tables import psams, registry_versions, terminals
from campus_node.wording import Sentence
from federation.errors import NotFound, Refused
from federation.identity import is_name

TERMINALS: Final = "terminals"
TERMINAL_ID_BYTES: Final = 6
PSAM_SERIAL_BYTES: Final = 10
USAGE_SESSION: Final = 0x28  # one level below the PSAM's own key; docs/wire.md
ADDRESS_MAX: Final = 254
RING_MAX: Final = 99
_CHANGED: Final = text("""
INSERT INTO registry_versions (part, version) VALUES (:part, 1)
ON CONFLICT (part) DO UPDATE SET version = registry_versions.version + 1
""")


class TerminalState(StrEnum):
    """Whether a terminal takes part."""

    ACTIVE = "active"
    ISOLATED = "isolated"  # kept off its line by a person; its records are good
    RETIRED = "retired"  # taken away
    REVOKED = "revoked"  # stolen, or its PSAM betrayed


IN_USE: Final = frozenset({TerminalState.ACTIVE, TerminalState.ISOLATED})


class AlreadyRegistered(Refused):
    """Something of this number, name or place is there already."""


@dataclass(frozen=True, slots=True)
class PsamKey:
    """Which session key a PSAM has, as its terminal's HELLO names it (docs/wire.md)."""

    usage: int = USAGE_SESSION
    version: int = 1
    algorithm: Algorithm = Algorithm.SM4


@dataclass(frozen=True, slots=True)
class Terminal:
    """One terminal.

    Args:
        terminal_id: 6 bytes.
        name: a DNS label: what its certificate says.
        model: for firmware.
        psam_serial: 10 bytes.
        psam_key: the session key of that PSAM.
        gateway: the gateway that serves it, a DNS label.
        merchant_account: who is paid by it; an account number.
        line, address: where it is planned to be; empty and 0 = wherever it turns up.
        ring: in which it gets new firmware; 0 = canary.
        state: whether it takes part.
    """

    terminal_id: bytes
    name: str
    model: str
    psam_serial: bytes
    psam_key: PsamKey
    gateway: str
    merchant_account: int
    line: str = ""
    address: int = 0
    ring: int = 1
    state: TerminalState = TerminalState.ACTIVE

    @property
    def originator_name(self) -> str:
        """The namespace of the transfer ids that it chooses."""
        return f"terminal/{self.name}"


def register(connection: Connection, terminal: Terminal, now_unix_ms: int) -> None:
    """Add a terminal, and its PSAM if that is new.

    Raises:
        AlreadyRegistered: its number, name, PSAM or place is taken; says which and by whom.
        Refused: a field is out of range, or the PSAM is revoked or known with another key.
    """
    _require_fields(terminal)
    _require_free(connection, terminal)
    _take_psam(connection, terminal, now_unix_ms)
    values = {f.name: getattr(terminal, f.name) for f in fields(terminal) if f.name != "psam_key"}
    values["state"] = terminal.state.value
    connection.execute(
        insert(terminals).values(**values, registered_at_unix_ms=now_unix_ms, changed_at_unix_ms=now_unix_ms)
    )
    changed(connection, TERMINALS)


def set_state(connection: Connection, terminal: Terminal, state: TerminalState, now_unix_ms: int) -> Terminal:
    """Change whether a terminal takes part, and return it as it is now. The same state again changes nothing.

    Raises:
        Refused: a revoked one stays so; a retired one comes back by being registered under a new number.
        AlreadyRegistered: its PSAM or place was taken meanwhile.
    """
    if state is terminal.state:
        return terminal
    if terminal.state not in IN_USE and state in IN_USE:
        raise Refused(
            Sentence(
                "{name} is {state} and stays so: register it under another number",
                name=terminal.name,
                state=terminal.state.value,
            )
        )
    if terminal.state is TerminalState.REVOKED:
        raise Refused(Sentence("{name} is revoked and stays so", name=terminal.name))
    connection.execute(
        update(terminals)
        .where(terminals.c.terminal_id == terminal.terminal_id)
        .values(state=state.value, changed_at_unix_ms=now_unix_ms)
    )
    if state is TerminalState.REVOKED:  # whoever has the PSAM has its key: it goes into no other terminal
        that = psams.c.psam_serial == terminal.psam_serial
        connection.execute(update(psams).where(that).values(revoked_at_unix_ms=now_unix_ms))
    changed(connection, TERMINALS)
    return replace(terminal, state=state)


def note_last_good(connection: Connection, terminal: Terminal, terminal_seq: int) -> None:
    """Say up to which of its numbers a revoked PSAM's purchases are good; later ones are refused.

    Raises:
        Refused: its terminal is not revoked.
    """
    if terminal.state is not TerminalState.REVOKED:
        raise Refused(Sentence("{name} is not revoked", name=terminal.name))
    that = psams.c.psam_serial == terminal.psam_serial
    connection.execute(update(psams).where(that).values(last_good_terminal_seq=terminal_seq))


def by_name(connection: Connection, name: str) -> Terminal:
    """Return the terminal of that name, or of that number in hex; raise NotFound."""
    found = _find(connection, terminals.c.name == name)
    if not found and len(name) == 2 * TERMINAL_ID_BYTES:
        try:
            found = _find(connection, terminals.c.terminal_id == bytes.fromhex(name))
        except ValueError:
            found = []
    if not found:
        raise NotFound(Sentence("there is no terminal {name}", name=name))
    return found[0]


def all_terminals(connection: Connection, gateway: str = "") -> list[Terminal]:
    """Return all terminals, or those of one gateway, by name."""
    return _find(connection, *([terminals.c.gateway == gateway] if gateway else []))


def roll_of(connection: Connection, gateway: str) -> list[Terminal]:
    """Return the terminals that a gateway serves: those in use, by name."""
    in_use = terminals.c.state.in_([state.value for state in IN_USE])
    return _find(connection, terminals.c.gateway == gateway, in_use)


def known(connection: Connection, terminal_ids: Collection[bytes]) -> Mapping[bytes, Terminal]:
    """Return those of these terminals that are registered, whatever their state."""
    found = _find(connection, terminals.c.terminal_id.in_(sorted(terminal_ids)))
    return {terminal.terminal_id: terminal for terminal in found}


def version(connection: Connection, part: str = TERMINALS) -> int:
    """Return how often a part of the registry was changed."""
    query = select(registry_versions.c.version).where(registry_versions.c.part == part)
    return connection.execute(query).scalar() or 0


def changed(connection: Connection, part: str) -> None:
    """Count a change of a part of the registry."""
    connection.execute(_CHANGED, {"part": part})


def _require_fields(terminal: Terminal) -> None:
    lengths = len(terminal.terminal_id), len(terminal.psam_serial)
    if lengths != (TERMINAL_ID_BYTES, PSAM_SERIAL_BYTES):
        raise Refused(Sentence("a terminal's number has 6 bytes, a PSAM's serial number 10"))
    for name in (terminal.name, terminal.gateway):
        if not is_name(name):
            raise Refused(
                Sentence(
                    "{name} is no name: 1 to 63 of a-z, 0-9 and hyphens, beginning and ending with neither",
                    name=name or "''",
                )
            )
    if not 0 <= terminal.address <= ADDRESS_MAX or not 0 <= terminal.ring <= RING_MAX:
        raise Refused(Sentence("an address is 0 to 254, a ring 0 to 99"))


def _require_free(connection: Connection, terminal: Terminal) -> None:
    in_use = terminals.c.state.in_([state.value for state in IN_USE])
    claims: list[tuple[Sentence, ColumnElement[bool]]] = [
        (
            Sentence("number {number}", number=terminal.terminal_id.hex().upper()),
            terminals.c.terminal_id == terminal.terminal_id,
        ),
        (Sentence("name {name}", name=terminal.name), terminals.c.name == terminal.name),
        (
            Sentence("PSAM {serial}", serial=terminal.psam_serial.hex().upper()),
            in_use & (terminals.c.psam_serial == terminal.psam_serial),
        ),
    ]
    if terminal.address:
        place = Sentence(
            "place {line}/{address} at gateway {gateway}",
            line=terminal.line,
            address=terminal.address,
            gateway=terminal.gateway,
        )
        same = (terminals.c.gateway == terminal.gateway) & (terminals.c.line == terminal.line)
        claims.append((place, in_use & same & (terminals.c.address == terminal.address)))
    for what, condition in claims:
        taken = _find(connection, condition)
        if taken:
            raise AlreadyRegistered(
                Sentence("{what} belongs to terminal {name} already", what=what, name=taken[0].name)
            )


def _take_psam(connection: Connection, terminal: Terminal, now_unix_ms: int) -> None:
    serial, key = terminal.psam_serial, terminal.psam_key
    row = connection.execute(select(psams).where(psams.c.psam_serial == serial)).first()
    if row is None:
        connection.execute(
            insert(psams).values(
                psam_serial=serial,
                key_usage=key.usage,
                key_version=key.version,
                key_algorithm=algorithm_word(key.algorithm),
                registered_at_unix_ms=now_unix_ms,
            )
        )
        return
    shown = serial.hex().upper()
    if row.revoked_at_unix_ms is not None:
        raise Refused(Sentence("PSAM {serial} is revoked", serial=shown))
    if _key_of(row) != key:
        raise Refused(Sentence("PSAM {serial} is known with another session key", serial=shown))


def _find(connection: Connection, *conditions: ColumnElement[bool]) -> list[Terminal]:
    columns = (terminals, psams.c.key_usage, psams.c.key_version, psams.c.key_algorithm)
    joined = terminals.join(psams, terminals.c.psam_serial == psams.c.psam_serial)
    query = select(*columns).select_from(joined).where(*conditions).order_by(terminals.c.name)
    return [_terminal(row) for row in connection.execute(query)]


def _terminal(row: Row[tuple[object, ...]]) -> Terminal:
    return Terminal(
        bytes(row.terminal_id), row.name, row.model, bytes(row.psam_serial), _key_of(row), row.gateway,
        row.merchant_account, row.line, row.address, row.ring, TerminalState(row.state),
    )  # fmt: skip


def _key_of(row: Row[tuple[object, ...]]) -> PsamKey:
    return PsamKey(row.key_usage, row.key_version, algorithm_named(row.key_algorithm))
