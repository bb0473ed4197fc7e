"""What the posting engine asks of the process it runs in."""

import gc
import sys
from typing import Final

_SWITCH_OFTEN_S: Final = 0.0001
_SWITCH_SELDOM_S: Final = 0.0005
_GC_THRESHOLDS: Final = (500_000, 20, 100)


def suit_process() -> None:
    """Let the garbage collector come less often.

    A batch makes thousands of tuples and no cycles, and the books in memory are looked at in vain.
    """
    share_interpreter(often=False)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def share_interpreter(*, often: bool) -> None:
    """Set how soon a waiting thread gets the interpreter; by default after 5 ms, as long as a commit.

    A committer beside which another batch is decided needs it back after every statement. Where there is no
    such thread each change of hands only costs.
    """
    sys.setswitchinterval(_SWITCH_OFTEN_S if often else _SWITCH_SELDOM_S)
