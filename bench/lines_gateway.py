"""What a record costs the gateway: a gateway process on a full CAN bus in real time."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from bench.harness import BenchBroken
from bench.lines_buses import CAN_BITS_PER_S, TERMINALS
from bench.lines_node import CommittingNode
from campus_node.campus_directory import CampusDirectory, NewCampus
from campus_node.gateway.directory import GatewayDirectory
from campus_node.lines.counterpart import lend
from campus_node.purse.algorithm import Algorithm
from federation.clock import SystemClock
from hil_rig.gateway_process import GatewayProcess, can_bus
from hil_rig.senders.order import SegmentLine, SegmentOrder, SenderOrder
from hil_rig.senders.process import SegmentProcess
from hil_rig.virtual.can_bus.broker_node import BrokerOrders

CAMPUS_KEY: Final = bytes.fromhex("C8C8C8C8C8C8C8C81122334455667788")
BACKLOG: Final = 1_000  # records of each terminal: more than it can send
INTERVAL_S: Final = 0.02  # all of it within the first seconds: the bus is always behind
BEFORE: Final = (
    1_500  # records that come before those that count: by then terminals know how long answers take
)
WITHIN_S: Final = 240.0


class Cost(NamedTuple):
    """What was measured while terminals sold.

    Args:
        records: that reached the node.
        cpu_s: of the gateway's process, all its threads, its start-up and the sessions' beginning left out.
        took_s: by the clock.
        bus_busy: share of that time in which a frame was on the bus: 1 = it could carry no more.
    """

    records: int
    cpu_s: float
    took_s: float
    bus_busy: float

    @property
    def cpu_ms(self) -> float:
        """A record."""
        return 1000 * self.cpu_s / self.records


def gateway_cost(directory: Path, records: int, seed: int, step: Callable[[str], None]) -> Cost:
    """Return what records cost the gateway, after the sessions have begun.

    Args:
        directory: empty, on a disk.
        records: how many are counted.

    Raises:
        BenchBroken: they did not come in time, or one was lost or changed.
    """
    clock = SystemClock()
    campus = directory / "north"
    CampusDirectory(campus).create(NewCampus("north"), clock.unix_ms())
    terminals = tuple(_terminal(number) for number in range(1, TERMINALS + 1))
    with (
        tempfile.TemporaryDirectory() as short,  # a socket's path has 108 bytes
        CommittingNode(campus) as node,
        can_bus(Path(short) / "can0", CAN_BITS_PER_S),
    ):
        channel = Path(short) / "can0"
        place = GatewayDirectory(directory / "canteen")
        place.create(campus, "canteen", f"127.0.0.1:{node.port}", clock.unix_ms())
        with (place.path / "gateway.toml").open("a", encoding="utf-8") as file:
            file.write(_line(channel))
        node.enrol(terminals, (place.path / "pki" / "gateway.pem").read_bytes())
        order = SegmentOrder(
            str(directory / "tills"), SegmentLine("can", str(channel), CAN_BITS_PER_S), terminals,
            records_each=BACKLOG, interval_s=INTERVAL_S, seed=seed,
        )  # fmt: skip
        with GatewayProcess(place.path) as gateway, SegmentProcess(order, "can0") as senders:
            gateway.start()
            step(f"{TERMINALS} sessions begin on a bus in real time")
            senders.wait_until(lambda now: now.sessions >= TERMINALS, WITHIN_S)
            step("the bus fills")
            if not node.wait_for(round(BEFORE * records), WITHIN_S):
                raise BenchBroken(f"{len(node.records)} records came in {WITHIN_S:.0f} s")
            with BrokerOrders(channel) as orders:
                cost = _measure(node, gateway, records, clock, orders)
            senders.stop()
            gateway.terminate()
    if node.changed:
        raise BenchBroken(f"{node.changed} records came changed")
    return cost


def _measure(
    node: CommittingNode, gateway: GatewayProcess, records: int, clock: SystemClock, orders: BrokerOrders
) -> Cost:
    process = psutil.Process(gateway.pid)
    bus = orders.order("health")
    before, used_s, begun_s = len(node.records), _cpu_s(process), clock.monotonic_s()
    if not node.wait_for(before + records, WITHIN_S):
        raise BenchBroken(f"{len(node.records) - before} of {records} records came in {WITHIN_S:.0f} s")
    counted, spent_s, took_s = (
        len(node.records) - before,
        _cpu_s(process) - used_s,
        clock.monotonic_s() - begun_s,
    )
    after = orders.order("health")
    busy = (after["busy_ns"] - bus["busy_ns"]) / (after["now_ns"] - bus["now_ns"])
    return Cost(counted, spent_s, took_s, busy)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _line(channel: Path) -> str:
    return (
        f'\n[[line]]\nname = "can0"\nkind = "can"\ninterface = "campus-broker"\nchannel = "{channel}"\n'
        f"bitrate = {CAN_BITS_PER_S}\n"
    )


def _terminal(number: int) -> SenderOrder:
    serial = bytes.fromhex(f"{number:020d}")
    return SenderOrder(
        name=f"till-{number}",
        address=number,
        terminal_id=f"{number:012d}",
        psam_serial=serial.hex(),
        session_key=lend(Algorithm.TDES, CAMPUS_KEY, serial).hex(),
    )
