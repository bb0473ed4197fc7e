"""The benchmark of lines measures what it says, on small numbers (A15, B4.1)."""

import json
import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bench import lines, lines_sizes
from bench.harness import BenchBroken, Figure
from bench.lines import LinesBench
from bench.lines_buses import can_bus, can_exchange_bits, losses, serial_exchange_s
from bench.lines_latency import Point, draw_latency
from bench.lines_spread import Kind, Signer, cards, random_image, revoke, spread
from bench.lines_traffic import Traffic
from campus_node.lines.errors import Forged

SMALL = replace(
    lines_sizes.QUICK,
    full_s=0.6,
    fair_s=1.0,
    latency_s=0.6,
    image_bytes=2_048,
    sweep_bytes=(),
    gateway_rounds=0,
)


class Silent:
    """Nobody is told."""

    def step(self, what: str) -> None:
        del what

    def round_done(self, number: int, rounds: int, figures: Sequence[Figure]) -> None:
        del number, rounds, figures


def test_there_is_a_row_for_every_figure_that_was_asked_for() -> None:
    bounds = {row.name: (row.better, row.must, row.aim) for row in lines.ROWS}
    assert bounds == {
        "lines.records": ("higher", 0.9, 0.95),
        "lines.unfairness": ("lower", 2, 1.3),
        "lines.firmware_can": ("lower", 75, 62),
        "lines.firmware_serial": ("lower", 75, 60),
        "lines.latency": ("lower", 0.3, 0.1),
        "lines.gateway_cpu": ("lower", 1.5, 0.7),
        "lines.revocation": ("lower", 0.1, 0.02),
        "lines.delta": ("lower", 2, 0.3),
    }


@pytest.mark.slow
def test_a_round_measures_every_row_but_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "QUICK", SMALL)
    with LinesBench(tmp_path, quick=True, report=Silent()) as bench:
        samples = bench.run_round()
        bench.check()
        json.dumps(bench.describe())
    assert samples.keys() == {row.name for row in lines.ROWS} - {"lines.gateway_cpu"}
    full = samples["lines.records"]
    assert full.reference is not None
    assert 0.85 < full.value / full.reference <= 1.0, "nothing is faster than the framing allows"


def test_the_limit_is_that_of_sixteen_frames_and_their_stuff_bits() -> None:
    bits = can_exchange_bits(random.Random("limit").randbytes, 7, 96)
    assert 16 * (67 + 64) < bits < 16 * (67 + 64 + 29) * 1.02
    assert serial_exchange_s(115_200, 24, 96) == pytest.approx(160 * 10 / 115_200)


def test_a_record_that_comes_changed_breaks_the_benchmark() -> None:
    with closing(can_bus()) as bus:
        traffic = Traffic(bus, 96, 7, 1)
        begun = traffic._under_way[3]
        traffic._send(3)
        at_s, record = begun.popleft()
        begun.append((at_s, bytes(len(record))))

        def look() -> bool:
            traffic._take()
            return False

        with pytest.raises(BenchBroken, match="terminal 3"):
            bus.run(0.1, look)


def test_a_notice_is_verified_by_every_terminal() -> None:
    signer, stranger = Signer(1), Signer(2)
    assert len(signer.hear(signer.sign(hotlist=cards(1, 1))).hotlist.added) == 1
    with pytest.raises(Forged):
        signer.hear(stranger.sign(hotlist=cards(1, 1)))
    with closing(can_bus()) as bus:
        assert 0 < revoke(bus, 1) < 0.1


def test_lost_frames_are_repeated_and_cost_time(tmp_path: Path) -> None:
    took = []
    for rate in (0.0, 0.05):
        faults = losses(1, 2_000, rate, random.Random("losses").random)
        with closing(can_bus(faults=faults)) as bus:
            took.append(spread(bus, random_image(2_048, 1), Kind.FIRMWARE, 0.6, tmp_path, 1))
        assert any(row.fired for row in faults.report()) == (rate > 0)
    assert took[0] < took[1]


def test_the_plot_over_rates_and_sizes_is_drawn(tmp_path: Path) -> None:
    points = [
        Point(wire, rate, size, 1.0, size * 8e3 / rate)
        for wire, rates in (("CAN", (125_000, 250_000, 500_000)), ("RS-485", (9_600, 38_400, 115_200)))
        for rate in rates
        for size in (32, 1_024)
    ]
    draw_latency(points, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
