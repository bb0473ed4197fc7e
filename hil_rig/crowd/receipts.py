"""What a client durably knows: one JSON object a line, on disk before the client goes on, for the checker.

Many terminals of one process share a file and its fsyncs: whoever writes while one fsync runs is written with
the next one.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

Event: TypeAlias = dict[str, str | int]


class Receipts:
    """One client's file, for one event loop.

    Args:
        path: appended to; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lines: list[bytes] = []
        self._kept: asyncio.Future[None] | None = None  # resolved when what stands in _lines is durable
        self._writer: asyncio.Task[None] | None = None

    def note(self, event: Event) -> None:
        """Write an event with the next fsync, without waiting for it."""
        self._lines.append(json.dumps(event).encode() + b"\n")

    async def keep(self, event: Event) -> None:
        """Write an event, and all noted before it; durable on return."""
        self.note(event)
        await self.flush()

    async def flush(self) -> None:
        """Make durable what was noted."""
        if self._kept is None:
            self._kept = asyncio.get_running_loop().create_future()
        kept = self._kept
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await kept

    async def _write(self) -> None:
        while self._kept is not None:
            lines, self._lines, kept, self._kept = self._lines, [], self._kept, None
            await asyncio.to_thread(self._append, b"".join(lines))
            kept.set_result(None)
        self._writer = None

    def _append(self, lines: bytes) -> None:
        self._file.write(lines)
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write what was only noted, and close."""
        self._append(b"".join(self._lines))
        self._file.close()


class Attempt(NamedTuple):
    """One attempt at one question; instants by the wall clock of the client."""

    answered: bool
    from_unix_ms: int
    to_unix_ms: int


def read_attempts(path: Path) -> Iterator[Attempt]:
    """Return the attempts of a client, as it kept them."""
    for line in path.read_bytes().split(b"\n")[:-1]:
        event = json.loads(line)
        if "from_unix_ms" in event:
            yield Attempt("answered" in event, event["from_unix_ms"], event["to_unix_ms"])


def under_way_at(path: Path, unix_ms: int) -> list[Attempt]:
    """Return the attempts that were sent before an instant and had no answer at it."""
    return [each for each in read_attempts(path) if each.from_unix_ms <= unix_ms <= each.to_unix_ms]


def cut_off_at(path: Path, unix_ms: int) -> int:
    """Return how many attempts a kill at this instant has hit: under way, and never answered."""
    return sum(not each.answered for each in under_way_at(path, unix_ms))
