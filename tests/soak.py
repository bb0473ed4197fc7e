"""One size for `make test`, a larger one for `make soak`: the same tests with other constants."""

import os
from typing import Final

SOAKING: Final = os.environ.get("CAMPUS_SOAK") == "1"


def size(normal: int, soak: int) -> int:
    """Return how often, how many or how long: `normal` in every run, `soak` under CAMPUS_SOAK=1."""
    return soak if SOAKING else normal
