"""Everything goes wrong at once: a building full of senders while node, gateway and a bus fail (B3, A15).

Each failure is shown to have hit somebody by what the senders wrote down, not by what was intended.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from federation.clock import SystemClock
from hil_rig import record_checker
from hil_rig.building import Building, Segment, Work, free_port
from hil_rig.gateway_process import can_bus, serial_bus
from hil_rig.processes import ProcessFailed
from hil_rig.senders.order import SegmentLine
from hil_rig.senders.process import SegmentProcess
from hil_rig.virtual.can_bus.broker_node import BrokerOrders
from tests.soak import size

CAN_BITRATE: Final = 250_000
BAUD: Final = 115_200
PATIENCE_S: Final = float(size(240, 1800))  # for one step; the machine may be busy with other things
CLOCK: Final = SystemClock()


@dataclass(frozen=True, slots=True)
class Load:
    """How many senders hang on a line, and what each does."""

    senders: int
    work: Work

    @property
    def records(self) -> int:
        return self.senders * self.work.records_each


@dataclass(frozen=True, slots=True)
class Struck:
    """A kill: when the gateway was stopped, and when it was ended; ms since 1970."""

    frozen_unix_ms: int
    killed_unix_ms: int


class Siege:
    """The building and its senders."""

    def __init__(self, building: Building, segments: dict[str, SegmentProcess], sockets: Path) -> None:
        self.building = building
        self.segments = segments
        self.struck: list[Struck] = []
        self._sockets = sockets

    def total(self, field: str) -> int:
        """Return the sum of one of the counters of `Progress` over all segments."""
        return sum(getattr(segment.progress, field) for segment in self.segments.values())

    def wait_for(self, durable: int) -> None:
        """Wait until so many records in all are acknowledged as durable."""
        self._wait(lambda: self.total("durable") >= durable, f"{durable} durable records")

    def kill_gateway(self) -> None:
        """kill -9 the gateway while somebody waits for its answer, and start it again."""
        gateway = self.building.gateway
        gateway.freeze()
        try:
            frozen_unix_ms = CLOCK.unix_ms()
            before = self.total("sent")
            # What is sent from now on is answered by nobody. Counters are told late: the files know.
            self._wait(lambda: self.total("sent") > before and self._strikes(frozen_unix_ms), "a question")
            self.struck.append(Struck(frozen_unix_ms, CLOCK.unix_ms()))
        finally:
            gateway.kill()
        gateway.start()
        durable = self.total("durable")
        self.wait_for(durable + 20)

    def _strikes(self, frozen_unix_ms: int) -> bool:
        files = [path for segment in self.segments.values() for path in segment.files]
        return unanswered(files, Struck(frozen_unix_ms, CLOCK.unix_ms())) > 0

    def node_dies_for(self, seconds: float) -> threading.Thread:
        """kill -9 the node and start it again after so long, on a thread of its own."""
        self.building.node.kill()

        def revive() -> None:
            threading.Event().wait(seconds)
            self.building.node.start(timeout_s=PATIENCE_S)

        thread = threading.Thread(target=revive)
        thread.start()
        return thread

    @contextmanager
    def cut(self, name: str) -> Iterator[SegmentProcess]:
        """Cut the gateway off one CAN bus while the block runs."""
        segment = self.segments[name]
        with BrokerOrders(self._sockets / name) as orders:
            orders.order("cut", names=[who.name for who in segment.order.terminals])
            yield segment
            orders.order("mend")

    def finish(self) -> list[Path]:
        """Wait until every sender has every acknowledgement and the node every record; return their files."""
        for segment in self.segments.values():
            segment.wait_until(lambda now: now.done == now.senders, PATIENCE_S)
        for segment in self.segments.values():
            segment.stop()
        status = self.building.gateway.status
        self._wait(lambda: status()["spool"]["waiting"] == 0, "an empty spool")
        self.building.gateway.terminate()
        self.building.node.terminate()
        return [path for segment in self.segments.values() for path in segment.files]

    def _wait(self, reached: Any, what: str) -> None:  # Any: a callable without arguments
        deadline_s = CLOCK.monotonic_s() + PATIENCE_S
        while not reached():
            for segment in self.segments.values():
                if segment.progress.ended:
                    raise ProcessFailed(f"{segment.name}: {segment.progress}\n{segment.log_tail()}")
            if CLOCK.monotonic_s() > deadline_s:
                standing = {name: segment.progress for name, segment in self.segments.items()}
                raise ProcessFailed(f"never came: {what}\n{standing}\n{self.building.gateway.log_tail()}")
            CLOCK.sleep(0.02)


@contextmanager
def siege_of(
    directory: Path, sockets: Path, loads: dict[str, Load], seed: int, database: str | None = None
) -> Iterator[Siege]:
    """Give a building with its senders at work; all processes end with the block.

    Args:
        directory: new.
        sockets: a short path.
        loads: by line; its kind is how its name begins: can, serial or tcp.
    """
    with ExitStack() as ending:
        segments = [_segment(ending, name, load, sockets) for name, load in loads.items()]
        building = ending.enter_context(Building(directory, segments, database))
        processes = {
            segment.name: ending.enter_context(
                SegmentProcess(building.order(segment, loads[segment.name].work, seed), segment.name)
            )
            for segment in segments
        }
        yield Siege(building, processes, sockets)


def _segment(ending: ExitStack, name: str, load: Load, sockets: Path) -> Segment:
    if name.startswith("can"):
        ending.enter_context(can_bus(sockets / name, CAN_BITRATE))
        return Segment(name, SegmentLine("can", str(sockets / name), CAN_BITRATE), load.senders)
    if name.startswith("serial"):
        place = sockets / name
        place.mkdir()
        names = [f"{name}-{number:03d}" for number in range(1, load.senders + 1)]
        ending.enter_context(serial_bus(place, ["head", *names]))
        return Segment(
            name, SegmentLine("serial", str(place), BAUD), load.senders, device=str(place / "head")
        )
    return Segment(name, SegmentLine("tcp", f"127.0.0.1:{free_port()}"), load.senders)


def run_checker(node: str, files: list[Path]) -> dict[str, Any]:
    """Run the independent checker as a process of its own."""
    script = record_checker.__file__
    asked = [sys.executable, "-I", script, "--node", node, *map(str, files)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def unanswered(files: list[Path], struck: Struck) -> int:
    """Return how many senders had records under way that this kill left without an answer.

    They were handed to the line after the gateway stood still, and acknowledged only after it was dead.
    """
    return sum(_cut_off(path, struck) for path in files)


def _cut_off(path: Path, struck: Struck) -> bool:
    asked = 0
    for line in path.read_text().rpartition("\n")[0].splitlines():  # the last one may be half written
        event = json.loads(line)
        at_unix_ms = event.get("at_unix_ms", 0)
        if "sent" in event and struck.frozen_unix_ms < at_unix_ms <= struck.killed_unix_ms:
            asked = max(asked, event["sent"][1])
        if (
            "acknowledged" in event
            and at_unix_ms <= struck.killed_unix_ms
            and event["acknowledged"] >= asked > 0
        ):
            return False
    return asked > 0
