"""The files, keys and states of a chip: a view of its memory's slots.

Slots of directory n: `n/d` its header, `n/f/FID` a file's header, `n/b/FID` binary content, `n/r/FID/NN` a
record, `n/l/FID` a cyclic file's newest record and count, `n/k/…` a key, `n/t/…` a try counter, `n/p/N` a
purse, `n/x/TYPE` a stored proof, `n/pin`, `n/e` wrong MAC2s. `chip` says what the memory belongs to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, NamedTuple

from hil_rig.virtual.crypto import Key, RunningMac, key_of
from hil_rig.virtual.memory import Memory
from hil_rig.virtual.profile_entries import KeyEntry, Usage

MF_FID: Final = 0x3F00
MF_NAME: Final = b"1PAY.SYS.DDF01"
DIRECTORIES_MAX: Final = 64
FILES_MAX: Final = 64
KEYS_MAX: Final = 60  # of one directory; their list fits in one answer
CHIP_SLOT: Final = "chip"

CHIP_CARD: Final = 0x01
CHIP_PSAM: Final = 0x02
CHIP_GET_RESPONSE: Final = 0x80


class Life(IntEnum):
    """Where a directory is in its life. The MF begins ACTIVE; only the MF can end as TERMINATED."""

    IN_PERSONALISATION = 1
    ACTIVE = 2
    BLOCKED = 3
    BLOCKED_FOR_EVER = 4
    TERMINATED = 5


class Kind(IntEnum):
    """Kinds of files, as in CREATE FILE."""

    BINARY = 0x28
    RECORDS = 0x2C
    CYCLIC = 0x2E
    PURSE = 0x2F
    APPLICATION = 0x38


class File(NamedTuple):
    """Header of one file. `one` and `two`: size in bytes and 0; or records and their length (cyclic)."""

    fid: int
    kind: int
    sfi: int
    read: int
    write: int
    one: int
    two: int

    def packed(self) -> bytes:
        """Return the header as it is stored."""
        return bytes((self.kind, self.sfi, self.read, self.write)) + self.one.to_bytes(2) + bytes([self.two])

    @classmethod
    def unpacked(cls, fid: int, header: bytes) -> "File":
        """Return the header that was stored."""
        return cls(fid, header[0], header[1], header[2], header[3], int.from_bytes(header[4:6]), header[6])


class StoredKey:
    """A key in a directory, with the cipher objects that were made for it."""

    __slots__ = ("_cipher", "_folded", "entry", "slot")

    def __init__(self, slot: str, entry: KeyEntry) -> None:
        self.slot = slot
        self.entry = entry
        self._cipher: Key | None = None
        self._folded: RunningMac | None = None

    @property
    def cipher(self) -> Key:
        """The key itself."""
        if self._cipher is None:
            self._cipher = key_of(self.entry.algorithm, self.entry.value)
        return self._cipher

    @property
    def folded(self) -> RunningMac:
        """The MAC of TAC and RELOAD PIN under it."""
        if self._folded is None:
            self._folded = self.cipher.folded()
        return self._folded

    @property
    def tries_slot(self) -> str:
        """Where its try counter is."""
        return self.slot.replace("/k/", "/t/")


@dataclass(slots=True)
class Directory:
    """The MF (number 0) or an application."""

    number: int
    fid: int
    life: Life
    options: int
    mac2_tries: int
    name: bytes
    files: dict[int, File] = field(default_factory=dict)
    by_sfi: dict[int, File] = field(default_factory=dict)
    keys: list[StoredKey] = field(default_factory=list)

    def packed(self) -> bytes:
        """Return the header as it is stored."""
        life_and_options = bytes((self.life, self.options))
        return self.fid.to_bytes(2) + life_and_options + self.mac2_tries.to_bytes(2) + self.name

    def changed(self, life: Life) -> dict[str, bytes]:
        """Return the change that brings it into this state of life."""
        return {self.slot("d"): replace(self, life=life).packed()}

    def slot(self, rest: str) -> str:
        """Return the name of one of its slots."""
        return f"{self.number}/{rest}"

    def key(self, usage: int, index: int) -> StoredKey | None:
        """Return a card's key of this type and index."""
        for key in self.keys:
            if key.entry.type == usage and key.entry.index == index:
                return key
        return None

    def maintenance_key(self) -> StoredKey | None:
        """Return the maintenance key with the lowest index."""
        return next((key for key in self.keys if key.entry.type == Usage.MAINTENANCE), None)


class FileSystem:
    """What a chip's memory holds, found quickly; every change goes through `commit`."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.slots = memory.slots
        self.directories: dict[int, Directory] = {}
        self.read()

    @property
    def mf(self) -> Directory:
        """The master file."""
        return self.directories[0]

    def read(self) -> None:
        """Look at the memory anew."""
        self.directories = directories(self.slots)

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        """Store all of these changes or none. Raise PowerLost, MemoryFailed."""
        self.memory.commit(changes)
        if any("/k/" in slot or "/f/" in slot or slot.endswith("/d") for slot in changes):
            self.read()

    def named(self, name: bytes) -> Directory | None:
        """Return the directory of this name."""
        return next((found for found in self.directories.values() if found.name == name), None)

    def by_fid(self, fid: int) -> Directory | None:
        """Return the directory with this file id."""
        return next((found for found in self.directories.values() if found.fid == fid), None)

    def slots_of(self, directory: Directory) -> Iterator[str]:
        """Yield every slot of a directory."""
        prefix = directory.slot("")
        return (slot for slot in self.slots if slot.startswith(prefix))

    def records(self, directory: Directory, file: File) -> list[str]:
        """Return the slots of a file's records: in order, of a cyclic one the newest first."""
        if file.kind == Kind.CYCLIC:
            newest, count = self.cyclic_state(directory, file)
            return [record_slot(directory, file, (newest - back) % file.one) for back in range(count)]
        found = []
        for number in range(256):
            slot = record_slot(directory, file, number)
            if slot not in self.slots:
                break
            found.append(slot)
        return found

    def cyclic_state(self, directory: Directory, file: File) -> tuple[int, int]:
        """Return where the newest record of a cyclic file is, and how many there are."""
        state = self.slots.get(directory.slot(f"l/{file.fid:04X}"))
        return (file.one - 1, 0) if state is None else (state[0], state[1])

    def cyclic_append(self, directory: Directory, file: File, record: bytes) -> dict[str, bytes]:
        """Return the changes that make this the newest record of a cyclic file."""
        newest, count = self.cyclic_state(directory, file)
        newest = (newest + 1) % file.one
        return {
            record_slot(directory, file, newest): record,
            directory.slot(f"l/{file.fid:04X}"): bytes((newest, min(count + 1, file.one))),
        }


def record_slot(directory: Directory, file: File, number: int) -> str:
    """Return the slot of a record, counted from 0 where it lies."""
    return f"{directory.number}/r/{file.fid:04X}/{number:02X}"


def binary_slot(directory: Directory, fid: int) -> str:
    """Return the slot of a transparent file's content."""
    return f"{directory.number}/b/{fid:04X}"


def key_slot(number: int, entry: KeyEntry) -> str:
    """Return the slot of a key in the directory of this number."""
    usage = entry.levels << 5 | entry.type
    return f"{number}/k/{usage:02X}{entry.index:02X}{entry.version:02X}{entry.algorithm:02X}"


def packed_key(entry: KeyEntry) -> bytes:
    """Return a key as it is stored."""
    return bytes((entry.levels << 5 | entry.type, entry.index, entry.version, entry.algorithm)) + entry.value


def directories(slots: Mapping[str, bytes]) -> dict[int, Directory]:
    """Return every directory with its files and keys."""
    found: dict[int, Directory] = {}
    for slot, value in slots.items():
        number, _, rest = slot.partition("/")
        if rest == "d":
            life = Life(value[2])
            fid, tries = int.from_bytes(value[:2]), int.from_bytes(value[4:6])
            found[int(number)] = Directory(int(number), fid, life, value[3], tries, value[6:])
    for slot, value in slots.items():
        number, _, rest = slot.partition("/")
        if rest.startswith("f/"):
            file = File.unpacked(int(rest[2:], 16), value)
            found[int(number)].files[file.fid] = file
            if file.sfi:
                found[int(number)].by_sfi[file.sfi] = file
        elif rest.startswith("k/"):
            usage, index, version, algorithm = value[:4]
            entry = KeyEntry(usage & 0x1F, usage >> 5, index, version, algorithm, value[4:])
            found[int(number)].keys.append(StoredKey(slot, entry))
    for directory in found.values():
        directory.keys.sort(key=lambda key: key.slot)
    return found
