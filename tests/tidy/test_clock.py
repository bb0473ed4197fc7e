"""Only federation/clock.py reads a clock or sleeps; everything else is given a Clock."""

import ast
from typing import Final

import pytest

from tests.tidy.source_files import OURS, ROOT, Finding, dotted, imported_names, python_files, shown

CLOCKS: Final = frozenset(
    {
        "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.sleep",
        "time.localtime", "time.gmtime", "time.ctime", "time.strftime",
        "time.perf_counter", "time.perf_counter_ns", "time.process_time", "time.process_time_ns",
        "time.thread_time", "time.clock_gettime", "time.clock_gettime_ns",
        "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
        "uuid.uuid1", "uuid.uuid6", "uuid.uuid7", "sqlalchemy.func.now", "sqlalchemy.func.current_timestamp",
    }
)  # fmt: skip
STOPWATCHES: Final = frozenset(
    {
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.process_time",
        "time.process_time_ns",
        "time.thread_time",
    }
)
THE_CLOCK: Final = "federation/clock.py"

# path → (what it may use, why)
ALLOWED: Final[dict[str, tuple[frozenset[str], str]]] = {
    "tests/kill/stepped_clock/sitecustomize.py": (
        frozenset({"time.time_ns"}),
        "it sets back the clock of a real process, and stands below federation/clock.py for that",
    ),
}


def clock_readings(source: str) -> list[Finding]:
    """Return every mention of a function that reads a clock or sleeps; calling it is not needed."""
    tree = ast.parse(source)
    names = imported_names(tree)
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and dotted(node, names) in CLOCKS:
            found.add(Finding(node.lineno, dotted(node, names)))
    return sorted(found)


def test_nobody_else_reads_a_clock_or_sleeps() -> None:
    found = []
    for path in python_files(*OURS):
        name = shown(path)
        if name == THE_CLOCK:
            continue
        allowed = ALLOWED.get(name, (frozenset(), ""))[0]
        if name.startswith("bench/"):
            allowed |= STOPWATCHES  # a benchmark measures
        found += [
            f"{name}:{f.line} {f.text}" for f in clock_readings(path.read_text()) if f.text not in allowed
        ]
    assert not found, "take a federation.clock.Clock:\n" + "\n".join(found)


def test_every_exception_is_still_needed() -> None:
    for name, (allowed, _) in ALLOWED.items():
        read = {finding.text for finding in clock_readings((ROOT / name).read_text())}
        assert allowed <= read, f"{name} no longer uses {allowed - read}"


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "import time as t\nnow = t.monotonic",
        "from time import time_ns\nread = time_ns()",
        "import datetime\ndatetime.datetime.now(datetime.UTC)",
        "from datetime import datetime as D\nD.utcnow()",
        "from sqlalchemy import func\ncolumn = func.now()",
    ],
)
def test_the_rule_sees_through_imports(source: str) -> None:
    assert clock_readings(source), source


def test_the_rule_leaves_instants_alone() -> None:
    assert not clock_readings(
        "from datetime import datetime\nat = datetime.fromtimestamp(0)\ntime = at.time()"
    )
