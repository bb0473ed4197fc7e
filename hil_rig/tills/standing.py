"""How far the tills of a line are: what their process tells, a JSON object a line."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from hil_rig.tills.terminal import Counts


@dataclass(frozen=True, slots=True)
class Standing:
    """All tills of a line together.

    Args:
        tills: how many there are.
        ready: tills with a session and a clock that may be believed.
        waiting: taps that are still to be done.
        tapped: cards laid on a till; one that comes back counts again.
        shown: of them, those whose outcome was shown and kept.
        appended, durable: records.
        under_way: records that were sent and are not acknowledged now.
        sent: parcels handed to the lines.
        card_apdus, psam_apdus: commands sent to the chips.
        settled: everything was tapped, and every record is acknowledged.
        over: the process ends with this; cards.jsonl is written.
    """

    tills: int = 0
    ready: int = 0
    waiting: int = 0
    tapped: int = 0
    shown: int = 0
    appended: int = 0
    durable: int = 0
    under_way: int = 0
    sent: int = 0
    card_apdus: int = 0
    psam_apdus: int = 0
    settled: bool = False
    over: bool = False

    @classmethod
    def of(cls, all_counts: Iterable[Counts], waiting: int, *, over: bool = False) -> Self:
        """Add up what each till did."""
        rows = list(all_counts)
        sums = {name: sum(getattr(row, name) for row in rows) for name in Counts._fields}
        done = not waiting and sums["durable"] == sums["appended"]
        return cls(tills=len(rows), waiting=waiting, settled=done, over=over, **sums)
