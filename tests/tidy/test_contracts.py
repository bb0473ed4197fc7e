"""The import contracts of pyproject.toml can fail: each is broken on purpose in a copy of the source."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.source_files import ROOT

PACKAGES = ("campuscard", "federation", "campus_node", "hil_rig", "bench")


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [program, "--no-logo", "--no-cache"], cwd=checkout, capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "results")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("federation/transfer.py", "import campus_node.ledger", "Rooms depend one way"),
        ("campus_node/ledger/chart.py", "import hil_rig.faults", "Rooms depend one way"),
        ("campus_node/ledger/rules.py", "import time", "The ledger's rules"),
        ("campus_node/ledger/books.py", "from federation.clock import Clock", "The ledger's rules"),
        ("campus_node/ledger/store.py", "import grpc", "Messages stop where the wire is"),
        ("hil_rig/checker.py", "import federation.errors", "The checker shares no code"),
        ("hil_rig/virtual/card.py", "import campus_node.purse.mac", "The card shares no code"),
        ("campus_node/purse/mac.py", "import time", "What the purse computes"),
        ("campus_node/lines/sessions.py", "import os", "Envelopes, sessions and links"),
        ("federation/hotlist_form.py", "import campuscard.v1.terminal_pb2", "Hotlists know no clock"),
        ("campus_node/spending/sales.py", "import time", "What may be sold"),
        ("campus_node/terminal/pos/due.py", "import os", "What is typed and due at a till"),
        ("campus_node/terminal/pos/screens.py", "import campus_node.terminal.journal", "Screens, questions"),
    ],
)
def test_an_import_against_a_contract_is_found(checkout: Path, module: str, line: str, contract: str) -> None:
    with (checkout / module).open("a") as source:
        source.write(f"\n{line}\n")
    done = lint(checkout)
    assert done.returncode != 0, done.stdout
    broken = [text for text in done.stdout.splitlines() if " BROKEN" in text]
    assert any(text.startswith(contract) for text in broken), done.stdout


def test_the_source_keeps_every_contract(checkout: Path) -> None:
    done = lint(checkout)
    assert done.returncode == 0, done.stdout
