"""The terminals of this gateway and the keys that their sessions begin with (A10, B7).

The roll is kept as the node sent it, each key sealed to this gateway's certificate, so that sessions begin
while the node is away and after a restart. In memory the keys are open; a terminal that is missing in a new
roll, or isolated, has none.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from campus_node.gateway.shelf import Shelf
from campus_node.lines.counterpart import LeasedKey
from campus_node.lines.line import ALL, HEAD
from campuscard.v1 import gateway_pb2 as pb
from federation.errors import Tampered

ROLL: Final = "roll"
_NAME: Final = b"latest"

OpenLease = Callable[[bytes], tuple[bytes, LeasedKey]]
"""Returns the serial number of a PSAM, 10 bytes, and its key; raises Tampered."""


class Leases:
    """The roll. Changed by one thread; `keys` may be read by any.

    Args:
        shelf: where it is kept.
        open_lease: opens a sealed key with the key of this gateway's certificate.

    Raises:
        StoreDown: the shelf cannot be read.
    """

    def __init__(self, shelf: Shelf, open_lease: OpenLease) -> None:
        self._shelf = shelf
        self._open = open_lease
        self.keys: dict[bytes, LeasedKey] = {}
        self.unopened: list[bytes] = []  # terminals whose key is not for us
        self._roll = pb.TerminalRoll()
        self._terminals: dict[bytes, pb.RolledTerminal] = {}
        self._opened: dict[bytes, tuple[bytes, LeasedKey]] = {}
        self._isolated: set[bytes] = set()
        kept = shelf.kept(ROLL).get(_NAME)
        if kept is not None:
            self._adopt(pb.TerminalRoll.FromString(kept))

    @property
    def version(self) -> int:
        """Version of the roll; 0 = none."""
        return int(self._roll.version)

    def terminals(self) -> list[pb.RolledTerminal]:
        """Return all of them, in the roll's order."""
        return list(self._terminals.values())

    def addresses_on(self, line: str) -> list[int]:
        """Return the addresses, 1 to 254, at which terminals are planned on a line."""
        planned = {each.address for each in self._terminals.values() if each.line == line}
        return sorted(each for each in planned if HEAD < each < ALL)

    def find(self, terminal_id: bytes) -> pb.RolledTerminal | None:
        """Return what the roll says of a terminal; None = not one of ours."""
        return self._terminals.get(terminal_id)

    def named(self, name: str) -> pb.RolledTerminal | None:
        """Return the terminal with this name on the campus; None = not one of ours."""
        return next((each for each in self._terminals.values() if each.name == name), None)

    def isolated(self, terminal_id: bytes) -> bool:
        """Tell whether a person keeps a terminal off its line."""
        return terminal_id in self._isolated

    def take(self, roll: pb.TerminalRoll) -> list[bytes]:
        """Take a new roll, and return the terminals whose sessions must end: revoked, exchanged or isolated.

        Raises:
            StoreDown: it cannot be kept; the old one holds.
        """
        self._shelf.keep(ROLL, {_NAME: roll.SerializeToString()})
        before = dict(self.keys)
        self._adopt(roll)
        return [old.terminal_id for serial, old in before.items() if not _goes_on(old, self.keys.get(serial))]

    def isolate(self, terminal_id: bytes, isolated: bool) -> None:
        """Keep a terminal off its line, or let it on again; also in the roll that is kept.

        Raises:
            StoreDown: it cannot be kept; nothing changed.
        """
        roll = pb.TerminalRoll()
        roll.CopyFrom(self._roll)
        for each in roll.terminals:
            if each.terminal_id == terminal_id:
                each.isolated = isolated
        self._shelf.keep(ROLL, {_NAME: roll.SerializeToString()})
        self._adopt(roll)

    def _adopt(self, roll: pb.TerminalRoll) -> None:
        opened: dict[bytes, tuple[bytes, LeasedKey]] = {}
        keys: dict[bytes, LeasedKey] = {}
        unopened = []
        for each in roll.terminals:
            mark = hashlib.sha256(each.sealed_key).digest()
            try:
                found = self._opened.get(mark) or self._open(each.sealed_key)
            except Tampered:
                unopened.append(each.terminal_id)
                continue
            opened[mark] = found
            serial, key = found
            if not each.isolated and key.terminal_id == each.terminal_id:
                keys[serial] = key
        self._roll, self._opened, self.unopened = roll, opened, unopened
        self._terminals = {each.terminal_id: each for each in roll.terminals}
        self._isolated = {each.terminal_id for each in roll.terminals if each.isolated}
        for serial in [serial for serial in self.keys if serial not in keys]:
            del self.keys[serial]
        self.keys.update(keys)


def _goes_on(old: LeasedKey, new: LeasedKey | None) -> bool:
    """Tell whether a session goes on: the same terminal and key; only the expiry may differ."""
    return new is not None and (old.terminal_id, old.key) == (new.terminal_id, new.key)
