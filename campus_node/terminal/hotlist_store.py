"""Where a terminal keeps one issuer's hotlist: a file of two slots (A15, B2.3).

The content of a slot: signature64 ‖ the list's form. A list that decayed is passed over for the one before:
whoever takes it asks for what is missing.
"""

from pathlib import Path
from typing import Final

from campus_node.terminal.storage import Storage
from campus_node.terminal.two_slots import TwoSlots
from federation.errors import Unreadable
from federation.hotlist_delta import SIGNATURE_BYTES, SignedHotlist
from federation.hotlist_form import decode, encode

SLOT_BYTES: Final = 2 * 1024 * 1024


class HotlistStore:
    """One writer, one issuer, one file.

    Args:
        storage: holds two slots; see `open` and `two_slots.new_content`.

    Raises:
        SlotsUnwritable, Misconfigured: see TwoSlots.
    """

    def __init__(self, storage: Storage) -> None:
        self._slots = TwoSlots(storage, _is_readable)

    @classmethod
    def open(cls, path: Path, slot_bytes: int = SLOT_BYTES) -> "HotlistStore":
        """Open the store at path, or make an empty one there, for lists up to slot_bytes less 64.

        Raises:
            SlotsUnwritable, Misconfigured: see TwoSlots.open.
        """
        store = cls.__new__(cls)
        store._slots = TwoSlots.open(path, slot_bytes, _is_readable)
        return store

    def load(self) -> SignedHotlist | None:
        """Return the list that is kept, its signature not looked at; None = there is none."""
        return None if self._slots.kept is None else _decode(self._slots.kept)

    def save(self, signed: SignedHotlist) -> None:
        """Keep a list in place of the one before; it is durable on return.

        Raises:
            SlotTooSmall: it does not fit; nothing was written.
            SlotsUnwritable: the storage failed; the old list or the new one is there.
        """
        assert len(signed.signature) == SIGNATURE_BYTES, "only what was verified is kept"
        self._slots.keep(signed.signature + encode(signed.hotlist))

    def close(self) -> None:
        """Let the file go. May be called twice."""
        self._slots.close()


def _decode(content: bytes) -> SignedHotlist:
    return SignedHotlist(decode(content[SIGNATURE_BYTES:]), content[:SIGNATURE_BYTES])


def _is_readable(content: bytes) -> bool:
    try:
        _decode(content)
    except Unreadable:
        return False
    return True
