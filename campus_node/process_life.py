"""Whether the process that wrote its number down is still the one that has it. Linux only; needs nothing."""

import contextlib
import os
from pathlib import Path


def born_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since this machine started; None where nobody says."""
    told = _stat(pid)
    try:
        return int(told[19])  # proc(5): field 22; 2 ends with the bracket
    except (ValueError, IndexError):
        return None


def is_alive(pid: int) -> bool:
    """Tell whether there is a process of this number that has not ended; one that nobody awaits has."""
    if _stat(pid)[:1] == ["Z"]:
        return False
    with contextlib.suppress(ProcessLookupError):
        try:
            os.kill(pid, 0)
        except PermissionError:  # somebody else's process: it is there
            return True
        return True
    return False


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name; none where nobody says."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return told.rpartition(")")[2].split()
