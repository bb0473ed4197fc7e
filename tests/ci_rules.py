"""Rules of a run, as a pytest plugin: nothing is skipped in CI, and every random test can be repeated."""

import hashlib
import os
import secrets
from collections.abc import Generator

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]  # ships no types
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.soak import SOAKING

SEED_VARIABLE = "CAMPUS_SEED"
SERIAL_FOLDERS = (  # never beside one another
    "tests/kill/", "tests/outage_lines/", "tests/strangers/", "tests/taps/",
)  # fmt: skip
PCSC = "pcsc"  # in the name of every test with a PC/SC reader: a machine has one set of them


def _skips_fail() -> bool:
    return os.environ.get("CI", "").lower() == "true"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the run's seed; workers inherit it through the environment."""
    seed = os.environ.setdefault(SEED_VARIABLE, str(secrets.randbelow(2**32)))
    if config.pluginmanager.hasplugin("hypothesispytest") and config.getoption("--hypothesis-seed") is None:
        config.option.hypothesis_seed = seed


def pytest_report_header() -> list[str]:
    """Say how to repeat this run."""
    size = "soak" if SOAKING else "normal"
    return [f"seed: {os.environ[SEED_VARIABLE]} (repeat with {SEED_VARIABLE}=…), size: {size}"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts many processes or needs readers, so that `make check` leaves it out."""
    for item in items:
        if "pcsc_daemon" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.pcsc)
        assert PCSC in item.nodeid or not item.get_closest_marker("pcsc"), (
            f"{item.nodeid}: it needs a PC/SC reader, so {PCSC!r} must stand in its name; see the scheduler"
        )
        if item.nodeid.startswith(SERIAL_FOLDERS):
            item.add_marker(pytest.mark.serial)
        assert item.nodeid.startswith(SERIAL_FOLDERS) or not item.get_closest_marker("serial"), (
            f"{item.nodeid}: serial tests live in {SERIAL_FOLDERS}; the scheduler knows nothing but names"
        )


class SerialTestsTogether(LoadScopeScheduling):  # type: ignore[misc]  # its base has no types
    """Gives all serial tests to one worker, all with readers to one, and every other test to whoever is free.

    pytest-xdist has `--dist loadgroup` for this; version 3.8 loses the groups under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(SERIAL_FOLDERS):
            return "serial"
        return PCSC if PCSC in nodeid else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SerialTestsTogether:
    """Schedule by our rule, whatever --dist says."""
    return SerialTestsTogether(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI; tests of real devices excepted."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and not item.get_closest_marker("hardware"):
        _fail_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module into a failure in CI."""
    report = yield
    if report.skipped:
        _fail_in_ci(report)
    return report


def _fail_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not _skips_fail():
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid}: with CI=true nothing may be skipped. {reason}"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Return the seed of one random test: follows from the run's seed and the test's name, and is printed."""
    text = f"{os.environ[SEED_VARIABLE]} {request.node.nodeid}"
    chosen = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    print(f"seed of this test: {chosen}; repeat it with {SEED_VARIABLE}={os.environ[SEED_VARIABLE]}")
    return chosen
