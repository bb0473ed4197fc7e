"""The benchmarks' arithmetic, the object that scripts read, and what the exit code means."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest

import bench.__main__ as program
from bench import harness, reference
from bench.harness import BenchBroken, Figure, Report, Row, Sample, measure, result

FASTER = Row("toy.speed", "engine ÷ reference", "items/s", "higher", must=6, aim=10)
LIGHTER = Row("toy.memory", "memory of a node", "MB", "lower", must=300, aim=200)


class Silent:
    def step(self, what: str) -> None: ...

    def round_done(self, number: int, rounds: int, figures: Sequence[Figure]) -> None: ...


class ToyBench:
    """Gives what it is told, round by round; can find its own books wrong."""

    rows: Sequence[Row] = (FASTER, LIGHTER)
    rounds: Sequence[Mapping[str, Sample]] = (
        {"toy.speed": Sample(700.0, 100.0), "toy.memory": Sample(250.0)},
        {"toy.speed": Sample(500.0, 50.0)},
        {"toy.speed": Sample(900.0, 300.0)},
    )
    broken_in_round = 0

    def __init__(self, directory: Path, *, quick: bool, report: Report) -> None:
        assert directory.is_dir()
        self._done = 0
        del quick, report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def run_round(self) -> Mapping[str, Sample]:
        self._done += 1
        return self.rounds[self._done - 1]

    def check(self) -> None:
        if self._done == self.broken_in_round:
            raise BenchBroken("one row is missing")

    def describe(self) -> Mapping[str, object]:
        return {"cards": 3}


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[ToyBench]:
    class Toy(ToyBench):
        pass

    monkeypatch.setattr(program, "_load", lambda _name: Toy)
    monkeypatch.setattr(harness, "RESULTS", tmp_path / "results")
    return Toy


def test_a_ratio_is_the_quotient_of_medians_not_the_median_of_quotients() -> None:
    figure = Figure(FASTER, [Sample(700, 100), Sample(500, 50), Sample(900, 300)])
    assert (figure.value, figure.reference, figure.ratio) == (700, 100, 7)
    assert figure.judged_by_round == [7, 10, 3]


@pytest.mark.parametrize(
    ("row", "sample", "met", "aim"),
    [
        (FASTER, Sample(600, 100), True, False),
        (FASTER, Sample(599, 100), False, False),
        (FASTER, Sample(1000, 100), True, True),
        (LIGHTER, Sample(300), True, False),
        (LIGHTER, Sample(301), False, False),
        (LIGHTER, Sample(200), True, True),
    ],
)
def test_a_bound_is_held_against_the_ratio_or_without_a_reference_against_the_value(
    row: Row, sample: Sample, met: bool, aim: bool
) -> None:
    figure = Figure(row, [sample])
    assert (figure.met, figure.reaches(row.aim)) == (met, aim)


def test_the_object_has_exactly_what_scripts_read(tmp_path: Path) -> None:
    figures = measure(ToyBench(tmp_path, quick=True, report=Silent()), 3, Silent())
    said = json.loads(json.dumps(result(figures, quick=True, described={"cards": 3})))
    assert set(said) == {"figures", "quick", "machine"}
    assert said["quick"] is True
    assert said["machine"]["cards"] == 3
    assert said["machine"]["cpus"] >= 1
    assert said["figures"] == [
        {
            "name": "toy.speed",
            "value": 700,
            "unit": "items/s",
            "reference": 100,
            "ratio": 7,
            "better": "higher",
            "must": 6,
            "aim": 10,
            "met": True,
            "rounds": [
                {"value": 700, "reference": 100},
                {"value": 500, "reference": 50},
                {"value": 900, "reference": 300},
            ],
        },
        {
            "name": "toy.memory",
            "value": 250,
            "unit": "MB",
            "reference": None,
            "ratio": None,
            "better": "lower",
            "must": 300,
            "aim": 200,
            "met": True,
            "rounds": [{"value": 250, "reference": None}],
        },
    ]


def test_a_row_that_was_never_measured_is_no_result(tmp_path: Path) -> None:
    bench = ToyBench(tmp_path, quick=True, report=Silent())
    bench.rounds = [{"toy.memory": Sample(1)}]
    with pytest.raises(BenchBroken, match=r"toy\.speed"):
        measure(bench, 1, Silent())


def test_the_result_is_the_last_line_on_standard_output_and_in_the_file(
    toys: type[ToyBench], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    del toys
    file = tmp_path / "deep" / "result.json"
    assert program.main(["ledger", "--json", "--json-file", str(file), "--rounds", "3"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last == json.loads(file.read_text())
    kept = tmp_path / "results"
    assert last == json.loads((kept / "ledger.json").read_text())
    assert (kept / "ledger.png").read_bytes().startswith(b"\x89PNG")


def test_a_missed_must_is_told_and_is_no_failure_to_run(
    toys: type[ToyBench], capsys: pytest.CaptureFixture[str]
) -> None:
    toys.rounds = [{"toy.speed": Sample(1, 100), "toy.memory": Sample(999)}]
    assert program.main(["ledger", "--json", "--rounds", "1"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [figure["met"] for figure in last["figures"]] == [False, False]


def test_wrong_books_are_a_failure_and_give_no_result(
    toys: type[ToyBench], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    toys.broken_in_round = 2
    assert program.main(["ledger", "--json", "--rounds", "3"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "one row is missing" in said.err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("arguments", [["nothing"], ["ledger", "--rounds", "0"], []])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        program.main(arguments)
    assert stopped.value.code == 2


def test_a_quick_run_never_replaces_a_full_one(toys: type[ToyBench], tmp_path: Path) -> None:
    del toys
    assert program.main(["ledger", "--quick", "--rounds", "1"]) == 0
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "ledger.quick.json",
        "ledger.quick.png",
    ]


def test_a_directory_in_memory_is_refused_because_a_commit_there_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAMPUS_BENCH_DIRECTORY", "/dev/shm")
    assert reference.filesystem_of(Path("/dev/shm")) == "tmpfs", "Linux has shared memory there"
    with pytest.raises(BenchBroken, match="CAMPUS_BENCH_DIRECTORY"):
        reference.work_directory()


def test_the_directory_is_removed_when_the_run_breaks(
    toys: type[ToyBench], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toys.broken_in_round = 1
    monkeypatch.setenv("CAMPUS_BENCH_DIRECTORY", str(tmp_path))
    assert program.main(["ledger", "--rounds", "1"]) == 1
    assert not list(tmp_path.glob("campus-bench-*"))
