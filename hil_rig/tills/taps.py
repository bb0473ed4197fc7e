"""What the hand at the tills is told to do: a JSON object a line.

{"at_s": 1234.5, "taps": [{"number": 1, "till": "can0-001", "asn": HEX20, "amount_fen": 350}, …]}

`at_s` is the instant on the machine's monotonic clock, which all processes share; 0 = at once. With
`"torn_after": 9` the card is taken away after its ninth command and comes back `"back_after_s"` later, when
the till asks for it.
"""

import json
from dataclasses import asdict, dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Tap:
    """One card laid on one till.

    Args:
        number: from 1, for whoever asks what became of it.
        till: its name.
        asn: of the card, as hex.
        amount_fen: typed by the cashier before.
        torn_after: after that many commands the card is taken away; 0 = it stays.
        back_after_s: when it comes back then.
    """

    number: int
    till: str
    asn: str
    amount_fen: int
    torn_after: int = 0
    back_after_s: float = 0.5


class Round(NamedTuple):
    """Taps of the same moment, on the monotonic clock."""

    at_s: float
    taps: tuple[Tap, ...]

    def line(self) -> str:
        """Return what is written to the process."""
        return json.dumps({"at_s": self.at_s, "taps": [asdict(tap) for tap in self.taps]}) + "\n"


def read_round(line: str) -> Round:
    """Return what a line says."""
    said = json.loads(line)
    return Round(float(said["at_s"]), tuple(Tap(**tap) for tap in said["taps"]))
