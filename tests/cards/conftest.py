"""A desk of the card office: cards and PSAMs in this process that outlive a command, and a key store."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from campus_node.keys.hierarchy import Usage, campus_key
from campus_node.keys.key_set import draw_missing
from campus_node.keys.sealed_file import SealedFile
from campus_node.keys.sealing import Cost
from campus_node.purse.algorithm import Algorithm
from federation.clock import VirtualClock
from tests.campus.conftest import Campus, _quiet_environment, campus
from tests.tidy.source_files import ROOT

__all__ = ["_quiet_environment", "campus"]

ISSUER = bytes.fromhex("4355434100000001")
NEIGHBOUR = bytes.fromhex("4355434100000002")
PASSPHRASE = "correct horse battery"
QUICK = Cost(memory_kib=64, iterations=1, lanes=1)  # a test's passphrase need not withstand anybody
TRANSPORT_KEY = bytes.fromhex("404142434445464748494A4B4C4D4E4F")  # of the blank profiles of the rig
PROFILES = ROOT / "hil_rig" / "profiles"


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a test's cards, journal and files are.

    Args:
        directory: a new one.
        campus: runs a command line.
    """

    directory: Path
    campus: Campus

    def card(self, profile: str = "card-sm4", more: str = "") -> str:
        """Return the reader of a card that remembers; `more` is for example ,tear-after=3."""
        return f"soft:{profile},state={self.directory / profile}{more}"

    def pin_file(self, pin: str) -> Path:
        """Return a file with a PIN."""
        path = self.directory / f"pin-{pin}"
        path.write_text(f"{pin}\n")
        return path

    def load(self, amount_fen: int, profile: str = "card-sm4") -> None:
        """Load the electronic purse of a card."""
        said = self.campus("card", "load", "--reader", self.card(profile), "--amount-fen", amount_fen)
        assert said.code == 0, said.err


@pytest.fixture
def desk(tmp_path: Path, campus: Campus, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with a journal of its own."""
    monkeypatch.setenv("CAMPUS_CARD_JOURNAL", str(tmp_path / "journal"))
    return Desk(tmp_path, campus)


@pytest.fixture
def key_store(tmp_path: Path) -> Path:
    """A key store with all that cards and PSAMs of this campus need, and the neighbour's purchase keys."""
    directory = tmp_path / "keys"
    clock = VirtualClock()
    sealed = SealedFile.create(directory, ISSUER, PASSPHRASE, QUICK)
    for version in (1, 2):
        draw_missing(sealed, version, Algorithm, clock)
        for algorithm in Algorithm:
            for owner in (ISSUER, NEIGHBOUR):
                name = campus_key(Usage.PURCHASE, version, algorithm, owner)
                sealed.put(name, os.urandom(16), clock, foreign=owner != ISSUER)
    sealed.put(campus_key(Usage.TRANSPORT, 0, Algorithm.TDES, ISSUER), TRANSPORT_KEY, clock)
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    return directory


@pytest.fixture
def profile_to_make(tmp_path: Path) -> Callable[[str], Path]:
    """Copies a shipped profile without its test keys and without session keys that only a test PSAM has."""

    def copy(name: str) -> Path:
        text = (PROFILES / f"{name}.toml").read_text(encoding="utf-8")
        text = re.sub(r"^(value|test_keys) = .*\n", "", text, flags=re.MULTILINE)
        session = r"\[\[application\.key\]\]\nusage = \"session\"\nindex = 8\n(?:.+\n)+"
        path = tmp_path / f"{name}.toml"
        path.write_text(re.sub(session, "", text), encoding="utf-8")
        return path

    return copy
