"""`campus rig card serve` and `campus rig psam serve`: real processes in real readers."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from campus_node.purse.pcsc import PcscReader, wait_for_readers
from hil_rig.pcsc_daemon import PcscDaemon
from hil_rig.pcsc_machine import Slot
from hil_rig.processes import CAMPUS, process_environment
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.profile import load_card_profile

pytestmark = [pytest.mark.pcsc, pytest.mark.slow]
SOON_S = 20.0
SELECT_MF = bytes.fromhex("00A40000023F00")
GET_CHALLENGE = bytes.fromhex("0084000004")


@contextmanager
def served(kind: str, slot: Slot, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `campus rig card|psam serve` at a reader; whatever happens, it ends."""
    process = subprocess.Popen(
        [*CAMPUS, "rig", kind, "serve", "--vpcd", f"{slot.host}:{slot.port}", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=process_environment({"CAMPUS_LANG": "en"}),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: signal.Signals) -> dict[str, object]:
    """Ask it to end and return its report."""
    process.send_signal(number)
    out, complaints = process.communicate(timeout=SOON_S)
    assert process.returncode == 0, complaints
    report: dict[str, object] = json.loads(out.splitlines()[-1])
    return report


def test_a_card_and_a_psam_lie_in_two_readers_until_they_are_asked_to_go(pcsc_daemon: PcscDaemon) -> None:
    card_slot, sam_slot = pcsc_daemon.slots[:2]
    with (
        served("card", card_slot, "--profile", "card-sm4") as card,
        served("psam", sam_slot, "--profile", "psam") as psam,
    ):
        readers = [PcscReader(slot.reader) for slot in (card_slot, sam_slot)]
        for reader in readers:
            channel = reader.wait_for_card(SOON_S)
            assert channel is not None
            assert channel.transmit(GET_CHALLENGE)[-2:] == b"\x90\x00"
        assert ended(card, signal.SIGTERM)["commands"] == 1
        assert ended(psam, signal.SIGINT)["commands"] == 1
        for reader in readers:
            assert reader.wait_for_removal(SOON_S)
            reader.close()


def test_a_card_answers_as_the_same_card_in_this_process_does(pcsc_daemon: PcscDaemon) -> None:
    twin = VirtualCard(load_card_profile("card-3des"))
    atr = twin.power_on()
    slot = pcsc_daemon.slots[0]
    with served("card", slot, "--profile", "card-3des"):
        reader = PcscReader(slot.reader)
        channel = reader.wait_for_card(SOON_S)
        assert channel is not None
        assert channel.power_on() == atr
        for command in (SELECT_MF, bytes.fromhex("00B0950000"), bytes.fromhex("805C000204"), b"\0\0\0\0"):
            assert channel.transmit(command) == twin.process(command), command.hex()
        reader.close()


def test_the_state_file_is_the_cards_memory_and_nobody_else_may_use_it(
    pcsc_daemon: PcscDaemon, tmp_path: Path
) -> None:
    slot, state = pcsc_daemon.slots[0], tmp_path / "li.card"
    with served("card", slot, "--profile", "card-sm4", "--state", str(state)) as first:
        reader = PcscReader(slot.reader)
        assert reader.wait_for_card(SOON_S) is not None
        with served("card", slot, "--profile", "card-sm4", "--state", str(state)) as second:
            out, complaint = second.communicate(timeout=SOON_S)
            assert second.returncode == 1, out
            assert "li.card" in complaint
        reader.close()
        ended(first, signal.SIGTERM)
    size = state.stat().st_size
    assert size > 0
    with served("card", slot, "--profile", "card-sm4", "--state", str(state)) as again:
        reader = PcscReader(slot.reader)
        assert reader.wait_for_card(SOON_S) is not None
        reader.close()
        ended(again, signal.SIGTERM)


def test_a_card_waits_for_a_service_that_is_restarted(pcsc_daemon: PcscDaemon) -> None:
    if not pcsc_daemon.ours:
        pytest.skip("the pcscd of this machine is not ours to kill: stop it, and the tests start their own")
    slot = pcsc_daemon.slots[0]
    with served("card", slot, "--profile", "card-sm4"):
        reader = PcscReader(slot.reader)
        assert reader.wait_for_card(SOON_S) is not None
        pcsc_daemon.kill()
        pcsc_daemon.start()
        assert wait_for_readers([], SOON_S)
        channel = reader.wait_for_card(SOON_S)
        assert channel is not None
        assert channel.transmit(GET_CHALLENGE)[-2:] == b"\x90\x00"
        reader.close()


@pytest.mark.parametrize("place", ["35963", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000", ":35963", "x:y"])
def test_an_address_that_is_none_is_wrong_usage_not_pcsc(place: str) -> None:
    done = subprocess.run(
        [*CAMPUS, "rig", "card", "serve", "--profile", "card-sm4", "--vpcd", place],
        capture_output=True,
        text=True,
        check=False,
        env=process_environment({"CAMPUS_LANG": "en"}),
        timeout=SOON_S,
    )
    assert done.returncode == 2, done.stderr
    assert "HOST:PORT" in done.stderr


def test_the_language_of_the_servers_words_is_the_callers_not_pcsc() -> None:
    gone = 1  # nobody listens on port 1
    process = subprocess.Popen(
        [*CAMPUS, "rig", "psam", "serve", "--profile", "psam", "--vpcd", f"127.0.0.1:{gone}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **process_environment({"CAMPUS_LANG": "zh"})},
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=SOON_S)
    assert "读卡器" in first
    assert process.returncode == 0
    assert "共应答 0 条命令" in out
