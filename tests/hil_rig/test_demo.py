"""The demonstration: it shows what it claims, ends when told to, and says no when something does not hold."""

import ast
import json
import os
import signal
import string
import subprocess
from pathlib import Path
from typing import Any

import pytest

import hil_rig.demo
from hil_rig import checker, payment_checker
from hil_rig.demo.report import Checked, Report, Waits, make_report
from hil_rig.demo.wording import CHINESE, translator
from hil_rig.faults import ReportedFault
from hil_rig.processes import CAMPUS, SOURCE

pytestmark = pytest.mark.slow  # starts real processes

SEED = 11
REQUIRED = {
    "seed": int,
    "payments": int,
    "acknowledged": int,
    "refused": dict,
    "unknown": int,
    "lost": int,
    "double": int,
    "balanced": bool,
    "unexplained_fen": int,
    "settled": type(None),
    "faults": list,
    "p50_ms": float,
    "p99_ms": float,
    "per_s": float,
    "frames": int,
    "apdus": int,
    "processes": int,
}
GOOD: dict[str, Any] = {
    "holds": True,
    "payments": 10,
    "acknowledged": 9,
    "refused": {"INSUFFICIENT_FUNDS": 1},
    "unknown": 0,
    "lost": 0,
    "double": 0,
    "balanced": True,
    "unexplained_fen": 0,
    "rows": 10,
    "findings": {},
}


def command(*arguments: str) -> list[str]:
    return [*CAMPUS, "demo", "--seed", str(SEED), "--people", "20", "--json", "--lang", "en", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE)}


def living_children_of(directory: Path) -> list[str]:
    """Return the command lines of processes that still work on a directory."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if str(directory) in line:
            lines.append(line)
    return lines


def test_a_round_holds_kills_a_node_and_leaves_no_process_behind(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = subprocess.run(
        command("--once", "--keep", str(kept)),
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert {name: type(said[name]) for name in REQUIRED} == REQUIRED
    assert said["payments"] == said["acknowledged"] + sum(said["refused"].values()) + said["unknown"]
    assert said["payments"] > 20 * 60, "everybody paid, and the money was brought before"
    assert (said["unknown"], said["lost"], said["double"], said["unexplained_fen"]) == (0, 0, 0, 0)
    assert said["balanced"]
    assert {"UNKNOWN_ACCOUNT", "INSUFFICIENT_FUNDS"} <= said["refused"].keys()
    assert [(fault["planned"], fault["fired"]) for fault in said["faults"]] == [(1, 1), (1, 1)]
    assert living_children_of(kept) == []
    cards = said["cards"]
    assert cards["taps"] == cards["booked"] == 32 * 6, "every card that was tapped has paid, once"
    assert cards["torn"] == 4
    assert said["frames"] > cards["taps"] * 2 * 105 // 7 * 24 // 32, (
        "two records a payment, seven bytes a frame"
    )
    assert said["apdus"] > cards["taps"] * 7
    for campus in ("north", "south"):
        clients = sorted((kept / campus / "clients").glob("*.jsonl"))
        again = checker.check(str(kept / campus / "node" / "data" / "ledger.sqlite"), clients)
        assert again["holds"], again
        assert again["payments"] > 0
    canteen = kept / "canteen"
    files = sorted(path for line in ("can0", "can1", "serial0") for path in (canteen / line).glob("*.jsonl"))
    again = payment_checker.check(str(canteen / "campus" / "node" / "data" / "ledger.sqlite"), files)
    assert again["holds"], again
    assert again["booked"] == cards["booked"]


def test_it_goes_on_until_ctrl_c_and_then_reports(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    program = subprocess.Popen(
        command("--keep", str(kept)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=tmp_path,
    )
    try:
        assert program.stderr is not None
        for line in program.stderr:
            if " payments" in line and "/" in line:
                break
        program.send_signal(signal.SIGINT)
        output, errors = program.communicate(timeout=120)
    finally:
        program.kill()
    assert program.returncode == 0, errors
    assert "Stopping" in errors
    said = json.loads(output.splitlines()[-1])
    assert said["payments"] > 0
    assert (said["unknown"], said["lost"], said["double"]) == (0, 0, 0)
    assert all(fault["planned"] == fault["fired"] for fault in said["faults"])
    assert living_children_of(kept) == []


def test_a_directory_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("thesis")
    done = subprocess.run(
        command("--once", "--keep", str(tmp_path)),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode != 0
    assert "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def report_of(*said: dict[str, Any], fired: bool = True) -> Report:
    return make_report(
        seed=1,
        people=2,
        checked=[Checked(each) for each in said],
        faults=[ReportedFault("kill -9 north node", 1, int(fired))],
        all_fired=fired,
        waits=Waits(1.0, 2.0, 3.0),
        answers=20,
        seconds=2.0,
        processes=4,
    )


def test_a_report_adds_up_its_campuses() -> None:
    report = report_of(GOOD, GOOD)
    assert report.holds
    assert (report.payments, report.acknowledged, report.refused) == (20, 18, {"INSUFFICIENT_FUNDS": 2})
    assert report.per_s == 10.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"lost": 1, "holds": False, "findings": {"lost": 1}},
        {"double": 1, "holds": False, "findings": {"double": 1}},
        {"unknown": 1, "holds": False, "findings": {"unknown": 1}},
        {"balanced": False, "holds": False, "findings": {"not_zero": 1}},
        {"unexplained_fen": 1},
        {"rows": 0},
    ],
)
def test_a_report_holds_only_if_every_ledger_does(wrong: dict[str, Any]) -> None:
    report = report_of(GOOD, {**GOOD, **wrong})
    assert not report.holds
    assert report.balanced == wrong.get("balanced", True)


def test_a_report_does_not_hold_when_its_fault_never_fired_or_nothing_was_compared() -> None:
    assert not report_of(GOOD, fired=False).holds
    assert not report_of().holds


def spoken_templates() -> set[str]:
    """Return every sentence that the demonstration says: literals given to stage, event and say."""
    found = set()
    for path in Path(hil_rig.demo.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            first = node.args[0]
            literals = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
            if node.func.attr in {"stage", "event", "say"}:
                found |= {str(each.value) for each in literals if isinstance(each, ast.Constant)}
    return found


def test_every_sentence_is_spoken_in_chinese_with_the_same_holes() -> None:
    templates = spoken_templates()
    assert len(templates) > 20
    assert templates <= CHINESE.keys(), sorted(templates - CHINESE.keys())
    for english, chinese in CHINESE.items():
        holes = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, chinese)
        ]
        assert holes[0] == holes[1], english
    assert translator("zh")("yes") == "是"
    assert translator("en")("yes") == "yes"
