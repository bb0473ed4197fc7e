"""What the posting engine asks of the process it runs in."""

import gc
import sys
from typing import Final

_SWITCH_S: Final = 0.0001  # by default 5 ms, as long as a commit
_GC_THRESHOLDS: Final = (500_000, 20, 100)


def suit_process() -> None:
    """Let threads change hands sooner and the garbage collector come less often.

    The committer needs the interpreter back after every statement while another batch is being decided; and a
    batch makes thousands of tuples, no cycles, while the books in memory are looked at in vain.
    """
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
