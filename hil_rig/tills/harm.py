"""What is done to a canteen while cards are tapped, and what proves that it hit somebody (A7, A15)."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import can

from federation.clock import SystemClock
from hil_rig.processes import ProcessFailed
from hil_rig.tills.canteen import Canteen
from hil_rig.virtual.can_bus.broker_node import BrokerNode, BrokerOrders

PATIENCE_S: Final = 120.0
LOOK_EVERY_S: Final = 0.02
TO_THE_HEAD: Final = 0x18DA_0000  # urgency 6, to address 0; the source is the last byte
SEND_S_MAX: Final = 5.0
_CLOCK: Final = SystemClock()


@dataclass(frozen=True, slots=True)
class Struck:
    """A kill of the gateway: when it was stopped, and when it was ended; ms since 1970."""

    frozen_unix_ms: int
    killed_unix_ms: int


def wait_for_progress(canteen: Canteen, field: str, more: int) -> None:
    """Wait until a counter of `Standing` has grown by so much. Raise ProcessFailed if it never does."""
    wanted, deadline_s = canteen.total(field) + more, _CLOCK.monotonic_s() + PATIENCE_S
    while canteen.total(field) < wanted:
        if _CLOCK.monotonic_s() > deadline_s:
            raise ProcessFailed(f"{field} stays below {wanted}: {canteen.standings}")
        _CLOCK.sleep(LOOK_EVERY_S)


def kill_gateway(canteen: Canteen) -> Struck:
    """kill -9 the gateway while tills wait for its answer, and start it again."""
    gateway = canteen.building.gateway
    gateway.freeze()
    frozen_unix_ms = _CLOCK.unix_ms()
    try:
        wait_for_progress(canteen, "sent", 1)  # counters are told late: the files know who gets no answer
        struck, deadline_s = Struck(frozen_unix_ms, _CLOCK.unix_ms()), _CLOCK.monotonic_s() + PATIENCE_S
        while not cut_off_by(struck, canteen.till_files):
            if _CLOCK.monotonic_s() > deadline_s:
                raise ProcessFailed(f"nobody waits for the gateway: {canteen.standings}")
            _CLOCK.sleep(LOOK_EVERY_S)
            struck = Struck(frozen_unix_ms, _CLOCK.unix_ms())
    finally:
        gateway.kill()
    gateway.start()
    return struck


@contextmanager
def node_dead(canteen: Canteen, seconds: float) -> Iterator[None]:
    """kill -9 the node, and start it again after so long at least; the block runs meanwhile."""
    node, dead = canteen.building.node, threading.Event()
    node.kill()
    died_s = _CLOCK.monotonic_s()
    try:
        yield
    finally:
        dead.wait(max(0.0, seconds - (_CLOCK.monotonic_s() - died_s)))
        node.start(timeout_s=PATIENCE_S)


@contextmanager
def bus_cut(canteen: Canteen, line: str) -> Iterator[None]:
    """Cut the gateway off a CAN bus while the block runs."""
    with BrokerOrders(canteen.sockets / line) as orders:
        orders.order("cut", names=[who.name for who in canteen.building.terminals[line]])
        try:
            yield
        finally:
            orders.order("mend")


@contextmanager
def babbling(canteen: Canteen, line: str, source: int) -> Iterator[None]:
    """Have a node that nobody registered fill a CAN bus with frames while the block runs.

    Args:
        source: the address that it says it has.
    """
    bus = BrokerNode(canteen.sockets / line, "babbler")
    ending = threading.Event()

    def babble() -> None:
        number = 0
        while not ending.is_set():
            payload = bytes((0x20 | number & 0x0F,)) + number.to_bytes(7, "big")
            bus.send(can.Message(arbitration_id=TO_THE_HEAD | source, data=payload), timeout=SEND_S_MAX)
            number += 1

    thread = threading.Thread(target=babble, name="babbler")
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        bus.shutdown()


def cut_off_by(struck: Struck, files: Sequence[Path]) -> int:
    """Return how many tills had records under way that a kill left without an answer; see `Struck`."""
    return sum(_was_cut_off(path, struck) for path in files)


def _was_cut_off(path: Path, struck: Struck) -> bool:
    asked = answered = 0
    for line in path.read_text().rpartition("\n")[0].splitlines():  # the last one may be half written
        event = json.loads(line)
        at_unix_ms = event.get("at_unix_ms", 0)
        if "sent" in event and struck.frozen_unix_ms < at_unix_ms <= struck.killed_unix_ms:
            asked = max(asked, event["sent"][1])
        if "acknowledged" in event and at_unix_ms <= struck.killed_unix_ms:
            answered = max(answered, event["acknowledged"])
    return asked > answered
