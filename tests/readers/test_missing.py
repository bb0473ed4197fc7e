"""Without pyscard everything but a real reader works, and a real reader says what to install."""

import subprocess
import sys

import pytest

from campus_node.purse.pcsc import PcscReader, readers
from federation.errors import Misconfigured
from hil_rig import pcsc_daemon, pcsc_machine


@pytest.fixture
def without_pyscard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take pyscard away as far as an import can tell."""
    monkeypatch.setitem(sys.modules, "smartcard", None)
    monkeypatch.setitem(sys.modules, "smartcard.scard", None)


def test_what_is_missing_is_named_with_the_line_that_installs_it(without_pyscard: None) -> None:
    for ask in (readers, lambda: PcscReader("any")):
        with pytest.raises(Misconfigured) as caught:
            ask()
        told = str(caught.value)
        assert "apt-get install pcscd libpcsclite-dev" in told
        assert "pip install 'campuscard[pcsc]'" in told


def test_pyscard_is_imported_only_when_a_reader_is_asked_for() -> None:
    program = "import sys, campus_node.purse.pcsc, campus_node.cli.tree; sys.exit('smartcard' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_virtual_readers_name_every_part_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = tmp_path_factory.mktemp("empty")
    monkeypatch.setattr(pcsc_machine, "PROGRAMS", (str(empty),))
    monkeypatch.setattr(pcsc_machine, "DRIVERS", (str(empty),))
    assert {"pcscd", "vsmartcard-vpcd"} <= set(pcsc_machine.missing())
    with pytest.raises(Misconfigured, match=r"pcscd, vsmartcard-vpcd; run `scripts/services pcsc`"):
        pcsc_daemon.PcscDaemon(empty)
    assert not list(empty.iterdir())
