"""The text of an APDU trace: written for people, read back by programs.

    2026-09-01T04:00:00.123Z card GET BALANCE
      > 805C000204
      < 00002710 9000
          balance 100.00
          success (0.412 ms)

A line with a date begins an exchange and names the device; `>` is what was sent, `<` what came back; `**`
is a byte that is hidden; `-` is an answer that never came. Everything else is for people and is skipped
when read.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from campus_node.wording import Sentence
from federation.errors import Misconfigured

FIRST_LINE: Final = "# campuscard APDU trace 1"
POWER_ON: Final = "power on"
RESET: Final = "reset"
LOST: Final = "-"
BYTES_MAX: Final = 16 * 2**20
_HEAD: Final = re.compile(r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<device>[a-z]+) .*")
_HEX: Final = re.compile(r"(?:[0-9A-F]{2}|\*\*)*")


@dataclass(frozen=True, slots=True)
class Veiled:
    """Bytes of which some are hidden.

    Args:
        octets: the bytes; a hidden one is 0.
        hidden: positions of those that are hidden.
    """

    octets: bytes
    hidden: frozenset[int] = frozenset()

    def text(self, groups: Sequence[int] = ()) -> str:
        """Return hexadecimal digits, `**` for a hidden byte; a space after each group of so many bytes."""
        pairs = ["**" if i in self.hidden else f"{octet:02X}" for i, octet in enumerate(self.octets)]
        parts, at = [], 0
        for length in groups:
            parts.append("".join(pairs[at : at + length]))
            at += length
        parts.append("".join(pairs[at:]))
        return " ".join(part for part in parts if part)

    def differs_from(self, octets: bytes) -> int | None:
        """Return the first position where these bytes are others, hidden ones aside; None = there is none."""
        for i, (mine, theirs) in enumerate(zip(self.octets, octets, strict=False)):
            if mine != theirs and i not in self.hidden:
                return i
        return None if len(self.octets) == len(octets) else min(len(self.octets), len(octets))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange as a trace has it.

    Args:
        line: where it begins in the file, from 1.
        device: "card" or "sam".
        action: POWER_ON or RESET; "" = a command.
        command: what was sent; empty for an action.
        answer: what came back; None = nothing did.
    """

    line: int
    device: str
    action: str
    command: Veiled
    answer: Veiled | None


def read_trace(path: Path) -> list[Exchange]:
    """Return the exchanges of a trace in order.

    Raises:
        Misconfigured: the file is no trace, is too large, or a line of it is damaged.
        OSError: it cannot be read.
    """
    if path.stat().st_size > BYTES_MAX:
        raise Misconfigured(
            Sentence("{path} is larger than {most} MB: cut it", path=path, most=BYTES_MAX // 2**20)
        )
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines or not lines[0].startswith(FIRST_LINE):
        raise Misconfigured(
            Sentence("{path} is no APDU trace: campus card … --trace FILE writes one", path=path)
        )
    return list(_exchanges(path, lines))


def _exchanges(path: Path, lines: Iterable[str]) -> Iterator[Exchange]:
    head: tuple[int, str] | None = None
    sent: str | None = None
    for number, line in enumerate(lines, 1):
        if match := _HEAD.fullmatch(line):
            if head is not None:
                raise _damaged(path, head[0])
            head, sent = (number, match["device"]), None
        elif line.startswith("  > ") and head is not None and sent is None:
            sent = line[4:]
        elif line.startswith("  < ") and head is not None and sent is not None:
            action = sent if sent in {POWER_ON, RESET} else ""
            command = Veiled(b"") if action else _veiled(path, number - 1, sent)
            answer = None if line[4:] == LOST else _veiled(path, number, line[4:])
            yield Exchange(head[0], head[1], action, command, answer)
            head = None
        elif line[:4] in {"  > ", "  < "}:
            raise _damaged(path, number)
    if head is not None:
        raise _damaged(path, head[0])


def _veiled(path: Path, number: int, text: str) -> Veiled:
    digits = text.replace(" ", "")
    if not _HEX.fullmatch(digits):
        raise _damaged(path, number)
    pairs = [digits[i : i + 2] for i in range(0, len(digits), 2)]
    octets = bytes(0 if pair == "**" else int(pair, 16) for pair in pairs)
    return Veiled(octets, frozenset(i for i, pair in enumerate(pairs) if pair == "**"))


def _damaged(path: Path, number: int) -> Misconfigured:
    return Misconfigured(
        Sentence("{path}, line {number}: this is no line of a trace", path=path, number=number)
    )
