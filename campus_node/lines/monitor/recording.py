"""Captures of a CAN bus in files: candump (.log), BLF (.blf), Vector ASCII (.asc)."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import can

from campus_node.wording import Sentence
from federation.errors import Unreadable

READ: Final = (".log", ".blf", ".asc")
WRITTEN: Final = (".log", ".blf")
_ERROR_FLAG: Final = 0x2000_0000
_ID_MASK: Final = 0x1FFF_FFFF
_LINE: Final = re.compile(
    r"\((?P<at>\d+\.\d+)\) +(?P<channel>\S+) +(?P<id>[0-9A-Fa-f]{3}|[0-9A-Fa-f]{8})#"
    r"(?P<content>R\d?|(?:#[0-9A-Fa-f])?(?:[0-9A-Fa-f]{2})*)(?: [RT])?\s*$"
)


class Writing(Protocol):
    """A capture that is being written."""

    def write(self, message: can.Message) -> None:
        """Add a frame. Raise OSError."""

    def close(self) -> None:
        """Write the rest and let the file go. Raise OSError."""


def read_capture(path: Path) -> Iterator[can.Message]:
    """Yield the frames of a capture.

    Args:
        path: its suffix, one of READ, says what it is.

    Raises:
        Unreadable: it is no such file, or not to its end.
        OSError: it cannot be opened.
    """
    if path.suffix.lower() not in READ:
        raise Unreadable(Sentence("{path} is no capture: {suffixes}", path=path, suffixes=", ".join(READ)))
    with path.open("rb"):
        pass  # an OSError of ours names the file
    try:
        if path.suffix.lower() == ".log":
            yield from _candump_frames(path)
            return
        with can.LogReader(path) as reader:
            yield from reader
    except OSError:
        raise
    except Exception as error:  # each reader has its own ways to fail on a file that is none
        raise Unreadable(
            Sentence("{path} cannot be read to its end: {cause}", path=path, cause=error)
        ) from error


def write_capture(path: Path) -> Writing:
    """Return what writes a capture; one that is there is replaced.

    Args:
        path: its suffix, one of WRITTEN, says what it becomes.

    Raises:
        OSError: it cannot be made.
    """
    if path.suffix.lower() == ".blf":
        return _Blf(path)
    return _Candump(path)


def _candump_frames(path: Path) -> Iterator[can.Message]:
    """Read what `candump -L` writes. python-can's own reader takes most error frames for frames."""
    with path.open(encoding="ascii", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            found = _LINE.match(line)
            if found is None:
                raise ValueError(f"line {number}")
            number_of = int(found["id"], 16)
            content = found["content"]
            fd = content.startswith("#")
            remote = content.startswith("R")
            octets = b"" if remote else bytes.fromhex(content[2:] if fd else content)
            yield can.Message(
                timestamp=float(found["at"]),
                channel=found["channel"],
                arbitration_id=number_of & _ID_MASK,
                is_extended_id=len(found["id"]) > 3,
                is_error_frame=len(found["id"]) > 3 and bool(number_of & _ERROR_FLAG),
                is_remote_frame=remote,
                is_fd=fd,
                dlc=int(content[1:] or "0") if remote else len(octets),
                data=None if remote else octets,
            )


class _Candump:
    """As `candump -L` writes it. python-can's own writer adds a direction that other readers do not know."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="ascii")

    def write(self, message: can.Message) -> None:
        channel = str(message.channel or "can0").rpartition("/")[2].replace(" ", "-")
        can_id = message.arbitration_id
        if message.is_error_frame:
            shown = f"{can_id | _ERROR_FLAG:08X}"
        else:
            shown = f"{can_id:08X}" if message.is_extended_id else f"{can_id:03X}"
        content = "R" if message.is_remote_frame else bytes(message.data).hex().upper()
        if message.is_fd:
            content = f"#{message.bitrate_switch | message.error_state_indicator << 1:X}{content}"
        self._file.write(f"({message.timestamp:.6f}) {channel} {shown}#{content}\n")

    def close(self) -> None:
        self._file.close()


class _Blf:
    def __init__(self, path: Path) -> None:
        self._writer = can.BLFWriter(path)

    def write(self, message: can.Message) -> None:
        copied = can.Message(
            timestamp=message.timestamp,
            arbitration_id=message.arbitration_id,
            is_extended_id=message.is_extended_id,
            is_remote_frame=message.is_remote_frame,
            is_error_frame=message.is_error_frame,
            is_fd=message.is_fd,
            bitrate_switch=message.bitrate_switch,
            error_state_indicator=message.error_state_indicator,
            dlc=message.dlc,
            data=message.data,
            is_rx=message.is_rx,
        )  # without the channel: a name would have to be a number there
        self._writer(copied)

    def close(self) -> None:
        with suppress(AttributeError):  # the library's own, where nothing was written
            self._writer.stop()
