"""A terminal's process that sells until it is killed; card, PSAM and journal are files. See test_kills.py."""

import sys
from pathlib import Path

from campus_node.purse import purchase
from campus_node.purse.channel import CardChannel
from campus_node.purse.movement_log import MovementLog
from campus_node.purse.presenting import CardLayout
from campus_node.purse.psam import Psam
from campus_node.purse.sam_session import SamSession
from campus_node.terminal.journal import Journal
from federation.clock import SystemClock
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.memory import Memory
from hil_rig.virtual.psam import VirtualPsam
from tests.purse.flows.till import NOON, card_profile, psam_profile

CAPACITY = 16_384  # more than all sales of a soak
CARD = "card-sm4"


class Telling:
    """A channel that says on standard output when a command begins and when it is answered."""

    def __init__(self, inner: CardChannel, name: str) -> None:
        self._inner = inner
        self.name = name

    @property
    def reader(self) -> str:
        return self._inner.reader

    def power_on(self) -> bytes:
        return self._inner.power_on()

    def reset(self) -> bytes:
        return self._inner.reset()

    def transmit(self, command: bytes) -> bytes:
        print(self.name, command[:2].hex(), flush=True)
        answer = self._inner.transmit(command)
        print(self.name, "answered", flush=True)
        return answer

    def close(self) -> None:
        self._inner.close()


def card_in(folder: Path) -> VirtualCard:
    return VirtualCard(card_profile(CARD), Memory.open(folder / "card"))


def psam_in(folder: Path) -> VirtualPsam:
    return VirtualPsam(psam_profile(), Memory.open(folder / "psam"))


def journal_in(folder: Path) -> Journal:
    return Journal.open(folder / "journal", CAPACITY)


def sell(folder: Path) -> None:
    """Sell one fen after the other."""
    card = Telling(VirtualReader(card_in(folder), "card").channel(), "card")
    sam = SamSession(Psam(Telling(VirtualReader(psam_in(folder), "psam").channel(), "psam")))
    log = MovementLog(journal_in(folder), SystemClock())
    while True:
        print("sale", flush=True)
        purchase.run(purchase.PurchaseRequest(1, NOON), card=card, sam=sam, log=log, layout=CardLayout())
        print("sold", flush=True)


if __name__ == "__main__":
    sell(Path(sys.argv[1]))
