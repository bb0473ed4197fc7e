"""What a card's memory is written to: bytes of this process, or a file that survives it."""

import fcntl
import os
from pathlib import Path
from typing import Final

from federation.errors import Misconfigured

OWNER_ONLY: Final = 0o600  # there are keys in it


class MediumFailed(Exception):
    """The medium refused a write; what it holds is what it held before."""


class MediumLost(Exception):
    """Nobody knows whether the last write is on the medium; reading it again tells."""


class RamMedium:
    """A log in this process; what is written stays, also half a block."""

    def __init__(self) -> None:
        self._log = bytearray()
        self._beside = b""

    def read(self) -> bytes:
        """Return the whole log."""
        return bytes(self._log)

    def append(self, block: bytes) -> None:
        """Write at the end of the log."""
        self._log += block

    def cut(self, length: int) -> None:
        """Keep only the first `length` bytes."""
        del self._log[length:]

    def replace(self, log: bytes) -> None:
        """Write another log beside this one; `swap` puts it in place."""
        self._beside = log

    def swap(self) -> None:
        """Put the log that was written beside in place of this one, at once."""
        self._log = bytearray(self._beside)

    def close(self) -> None:
        """Nothing to let go."""


class FileMedium:
    """A log in a file. Everything is on the disk when a method returns.

    Raises:
        Misconfigured: another process has it, or the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = path.with_name(path.name + ".new")
        try:
            self._lock = os.open(
                path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY
            )
        except OSError as error:
            raise Misconfigured(f"{path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise Misconfigured(f"{path} is in use: a card lies in one reader at a time") from error
        try:
            self._file = self._open()
        except OSError as error:
            os.close(self._lock)
            raise Misconfigured(f"{path} cannot be opened: {error.strerror}") from error
        self._length = os.fstat(self._file).st_size

    def read(self) -> bytes:
        """Return the whole log."""
        self._length = os.fstat(self._file).st_size
        return os.pread(self._file, self._length, 0)

    def append(self, block: bytes) -> None:
        """Write at the end of the log. Raise MediumFailed, the log is then as before; MediumLost."""
        try:
            written = os.pwrite(self._file, block, self._length)
        except OSError as error:
            os.ftruncate(self._file, self._length)
            raise MediumFailed(str(error)) from error
        if written < len(block):
            os.ftruncate(self._file, self._length)
            raise MediumFailed(f"{written} of {len(block)} bytes fitted")
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise MediumLost(str(error)) from error
        self._length += len(block)

    def cut(self, length: int) -> None:
        """Keep only the first `length` bytes."""
        os.ftruncate(self._file, length)
        os.fdatasync(self._file)
        self._length = length

    def replace(self, log: bytes) -> None:
        """Write another log beside this one; `swap` puts it in place. Raise MediumFailed."""
        try:
            beside = os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, OWNER_ONLY)
            with open(beside, "wb") as file:
                file.write(log)
                file.flush()
                os.fsync(beside)
        except OSError as error:
            raise MediumFailed(str(error)) from error

    def swap(self) -> None:
        """Put the log that was written beside in place of this one, at once. Raise MediumFailed."""
        try:
            self._beside.replace(self._path)
        except OSError as error:
            raise MediumFailed(str(error)) from error
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        os.close(self._file)
        self._file = self._open()
        self._length = os.fstat(self._file).st_size

    def close(self) -> None:
        """Close the file and let its lock go."""
        os.close(self._file)
        os.close(self._lock)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
