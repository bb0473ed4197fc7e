"""What the senders of one segment are told to do: a JSON file that their parent reads."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["can", "serial", "tcp"]


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """Where the terminals of a segment hang.

    Args:
        kind: `can` on a broker's socket, `serial` on pseudo-terminals, `tcp` with TLS.
        channel: the broker's socket; the folder of pseudo-terminals, each named after its terminal;
            `HOST:PORT` of the gateway.
        rate: bits a second; unused for tcp.
        server_name: in the gateway's certificate; tcp only.
        authority: PEM of the campus's authority; tcp only.
    """

    kind: Kind
    channel: str
    rate: int = 0
    server_name: str = ""
    authority: str = ""


@dataclass(frozen=True, slots=True)
class SenderOrder:
    """One terminal.

    Args:
        name: on its campus.
        address: 1 to 254; 0 on tcp.
        terminal_id, psam_serial: 6 and 10 bytes, as hex.
        session_key: of its PSAM, 16 bytes, as hex: the campus's, diversified with the PSAM's serial number.
        usage, key_version, algorithm: as its HELLO names that key.
        chain, key: PEM of its certificate and key; tcp only.
    """

    name: str
    address: int
    terminal_id: str
    psam_serial: str
    session_key: str
    usage: int = 0x28
    key_version: int = 1
    algorithm: int = 0
    chain: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class SegmentOrder:
    """One parent process and its senders.

    Args:
        directory: for each terminal NAME.journal, NAME.numbers, and NAME.jsonl with what it knows.
        terminals: a process each.
        records_each: how many records a terminal writes.
        interval_s: how long between two of them, on average.
        seed: of contents and intervals.
        torn: how many of the terminals begin with a record whose write was torn: a number without a content.
        again: how many of its first records a terminal sends once more when all are acknowledged.
        capacity: records that a journal holds.
    """

    directory: str
    line: SegmentLine
    terminals: tuple[SenderOrder, ...]
    records_each: int
    interval_s: float
    seed: int
    again: int = 0
    torn: int = 0
    capacity: int = 1024

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def read_order(path: Path) -> SegmentOrder:
    """Return the order in a file."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields["line"] = SegmentLine(**fields["line"])
    fields["terminals"] = tuple(SenderOrder(**each) for each in fields["terminals"])
    return SegmentOrder(**fields)
