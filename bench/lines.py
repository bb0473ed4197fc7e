"""Benchmark `lines`: what buses carry and how fast, in bus time, and what a record costs the gateway."""

import random
import statistics
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, Self

from bench import harness
from bench.harness import BenchBroken, Report, Row, Sample
from bench.lines_buses import (
    CAN_BITS_PER_S,
    RECORD_BYTES,
    SEALED_BYTES,
    SERIAL_BAUD,
    SHORTEST_BYTES,
    TERMINALS,
    can_bus,
    can_exchange_bits,
    losses,
    serial_bus,
    serial_exchange_s,
)
from bench.lines_gateway import gateway_cost
from bench.lines_latency import Point, draw_latency, sweep
from bench.lines_sizes import FULL, QUICK
from bench.lines_spread import Kind, cards, random_image, revoke, spread
from bench.lines_traffic import Traffic

ROWS: Final = (
    Row(
        "lines.records",
        "records on a CAN bus, 250k ÷ limit of its framing",
        "records/s",
        "higher",
        0.9,
        0.95,
    ),
    Row("lines.unfairness", "slowest ÷ fastest terminal's mean wait, 60 % load", "ms", "lower", 2, 1.3),
    Row("lines.firmware_can", "512 KiB to 50, CAN 250k, 60 % load, 0.1 % loss", "s", "lower", 75, 62),
    Row("lines.firmware_serial", "512 KiB to 50, RS-485 115200, 0.1 % loss", "s", "lower", 75, 60),
    Row("lines.latency", "mean wait of a record, CAN 250k ÷ RS-485 115200", "ms", "lower", 0.3, 0.1),
    Row("lines.gateway_cpu", "gateway CPU a record at the limit of a CAN bus", "ms", "lower", 1.5, 0.7),
    Row("lines.revocation", "one lost card known to 50 terminals, CAN 250k", "s", "lower", 0.1, 0.02),
    Row("lines.delta", "100 cards stored by 50 terminals, CAN 250k", "s", "lower", 2, 0.3),
)
LOAD: Final = 0.6
SERIAL_LOAD: Final = 0.95  # nothing else is on the line but polls
LOSS: Final = 0.001  # of frames, at each node
SERIAL_FRAME_BYTES: Final = 991
CAN_IMAGE_FRAMES: Final = 80_000  # that a node hears at most


class LinesBench:
    """50 terminals on a CAN bus and on an RS-485 bus, and a gateway process on a bus in real time.

    Args:
        directory: an empty directory on a disk; images and the gateway's spool lie there.
        quick: smaller images, scaled; shorter times.
        report: who is told how it goes.
    """

    rows: Sequence[Row] = ROWS

    def __init__(self, directory: Path, *, quick: bool, report: Report) -> None:
        self._directory = directory
        self._quick = quick
        self._sizes = QUICK if quick else FULL
        self._report = report
        self._round = 0
        self._seen: dict[str, object] = {}
        self._points: list[Point] = []
        bits = can_exchange_bits(random.Random("contents").randbytes, SHORTEST_BYTES, RECORD_BYTES)
        self._limit_per_s = CAN_BITS_PER_S / bits
        self._seen["can_exchange_bits"] = round(bits, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing runs on."""

    def run_round(self) -> Mapping[str, Sample]:
        """Measure each row; what is long and the same in bus time only in the first round."""
        self._round += 1
        samples = {
            "lines.records": self._records(),
            "lines.unfairness": self._unfairness(),
            "lines.latency": self._latency(),
            "lines.revocation": self._revocation(),
            "lines.delta": self._delta(),
        }
        if self._round == 1:
            samples["lines.firmware_can"] = self._firmware_can()
            samples["lines.firmware_serial"] = self._firmware_serial()
            self._sweep()
        if self._round <= self._sizes.gateway_rounds:
            samples["lines.gateway_cpu"] = self._gateway_cpu()
        return samples

    def check(self) -> None:
        """Contents, order and counts are checked while they arrive; whatever is wrong has ended the round."""

    def describe(self) -> Mapping[str, object]:
        """Tell sizes and conditions; draw the plot over rates and sizes."""
        if self._points:
            stem = harness.result_stem("lines-latency", quick=self._quick)
            picture = stem.with_name(stem.name + ".png")
            draw_latency(self._points, picture)
            self._seen["latency_ms"] = [point.as_json() for point in self._points]
            self._report.step(f"plot over rates and sizes: {picture}")
        return self._seen

    def _records(self) -> Sample:
        self._report.step(f"records of {TERMINALS} terminals on a full CAN bus")
        with closing(can_bus()) as bus:
            traffic = Traffic(bus, RECORD_BYTES, SHORTEST_BYTES, self._round)
            traffic.run_full(self._sizes.full_s)
            counts = traffic.answered.values()
            if max(counts) - min(counts) > 1:
                raise BenchBroken(f"terminals got {min(counts)} to {max(counts)} records through")
            return Sample(sum(counts) / self._sizes.full_s, self._limit_per_s)

    def _unfairness(self) -> Sample:
        self._report.step(f"records at {LOAD:.0%} load")
        with closing(can_bus()) as bus:
            traffic = Traffic(bus, RECORD_BYTES, SHORTEST_BYTES, self._round)
            traffic.run_at(LOAD * self._limit_per_s, self._sizes.fair_s)
            means = traffic.means_s()
            self._seen["records_a_terminal"] = round(statistics.mean(map(len, traffic.waits.values())))
            return Sample(1000 * max(means), 1000 * min(means))

    def _latency(self) -> Sample:
        per_s = 1 / serial_exchange_s(SERIAL_BAUD, SEALED_BYTES, RECORD_BYTES) / 3
        self._seen["latency_records_per_s"] = round(per_s, 1)
        means = []
        for name, make in (("CAN 250k", can_bus), ("RS-485 115200", serial_bus)):
            self._report.step(f"{per_s:.0f} records a second on {name}")
            with closing(make()) as bus:
                traffic = Traffic(bus, RECORD_BYTES, SEALED_BYTES, self._round)
                traffic.run_at(per_s, self._sizes.latency_s)
                means.append(1000 * traffic.mean_s)
        return Sample(*means)

    def _revocation(self) -> Sample:
        with closing(can_bus()) as bus:
            return Sample(revoke(bus, self._round))

    def _delta(self) -> Sample:
        content = cards(100, self._round).SerializeToString()
        self._seen["delta_bytes"] = len(content)
        with closing(can_bus()) as bus:
            took_s = spread(bus, content, Kind.HOTLIST, LOAD, self._directory, self._round)
        return Sample(took_s)

    def _firmware_can(self) -> Sample:
        size = self._sizes.image_bytes
        self._report.step(f"{size:,} bytes to {TERMINALS} terminals on CAN")
        draw = random.Random(f"losses {self._round}").random
        faults = losses(self._round, CAN_IMAGE_FRAMES, LOSS, draw)
        with closing(can_bus(faults=faults)) as bus:
            took_s = spread(bus, random_image(size, 1), Kind.FIRMWARE, LOAD, self._directory, 1)
        self._seen["can_frames_lost"] = sum(row.fired for row in faults.report())
        return Sample(took_s * self._scale)

    def _firmware_serial(self) -> Sample:
        size = self._sizes.image_bytes
        self._report.step(f"{size:,} bytes to {TERMINALS} terminals on RS-485")
        with closing(serial_bus(byte_errors=LOSS / SERIAL_FRAME_BYTES, seed=self._round)) as bus:
            took_s = spread(bus, random_image(size, 1), Kind.FIRMWARE, SERIAL_LOAD, self._directory, 1)
            self._seen["serial_frames_lost"] = sum(port.wrong_bytes for port in bus.ports.values())
        return Sample(took_s * self._scale)

    @property
    def _scale(self) -> float:
        return FULL.image_bytes / self._sizes.image_bytes

    def _gateway_cpu(self) -> Sample:
        self._report.step("a gateway process on a bus in real time")
        directory = self._directory / f"gateway-{self._round}"
        directory.mkdir()
        cost = gateway_cost(directory, self._sizes.gateway_records, self._round, self._report.step)
        self._seen["gateway_records_per_s"] = round(cost.records / cost.took_s, 1)
        self._seen["gateway_bus_busy"] = round(cost.bus_busy, 2)
        self._seen["gateway_core_share"] = round(cost.cpu_s / cost.took_s, 3)
        return Sample(cost.cpu_ms)

    def _sweep(self) -> None:
        self._points = sweep(self._sizes.sweep_bytes, self._sizes.sweep_records, self._report.step)
