"""Non-volatile memory of a card: named slots, changed by one atomic commit at a time.

The medium is an append-only log of frames, each with length and checksum; a commit is one frame. What a torn
write leaves behind fails its checksum and is cut off when the power comes back, so a commit happened wholly
or not at all. When the log has grown, a snapshot is written beside it and takes its place.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from federation.errors import Tampered
from hil_rig.virtual.media import FileMedium, MediumFailed, MediumLost, RamMedium

MAGIC: Final = b"CCNVM 1\n"
COMPACT_BYTES: Final = 65_536  # a log longer than this, and than four snapshots, is compacted
SLOT_BYTES_MAX: Final = 0xFFFE

_HEADER: Final = struct.Struct(
    ">II"
)  # length of the payload, CRC-32 over the frame before it and the payload


class PowerLost(Exception):
    """The power went while the chip worked: whatever was volatile is gone.

    Args:
        sent: the bytes of the answer that had left before.
    """

    def __init__(self, sent: bytes = b"") -> None:
        super().__init__(f"the power was lost after {len(sent)} bytes of the answer")
        self.sent = sent


class MemoryBroken(Tampered):
    """The log is damaged in a way that no torn write explains."""


class MemoryFailed(Exception):
    """The medium refused a write; nothing was changed. A chip answers 6581."""


class Memory:
    """The slots of one chip, new and in this process.

    `writes` counts the writes to the medium since the memory was made.

    Args:
        medium: where the log is.
        compact_bytes: the length from which the log is compacted.

    Raises:
        MemoryBroken: the medium holds something else, or damage.
    """

    def __init__(
        self, medium: RamMedium | FileMedium | None = None, compact_bytes: int = COMPACT_BYTES
    ) -> None:
        self.writes = 0
        self.last_write_bytes = 0
        self._medium = RamMedium() if medium is None else medium
        self._compact_bytes = compact_bytes
        self._tear: tuple[int, int] | None = None
        self._slots: dict[str, bytes] = {}
        self._view = MappingProxyType(self._slots)
        self._chain = 0
        self._length = 0
        self._torn = True
        self.recover()

    @classmethod
    def open(cls, path: Path, compact_bytes: int = COMPACT_BYTES) -> "Memory":
        """Return the memory that this file holds, made if it is not there; it is locked until `close`.

        Raises:
            Misconfigured: another process has it open.
            MemoryBroken: the file is damaged.
        """
        medium = FileMedium(path)
        try:
            return cls(medium, compact_bytes)
        except MemoryBroken:
            medium.close()
            raise

    @property
    def slots(self) -> Mapping[str, bytes]:
        """What is stored, as of the last commit. The mapping stays the same object."""
        return self._view

    @property
    def torn(self) -> bool:
        """Whether the power was lost in a commit, so that nothing works before `recover`."""
        return self._torn

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        """Store all of these changes or, if the power goes, none; None takes a slot away.

        Raises:
            PowerLost: at a tear that was planned, or where nobody knows whether it was written.
            MemoryFailed: the medium refused; nothing was changed.
        """
        if self._torn:
            raise PowerLost
        frame, chain = _frame(changes, self._chain)
        try:
            self._write(self._medium.append, frame)
        except MediumFailed as failure:
            raise MemoryFailed from failure
        except MediumLost as lost:
            self._torn = True  # the next power-on reads what is there
            raise PowerLost from lost
        self._chain = chain
        self._length += len(frame)
        _apply(self._slots, changes)
        if self._length > self._compact_bytes:
            self._compact()

    def tear(self, write: int, byte: int) -> None:
        """Plan to lose power at the write'th write from now (1 = the next), after `byte` bytes of it."""
        assert write >= 1, "the next write is number 1"
        assert byte >= 0, "bytes are counted from 0"
        self._tear = (self.writes + write, byte)

    def untear(self) -> None:
        """Take a planned tear back."""
        self._tear = None

    def recover(self) -> None:
        """Bring the slots back to the last complete commit, as a chip does when its power comes.

        Raises:
            MemoryBroken: the log is damaged.
        """
        if not self._torn:
            return
        log = self._medium.read()
        slots, self._chain, self._length = _replay(log)
        if self._length == 0:
            self._medium.replace(MAGIC)
            self._medium.swap()
            self._length = len(MAGIC)
        elif self._length < len(log):
            self._medium.cut(self._length)
        self._slots.clear()
        self._slots.update(slots)
        self._torn = False

    def close(self) -> None:
        """Let the file go."""
        self._torn = True
        self._medium.close()

    def _compact(self) -> None:
        frame, chain = _frame(self._slots, 0)
        if self._length < 4 * len(frame):
            return
        try:
            self._write(self._medium.replace, MAGIC + frame)
            self._write(lambda _: self._medium.swap(), b"\x01")
        except MediumFailed:
            return  # the old log is still whole
        self._chain = chain
        self._length = len(MAGIC) + len(frame)

    def _write(self, act: Callable[[bytes], None], block: bytes) -> None:
        self.writes += 1
        self.last_write_bytes = len(block)
        if self._tear is not None and self._tear[0] == self.writes:
            part = block[: self._tear[1]]
            self._tear = None
            self._torn = True
            if part:
                act(part)
            raise PowerLost
        act(block)


def _frame(changes: Mapping[str, bytes | None] | Mapping[str, bytes], chain: int) -> tuple[bytes, int]:
    """Return a frame and its checksum, which the next frame's starts from."""
    parts = []
    for slot, value in changes.items():
        name = slot.encode()
        size = 0 if value is None else len(value) + 1  # 0 = taken away
        assert size <= SLOT_BYTES_MAX + 1, slot
        parts.append(struct.pack(">BH", len(name), size) + name + (value or b""))
    payload = b"".join(parts)
    checksum = zlib.crc32(payload, zlib.crc32(len(payload).to_bytes(4), chain))
    return _HEADER.pack(len(payload), checksum) + payload, checksum


def _apply(slots: dict[str, bytes], changes: Mapping[str, bytes | None]) -> None:
    for slot, value in changes.items():
        if value is None:
            slots.pop(slot, None)
        else:
            slots[slot] = value


def _replay(log: bytes) -> tuple[dict[str, bytes], int, int]:
    """Return the slots, the last checksum and how much of the log is whole; 0 = not even begun."""
    if len(log) < len(MAGIC) and MAGIC.startswith(log):
        return {}, 0, 0
    if not log.startswith(MAGIC):
        raise MemoryBroken("this is no card memory")
    slots: dict[str, bytes] = {}
    chain, at = 0, len(MAGIC)
    while at + _HEADER.size <= len(log):
        length, checksum = _HEADER.unpack_from(log, at)
        start, end = at + _HEADER.size, at + _HEADER.size + length
        if end > len(log):
            break  # torn
        payload = log[start:end]
        if zlib.crc32(payload, zlib.crc32(log[at : at + 4], chain)) != checksum:
            if end < len(log):
                raise MemoryBroken(f"the frame at byte {at} is damaged")
            break  # the last write; its blocks may have come in any order
        _apply(slots, _changes(payload))
        chain, at = checksum, end
    return slots, chain, at


def _changes(payload: bytes) -> dict[str, bytes | None]:
    changes: dict[str, bytes | None] = {}
    at = 0
    while at < len(payload):
        name_bytes, size = struct.unpack_from(">BH", payload, at)
        at += 3
        name = payload[at : at + name_bytes].decode()
        at += name_bytes
        changes[name] = payload[at : at + size - 1] if size else None
        at += max(size - 1, 0)
    return changes
