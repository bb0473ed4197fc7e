"""What one sender durably knows: a JSON object a line, for `hil_rig/record_checker.py`.

{"journal": HEX32, "terminal": HEX12}                               first of all, and after each restart
{"appended": 17, "body": HEX}                                       durable before the record is sent
{"sent": [first, last], "at_unix_ms": …}                            a parcel was handed to the line
{"acknowledged": 17, "backed_up": 9, "verdicts": [[seq, outcome]], "at_unix_ms": …}   durable before more
"""

import json
import os
from pathlib import Path

Verdicts = list[tuple[int, int]]


class Knowledge:
    """One sender's file, appended to.

    Args:
        path: made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def begin(self, journal_id: bytes, terminal_id: bytes) -> None:
        """Say whose file this is."""
        self.keep({"journal": journal_id.hex().upper(), "terminal": terminal_id.hex().upper()})

    def appended(self, seq: int, body: bytes) -> None:
        """Keep what a record holds."""
        self.keep({"appended": seq, "body": body.hex().upper()})

    def sent(self, first_seq: int, last_seq: int, at_unix_ms: int) -> None:
        """Note that records were sent; it need not survive the machine, only its processes."""
        self._write({"sent": [first_seq, last_seq], "at_unix_ms": at_unix_ms})

    def acknowledged(self, through: int, backed_up: int, verdicts: Verdicts, at_unix_ms: int) -> None:
        """Keep an acknowledgement."""
        self.keep(
            {"acknowledged": through, "backed_up": backed_up, "verdicts": verdicts, "at_unix_ms": at_unix_ms}
        )

    def close(self) -> None:
        os.close(self._file)

    def keep(self, *events: dict[str, object]) -> None:
        """Keep events of whoever sends, all of them with one write to the disk."""
        self._write(*events)
        os.fdatasync(self._file)

    def _write(self, *events: dict[str, object]) -> None:
        lines = b"".join(json.dumps(event).encode() + b"\n" for event in events)
        written = os.write(self._file, lines)
        assert written == len(lines), "a short write to a regular file: the disk is full"
