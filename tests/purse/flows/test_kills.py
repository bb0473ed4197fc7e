"""A terminal's process is killed in the middle of sales, again and again; its card settles each."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from campus_node.purse import recovery
from campus_node.purse.commands import Purse
from campus_node.purse.journal_entries import State
from campus_node.purse.movement_log import MovementLog
from campus_node.purse.presenting import CardLayout
from federation.clock import VirtualClock
from hil_rig.virtual.in_process import VirtualReader
from tests.purse.flows import selling
from tests.purse.flows.till import EP_FEN, Till
from tests.soak import size
from tests.tidy.source_files import ROOT

KILLS = size(8, 100)
KILLS_MAX = 4 * KILLS
IN_DOUBT_MIN = size(2, 20)
STEPS_OF_A_SALE = 12  # lines that the process says from one sale to the next, more or less


def kill_within_a_sale(folder: Path, rng: random.Random) -> int:
    """Let a process sell, kill it before it says that a sale is done; return how many were."""
    program = [sys.executable, "-m", "tests.purse.flows.selling", str(folder)]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said: list[str] = []
        wanted = rng.randint(2, 40)
        while said.count("sale") < wanted:
            line = process.stdout.readline()
            assert line, f"it ended by itself: {process.wait()}"
            said.append(line.strip())
        said += [process.stdout.readline().strip() for _ in range(rng.randrange(STEPS_OF_A_SALE))]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read().split("\n")
    return said.count("sold")


@pytest.mark.slow
def test_a_terminal_killed_in_the_middle_of_sales_charges_each_once(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    kills = sold = in_doubt = 0
    till = Till(selling.CARD)
    while kills < KILLS or (in_doubt < IN_DOUBT_MIN and kills < KILLS_MAX):
        kills += 1
        sold += kill_within_a_sale(tmp_path, rng)
        card, journal = selling.card_in(tmp_path), selling.journal_in(tmp_path)
        till.journal, till.card = journal, card
        log = MovementLog(journal, VirtualClock())
        reader = VirtualReader(card, "card", log.clock)
        for recorded in log.unsettled():
            in_doubt += 1
            outcome = recovery.settle_within(recorded, reader=reader, log=log, layout=CardLayout())
            assert outcome.state in {State.DONE, State.VOID}
        movements = [recorded.movement for recorded in till.movements()]
        done = [movement for movement in movements if movement.state is State.DONE]
        assert {movement.state for movement in movements} <= {State.DONE, State.VOID}
        assert till.in_card(Purse.EP).balance_fen == EP_FEN - len(done)
        assert sold <= len(done), "what was said to be sold is in the journal"
        assert len({movement.card_seq for movement in done}) == len(done)
        assert len({movement.terminal_seq for movement in movements}) == len(movements)
        for movement in done:
            till.verify(movement)
        journal.close()
        card.memory.close()
    print(f"{kills} kills, {sold} sales said to be done, {in_doubt} in doubt")
    assert in_doubt >= IN_DOUBT_MIN, "hardly a kill fell between the two entries of a sale"
