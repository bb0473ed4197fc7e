"""A bystander on a CAN bus: our monitor records it, others' programs read the recording back."""

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from federation.clock import SystemClock
from hil_rig.processes import CAMPUS, process_environment
from hil_rig.virtual.can_bus.broker_node import BrokerOrders

TIMEOUT_S = 120
CLOCK = SystemClock()


@contextmanager
def recording(channel: str, path: Path) -> Iterator[None]:
    """Record what goes over a broker's bus while the block runs; it is on the bus when the block begins."""
    asked = ["--interface", "campus-broker", "--channel", channel, "--write", str(path), "--json"]
    with BrokerOrders(channel) as orders:
        before = set(orders.order("health")["nodes"])
        watching = subprocess.Popen(
            [*CAMPUS, "line", "monitor", *asked],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=process_environment({}),
        )
        try:
            give_up_s = CLOCK.monotonic_s() + TIMEOUT_S
            while set(orders.order("health")["nodes"]) == before:
                assert watching.poll() is None, "the monitor ended"
                assert CLOCK.monotonic_s() < give_up_s, "the monitor never came onto the bus"
                CLOCK.sleep(0.05)
            yield
        finally:
            watching.send_signal(signal.SIGINT)
            watching.wait(TIMEOUT_S)


def opened(path: Path, gateway: Path) -> list[dict[str, Any]]:
    """Return all that the monitor makes of a recording with the gateway's keys."""
    asked = [str(path), "--leases", str(gateway), "--show-asn", "--json"]
    done = subprocess.run(
        [*CAMPUS, "line", "monitor", *asked],
        capture_output=True,
        text=True,
        env=process_environment({}),
        timeout=TIMEOUT_S,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def tshark_frames(program: str, path: Path) -> Counter[tuple[int, str]]:
    """Return what tshark sees: how many ISO-TP frames of each identifier and type."""
    fields = [part for name in ("can.id", "iso15765.message_type") for part in ("-e", name)]
    done = subprocess.run(
        [program, "-r", str(path), "-d", "can.subdissector,iso15765", "-T", "fields", *fields],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return Counter((int(row[0]), row[1]) for row in rows if row[0])
