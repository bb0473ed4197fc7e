"""`python -m bench NAME [--quick] [--json] [--json-file PATH] [--rounds N]`."""

import argparse
import importlib
import json
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Final

from bench import harness
from bench.harness import Bench, BenchBroken
from bench.plot import draw
from bench.reference import work_directory
from bench.report import TerminalReport
from federation.errors import CampusCardError

BENCHES: Final = {
    "ledger": "bench.ledger:LedgerBench",
    "grpc": "bench.grpc:GrpcBench",
    "purse": "bench.purse:PurseBench",
    "lines": "bench.lines:LinesBench",
    "campus": "bench.campus_intake:IntakeBench",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark. Return 0 when it gave figures, good or bad; 1 when it could not run; 2 = usage."""
    parser = argparse.ArgumentParser(
        "bench", description="Ratios against a reference run in the same minutes."
    )
    parser.add_argument("name", choices=sorted(BENCHES), metavar="NAME", help=", ".join(sorted(BENCHES)))
    parser.add_argument("--quick", action="store_true", help="under a minute, smaller; never quoted")
    parser.add_argument("--json", action="store_true", help="the last line on standard output is the result")
    parser.add_argument("--json-file", type=Path, metavar="PATH", help="write the result there too")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="how often each row is measured")
    options = parser.parse_args(arguments)

    signal.signal(signal.SIGTERM, _stop)
    report = TerminalReport(to_stdout=not options.json)
    try:
        outcome = _run(options.name, options.quick, options.rounds, report)
    except (BenchBroken, CampusCardError, OSError) as error:
        report.failed(f"{options.name}: {error}")
        return 1
    if options.json_file is not None:
        harness.write_result(outcome, options.json_file)
    if options.json:
        print(json.dumps(outcome, ensure_ascii=False), flush=True)
    return 0


def _run(name: str, quick: bool, rounds: int | None, report: TerminalReport) -> dict[str, object]:
    make = _load(name)
    rounds = rounds or (harness.ROUNDS_QUICK if quick else harness.ROUNDS)
    directory = work_directory()
    try:
        with make(directory, quick=quick, report=report) as bench:
            figures = harness.measure(bench, rounds, report)
            outcome = harness.result(figures, quick=quick, described=bench.describe())
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    stem = harness.result_stem(name, quick=quick)
    harness.write_result(outcome, stem.with_name(stem.name + ".json"))
    picture = draw(name, figures, outcome, stem.with_name(stem.name + ".png"))
    report.finished(name, figures, picture)
    return outcome


def _load(name: str) -> Callable[..., AbstractContextManager[Bench]]:
    """Import a benchmark only when it is asked for."""
    module, _, attribute = BENCHES[name].partition(":")
    made: Callable[..., AbstractContextManager[Bench]] = getattr(importlib.import_module(module), attribute)
    return made


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(1)  # unwinds, so that servers are stopped and directories removed


if __name__ == "__main__":
    sys.exit(main())
