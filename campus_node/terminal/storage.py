"""Where a terminal's journal lies: bytes at offsets, durable after `sync`.

A file is the real one. `hil_rig/torn_storage.py` is the other: it loses power in the middle of any write.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from campus_node.wording import Sentence
from federation.errors import Misconfigured


class Storage(Protocol):
    """Bytes that outlive the process. Whoever opens it is its only writer."""

    def size(self) -> int:
        """Return how many bytes there are."""

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from offset on; fewer than length where the storage ends. Raise OSError."""

    def write(self, offset: int, content: bytes) -> None:
        """Put bytes at offset; they may or may not be there after a power cut until `sync`. Raise OSError."""

    def sync(self) -> None:
        """Return when everything written before survives a power cut. Raise OSError."""

    def close(self) -> None:
        """Let it go. May be called twice."""


class FileStorage:
    """A file, locked against a second process as long as it is open.

    Args:
        path: the file, which exists; see `create_file`.

    Raises:
        Misconfigured: another process has it open.
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise Misconfigured(Sentence("{path} is open in another process", path=path)) from error
        self._open = True

    def size(self) -> int:
        return os.fstat(self._file).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file, length, offset)

    def write(self, offset: int, content: bytes) -> None:
        written = 0
        while written < len(content):
            written += os.pwrite(self._file, content[written:], offset + written)

    def sync(self) -> None:
        os.fdatasync(self._file)

    def close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._file)


def create_file(path: Path, parts: Iterable[bytes]) -> None:
    """Make a file with this content, whole or not at all, durable on return; nothing if it is there already.

    Only its owner may read it: it is about people. Of two processes that find it missing one makes it.

    Raises:
        OSError: it cannot be written.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if path.exists():
            return
        unfinished = path.with_name(path.name + ".new")
        unfinished.unlink(missing_ok=True)
        with open(
            os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        os.fsync(folder)
    finally:
        os.close(folder)
