"""Rules of a run, as a pytest plugin: nothing is skipped in CI, and every random test can be repeated."""

import hashlib
import os
import secrets
from collections.abc import Generator

import pytest

from tests.soak import SOAKING

SEED_VARIABLE = "CAMPUS_SEED"


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
    """Send all serial tests to one worker, so that they never run beside each other."""
    for item in items:
        if item.get_closest_marker("serial"):
            item.add_marker(pytest.mark.xdist_group("serial"))


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
