"""UPDATE CAPP DATA CACHE: records that a mixed purchase writes together with its debit."""

from typing import Final

from hil_rig.virtual import status
from hil_rig.virtual.chip import Chip, Request
from hil_rig.virtual.file_commands import FileCommands
from hil_rig.virtual.file_system import Kind
from hil_rig.virtual.transactions import Transactions, Type

RECORD_HEADER_BYTES: Final = 3  # id, length, lock
LOCK_AT: Final = 2


class CappCache:
    """The cache of a mixed purchase: in volatile memory until the debit commits it."""

    def __init__(self, chip: Chip, files: FileCommands, transactions: Transactions) -> None:
        self._chip = chip
        self._files = files
        self._transactions = transactions
        chip.commands[0x80DC] = self.update

    def update(self, request: Request) -> bytes:
        """`80 DC id (SFI<<3)|0 Lc` or `80 DC number (SFI<<3)|4 Lc`, id1 ‖ len1 ‖ lock1 ‖ content.

        The card keeps its own id and length; what is shorter keeps the old record's tail (unverified). Ends
        with 6901 outside a mixed purchase, 9407 for a locked record; any error voids the transaction.
        """
        begun = self._transactions.begun(Type.CAPP)
        directory = self._chip.directory
        file = directory.by_sfi.get(request.p2 >> 3)
        if file is None:
            raise status.Ended(status.NO_FILE)
        if file.kind != Kind.RECORDS:
            raise status.Ended(status.WRONG_FILE_KIND)
        slot = self._files.record(directory, file, request)
        stored, content = self._chip.files.slots[slot], request.content
        if len(content) < RECORD_HEADER_BYTES:
            raise status.Ended(status.WRONG_LENGTH)
        if len(content) > len(stored):
            raise status.Ended(status.NO_ROOM)
        if content[0] != stored[0]:
            raise status.Ended(status.NO_RECORD)
        if stored[LOCK_AT : LOCK_AT + 1] != b"\0":
            raise status.Ended(status.RECORD_LOCKED)
        tail = begun.capp.get(slot, stored)[len(content) :]
        begun.capp[slot] = stored[:LOCK_AT] + content[LOCK_AT:] + tail
        self._transactions.carry_on(begun)
        return b""
