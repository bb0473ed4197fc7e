"""How much a round of `lines` measures."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """Seconds are of bus time.

    Args:
        full_s: of the full bus.
        fair_s: of the bus at 60 % load: long enough that means are means.
        latency_s: of each of the two buses that are compared.
        image_bytes: of firmware; a smaller image is scaled up.
        sweep_bytes: sizes of records in the plot over rates and sizes.
        sweep_records: for each of its points.
        gateway_records: that the gateway process takes while it is measured.
        gateway_rounds: how often.
    """

    full_s: float
    fair_s: float
    latency_s: float
    image_bytes: int
    sweep_bytes: tuple[int, ...]
    sweep_records: int
    gateway_records: int
    gateway_rounds: int


FULL: Final = Sizes(10.0, 60.0, 30.0, 512 * 1024, (32, 96, 256, 512, 1_024), 400, 3_000, 3)
QUICK: Final = Sizes(2.0, 20.0, 5.0, 16 * 1024, (96,), 50, 300, 1)
