"""Which tills and cards a process has: a JSON file that its parent writes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hil_rig.senders.order import SegmentLine, SenderOrder


@dataclass(frozen=True, slots=True)
class CardOrder:
    """One card.

    Args:
        asn: 10 bytes, as hex.
        balance_fen: what its purse holds when it is new.
    """

    asn: str
    balance_fen: int


@dataclass(frozen=True, slots=True)
class TillsOrder:
    """The tills of one line.

    Args:
        directory: for each till NAME.journal, NAME.numbers and NAME.jsonl, and cards.jsonl.
        line: where the tills hang.
        terminals: who they are; the session key is the PSAM's own, the others below are the campus's.
        cards: that are ever laid on one of them.
        purchase_key, tac_key: of the campus, 16 bytes, as hex; 3DES, version 1.
        merchant: what stands on the screens.
        capacity: records that a journal holds.
        lasting: cards and PSAMs keep their memories in files, so that they outlive this process.
    """

    directory: str
    line: SegmentLine
    terminals: tuple[SenderOrder, ...]
    cards: tuple[CardOrder, ...]
    purchase_key: str
    tac_key: str
    merchant: str = ""
    capacity: int = 1024
    lasting: bool = False

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def read_order(path: Path) -> TillsOrder:
    """Return the order in a file."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields["line"] = SegmentLine(**fields["line"])
    fields["terminals"] = tuple(SenderOrder(**each) for each in fields["terminals"])
    fields["cards"] = tuple(CardOrder(**each) for each in fields["cards"])
    return TillsOrder(**fields)
