"""Personalisation, keys and life cycle: files, keys, ACTIVATE, blocking. See docs/cos.md."""

from typing import Final

from hil_rig.virtual import status
from hil_rig.virtual.chip import Chip, Request
from hil_rig.virtual.crypto import KEY_BYTES, algorithm_of
from hil_rig.virtual.file_commands import AUTHENTICATED, FREE, MAINTENANCE, MAINTENANCE_ENCRYPTED, NEVER, PIN
from hil_rig.virtual.file_system import (
    DIRECTORIES_MAX,
    FILES_MAX,
    KEYS_MAX,
    MF_FID,
    Directory,
    File,
    Kind,
    Life,
    binary_slot,
    key_slot,
    packed_key,
)
from hil_rig.virtual.profile_entries import KeyEntry, Usage
from hil_rig.virtual.purse_file import ED_FID, EP_FID, Purse, purse_slot
from hil_rig.virtual.secure_messaging import decrypted, key_in_force, opened
from hil_rig.virtual.security_commands import KEY_TRIES, PIN_LENGTHS, PIN_SEPARATOR

WRITE: Final = 0x00
DELETE: Final = 0x01
BLOCK_FOR_A_TIME: Final = 0x00
BLOCK_FOR_EVER: Final = 0x01

FILE_BYTES_MAX: Final = 0x7FFF
READABLE: Final = frozenset({FREE, PIN, AUTHENTICATED, NEVER})
WRITABLE: Final = READABLE | {MAINTENANCE, MAINTENANCE_ENCRYPTED}
CARD_TYPES: Final = frozenset(map(int, Usage))
NAME_LENGTHS: Final = range(5, 17)


class Administration:
    """The commands of who made the card, for card and PSAM alike.

    Args:
        psam: whether keys are told apart by usage byte, version and algorithm, as in a PSAM.
    """

    def __init__(self, chip: Chip, *, psam: bool = False) -> None:
        self._chip = chip
        self._psam = psam
        chip.commands |= {
            0x84E0: self.create_file,
            0x84E4: self.delete_application,
            0x84D4: self.write_key,
            0x8444: self.activate,
            0x80CA: self.list_keys,
            0x8416: self.block_card,
            0x841E: self.block_application,
            0x8418: self.unblock_application,
        }

    def create_file(self, request: Request) -> bytes:
        """`84 E0 FID FID Lc` descriptor ‖ MAC4."""
        directory = self._chip.directory
        descriptor = opened(self._chip, request)
        fid = request.p1 << 8 | request.p2
        if directory.number and directory.life is not Life.IN_PERSONALISATION:
            raise status.Ended(status.CONDITIONS)
        if fid in directory.files or self._chip.files.by_fid(fid) or fid == MF_FID:
            raise status.Ended(status.CONDITIONS)
        kind, rest = descriptor[:1], descriptor[1:]
        if kind == bytes([Kind.APPLICATION]) and directory.number == 0:
            return self._create_application(fid, rest)
        if len(directory.files) >= FILES_MAX:
            raise status.Ended(status.NO_ROOM)
        changes = (
            self._purse(directory, fid, rest) if kind == b"\x2f" else self._file(directory, fid, descriptor)
        )
        self._chip.files.commit(changes)
        return b""

    def delete_application(self, request: Request) -> bytes:
        """`84 E4 00 00 Lc` name ‖ MAC4, in the MF."""
        request.expect_parameters(0, 0)
        files = self._chip.files
        name = opened(self._chip, request)
        if self._chip.directory.number:
            raise status.Ended(status.CONDITIONS)
        found = files.named(name)
        if found is None or found.number == 0:
            raise status.Ended(status.NO_FILE)
        if not self._psam and found.life is not Life.IN_PERSONALISATION:
            raise status.Ended(status.CONDITIONS)
        files.commit(dict.fromkeys(list(files.slots_of(found))))
        return b""

    def write_key(self, request: Request) -> bytes:
        """`84 D4 00 index Lc` encrypted key ‖ MAC4, or to delete `84 D4 01 index 07` its name ‖ MAC4."""
        content = opened(self._chip, request)
        if request.p1 not in {WRITE, DELETE} or (self._psam and request.p2):
            raise status.Ended(status.WRONG_PARAMETERS)
        plain = decrypted(key_in_force(self._chip).cipher, content) if request.p1 == WRITE else content
        algorithm = algorithm_of(plain[2]) if len(plain) >= 3 else None
        if algorithm is None:
            raise status.Ended(status.WRONG_CONTENT)
        entry = KeyEntry(plain[0] & 0x1F, plain[0] >> 5, request.p2, plain[1], algorithm, plain[3:])
        if entry.type == Usage.PIN and not self._psam:
            return self._write_pin(entry, request.p1)
        known = entry.type > 0 if self._psam else entry.levels == 0 and entry.type in CARD_TYPES
        if not known or len(entry.value) != (KEY_BYTES if request.p1 == WRITE else 0):
            raise status.Ended(status.WRONG_CONTENT)
        if request.p1 == DELETE:
            return self._delete_key(entry)
        return self._store_key(entry)

    def activate(self, request: Request) -> bytes:
        """`84 44 00 00 04` MAC4: the application leaves personalisation."""
        request.expect_parameters(0, 0)
        if opened(self._chip, request):
            raise status.Ended(status.WRONG_LENGTH)
        if self._chip.directory.life is not Life.IN_PERSONALISATION:
            raise status.Ended(status.CONDITIONS)
        self._chip.files.commit(self._chip.directory.changed(Life.ACTIVE))
        return b""

    def list_keys(self, request: Request) -> bytes:
        """`80 CA 00 00 00`: usage ‖ index ‖ version ‖ algorithm of every key here."""
        request.expect_parameters(0, 0)
        request.expect(0)
        directory = self._chip.directory
        pin = self._chip.files.slots.get(directory.slot("pin"))
        rows = [packed_key(key.entry)[:4] for key in directory.keys]
        rows += [bytes((Usage.PIN, 0, pin[1], 0))] if pin else []
        return b"".join(rows)

    def block_card(self, request: Request) -> bytes:
        """`84 16 00 00 04` MAC4: afterwards everything is 6A81, for ever."""
        request.expect_parameters(0, 0)
        if opened(self._chip, request):
            raise status.Ended(status.WRONG_LENGTH)
        self._chip.files.commit(self._chip.files.mf.changed(Life.TERMINATED))
        return b""

    def block_application(self, request: Request) -> bytes:
        """`84 1E 00 00|01 04` MAC4: 00 for a time, 01 for ever."""
        if request.p1 != 0 or request.p2 not in {BLOCK_FOR_A_TIME, BLOCK_FOR_EVER}:
            raise status.Ended(status.WRONG_PARAMETERS)
        directory = self._chip.directory
        if directory.number == 0 or directory.life is Life.BLOCKED_FOR_EVER:
            raise status.Ended(status.CONDITIONS)
        if opened(self._chip, request):
            raise status.Ended(status.WRONG_LENGTH)
        life = Life.BLOCKED_FOR_EVER if request.p2 == BLOCK_FOR_EVER else Life.BLOCKED
        self._chip.files.commit(directory.changed(life))
        return b""

    def unblock_application(self, request: Request) -> bytes:
        """`84 18 00 00 04` MAC4. The third failure in a row locks the application for ever: 9303."""
        request.expect_parameters(0, 0)
        directory = self._chip.directory
        if directory.life is Life.BLOCKED_FOR_EVER:
            raise status.Ended(status.LOCKED_FOR_EVER)
        if directory.life is not Life.BLOCKED or not request.challenge:
            raise status.Ended(status.CONDITIONS)
        files, slot = self._chip.files, directory.slot("t/unblock")
        left = files.slots.get(slot, bytes([KEY_TRIES]))[0] - 1
        if left <= 0:
            spent = directory.changed(Life.BLOCKED_FOR_EVER)
            files.commit({slot: bytes([0])} | spent)  # undone below if this last try is right
        else:
            files.commit({slot: bytes([left])})
        try:
            rest = opened(self._chip, request)
        except status.Ended as ended:
            raise (status.Ended(status.LOCKED_FOR_EVER) if left <= 0 else ended) from None
        if rest:
            raise status.Ended(status.WRONG_LENGTH)
        changes: dict[str, bytes | None] = {slot: bytes([KEY_TRIES]), directory.slot("e"): None}
        files.commit(changes | directory.changed(Life.ACTIVE))
        return b""

    def _create_application(self, fid: int, rest: bytes) -> bytes:
        name = rest[3:]
        if len(name) not in NAME_LENGTHS:
            raise status.Ended(status.WRONG_CONTENT)
        files = self._chip.files
        if files.named(name):
            raise status.Ended(status.CONDITIONS)
        number = next((n for n in range(1, DIRECTORIES_MAX) if n not in files.directories), None)
        if number is None:
            raise status.Ended(status.NO_ROOM)
        tries = int.from_bytes(rest[1:3])
        if self._psam and tries == 0:
            raise status.Ended(status.WRONG_CONTENT)
        directory = Directory(number, fid, Life.IN_PERSONALISATION, rest[0], tries, name)
        files.commit({directory.slot("d"): directory.packed()})
        return b""

    def _file(self, directory: Directory, fid: int, descriptor: bytes) -> dict[str, bytes]:
        if len(descriptor) != 6 or descriptor[0] not in {Kind.BINARY, Kind.RECORDS, Kind.CYCLIC}:
            raise status.Ended(status.WRONG_CONTENT)
        kind, sfi, read, write, one, two = descriptor
        size = int.from_bytes(descriptor[4:])
        if kind == Kind.CYCLIC:
            file = File(fid, kind, sfi, read, write, one, two)
            fits = one > 0 and two > 0
        else:
            file = File(fid, kind, sfi, read, write, size, 0)
            fits = 0 < size <= FILE_BYTES_MAX
        fits = fits and sfi <= 30 and sfi not in directory.by_sfi and fid not in {ED_FID, EP_FID}
        if not fits or read not in READABLE or write not in WRITABLE:
            raise status.Ended(status.WRONG_CONTENT)
        changes = {directory.slot(f"f/{fid:04X}"): file.packed()}
        if kind == Kind.BINARY:
            changes[binary_slot(directory, fid)] = bytes(size)
        return changes

    def _purse(self, directory: Directory, fid: int, rest: bytes) -> dict[str, bytes]:
        maximum, overdraft = int.from_bytes(rest[:4]), int.from_bytes(rest[4:])
        allowed = len(rest) == 7 and fid in {ED_FID, EP_FID} and directory.number and overdraft <= maximum
        if not allowed or self._psam or (fid == EP_FID and overdraft):
            raise status.Ended(status.WRONG_CONTENT)
        return {
            directory.slot(f"f/{fid:04X}"): File(fid, Kind.PURSE, 0, NEVER, NEVER, 0, 0).packed(),
            purse_slot(directory, fid): Purse(overdraft, 0, 0, overdraft, maximum).packed(),
        }

    def _write_pin(self, entry: KeyEntry, how: int) -> bytes:
        wrong = entry.levels or entry.algorithm or not 1 <= entry.version <= 15
        if how != WRITE or wrong or len(entry.value) not in PIN_LENGTHS or PIN_SEPARATOR in entry.value:
            raise status.Ended(status.WRONG_CONTENT)
        tries = bytes((entry.version, entry.version))
        self._chip.pin_verified = False
        self._chip.files.commit({self._chip.directory.slot("pin"): tries + entry.value})
        return b""

    def _store_key(self, entry: KeyEntry) -> bytes:
        directory, files = self._chip.directory, self._chip.files
        slot = key_slot(directory.number, entry)
        replaced = [key for key in directory.keys if self._same_place(key.entry, entry)]
        if not replaced and len(directory.keys) >= KEYS_MAX:
            raise status.Ended(status.NO_ROOM)
        changes: dict[str, bytes | None] = {}
        for key in replaced:
            changes |= {key.slot: None, key.tries_slot: None}
        files.commit(changes | {slot: packed_key(entry)})
        return b""

    def _delete_key(self, entry: KeyEntry) -> bytes:
        directory = self._chip.directory
        slot = key_slot(directory.number, entry)
        found = next((key for key in directory.keys if key.slot == slot), None)
        if found is None:
            raise status.Ended(status.NO_KEY)
        same = [key for key in directory.keys if key.entry.type == entry.type]
        if entry.type == Usage.MAINTENANCE and len(same) == 1:
            raise status.Ended(status.CONDITIONS)
        self._chip.files.commit({found.slot: None, found.tries_slot: None})
        return b""

    def _same_place(self, old: KeyEntry, new: KeyEntry) -> bool:
        if self._psam and new.type != Usage.MAINTENANCE:
            return key_slot(0, old) == key_slot(0, new)
        return (old.type, old.index) == (new.type, new.index)
