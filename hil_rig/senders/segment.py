"""The parent of a segment's senders: it imports everything once, parts into processes, and counts."""

import gc
import json
import os
import select
import signal
import sys
import traceback
from dataclasses import asdict
from typing import Final

from federation.clock import SystemClock
from hil_rig.senders.lines import preload
from hil_rig.senders.order import SegmentOrder, SenderOrder
from hil_rig.senders.progress import Board, Progress
from hil_rig.senders.sender import Sender
from hil_rig.virtual.profile import PsamProfile, load_psam_profile

TELLS_PER_S: Final = 20
END_WITHIN_S: Final = 20.0


def run(order: SegmentOrder) -> int:
    """Run a segment until standard input says a line, or ends.

    Tells its progress on standard output, a JSON object a line, when something has changed; the last one
    has `"over": true`. Returns 0 if every sender ended when it was told to, 1 if one broke.
    """
    preload(order.line.kind)
    pattern, board = load_psam_profile("psam"), Board(len(order.terminals))
    stop, told = os.pipe()  # children read `stop`; it ends when this process closes `told`, or dies
    gc.freeze()  # so that counting references of what is shared copies fewer pages
    children = {_part(order, index, pattern, board, stop, told) for index in range(len(order.terminals))}
    os.close(stop)
    broken = _watch(board, children)
    os.close(told)
    broken += _reap(children)
    _tell(board.progress(len(order.terminals)), over=True)
    return 1 if broken else 0


def _part(order: SegmentOrder, index: int, pattern: PsamProfile, board: Board, stop: int, told: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.close(told)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        who: SenderOrder = order.terminals[index]
        Sender(order, who, pattern, board.slots[index], SystemClock(), stop).run()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _watch(board: Board, children: set[int]) -> int:
    """Tell how far they are until told to stop; return how many broke meanwhile."""
    ended, last = 0, Progress()
    while True:
        ended += len(_ended(children))
        now = board.progress(ended)
        if now != last:
            _tell(now, over=False)
            last = now
        if select.select([sys.stdin], [], [], 1 / TELLS_PER_S)[0]:
            return ended


def _reap(children: set[int]) -> int:
    """Wait for the rest; who does not end in time is killed. Return how many did not end well."""
    clock, broken = SystemClock(), 0
    deadline_s = clock.monotonic_s() + END_WITHIN_S
    while children and clock.monotonic_s() < deadline_s:
        broken += sum(status != 0 for status in _ended(children))
        clock.sleep(0.02)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return broken + len(children)


def _ended(children: set[int]) -> list[int]:
    """Take those that have ended out of the set; return their statuses."""
    statuses = []
    for child in list(children):
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            children.remove(child)
            statuses.append(status)
    return statuses


def _tell(progress: Progress, *, over: bool) -> None:
    sys.stdout.write(json.dumps({**asdict(progress), "over": over}) + "\n")
    sys.stdout.flush()
