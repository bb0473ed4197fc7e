"""The card desk with real PC/SC readers, card and PSAM in two: pay, and a card that leaves in between."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from campus_node.purse.pcsc import PcscReader
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.psam import VirtualPsam
from hil_rig.virtual.vpcd import VpcdSlot
from tests.cards.conftest import Desk

pytestmark = pytest.mark.pcsc

DEBIT = 3  # SELECT, INIT, DEBIT: the third command that the card gets


@dataclass(frozen=True, slots=True)
class Laid:
    """A card and a PSAM on their readers.

    Args:
        card: the card, to lay it there again.
        hand: at its reader.
        names: of both readers, as options.
    """

    card: VirtualCard
    hand: VpcdSlot
    names: tuple[str, ...]

    def lay_again(self) -> None:
        """Lay the card there again once the service has seen it go."""
        assert PcscReader(self.hand.name).wait_for_removal(10)
        self.hand.insert(self.card)


@pytest.fixture
def laid(card_slot: VpcdSlot, psam_slot: VpcdSlot) -> Iterator[Laid]:
    card, psam = VirtualCard(load_card_profile("card-sm4")), VirtualPsam(load_psam_profile("psam"))
    for slot in (card_slot, psam_slot):
        assert PcscReader(slot.name).wait_for_removal(10), "a card of an earlier test is still there"
    card_slot.insert(card)
    psam_slot.insert(psam)
    yield Laid(card, card_slot, ("--reader", card_slot.name, "--sam-reader", psam_slot.name))
    card_slot.remove()
    psam_slot.remove()


def test_a_card_is_loaded_and_pays_over_two_readers(desk: Desk, laid: Laid) -> None:
    assert laid.hand.name in desk.campus("card", "readers", "--json").json["readers"]
    card = laid.names[:2]
    loaded = desk.campus("card", "load", *card, "--profile", "card-sm4", "--amount-fen", 900, "--json")
    assert (loaded.code, loaded.json["balance_fen"]) == (0, 900), loaded.err
    paid = desk.campus("card", "purchase", *laid.names, "--amount-fen", 250, "--json")
    assert (paid.code, paid.json["state"], paid.json["balance_fen"]) == (0, "done", 650), paid.err
    assert paid.json["checked"] is True, "its PSAM has checked MAC2"
    assert desk.campus("card", "balance", *card, "--json").json["balance_fen"] == 650
    soft = desk.campus("card", "purchase", *card, "--sam", "soft:psam", "--amount-fen", 50, "--json")
    assert (soft.code, soft.json["balance_fen"]) == (0, 600), "its PSAM is in this process"


def test_a_card_that_leaves_after_the_debit_is_grey_and_then_charged_once(desk: Desk, laid: Laid) -> None:
    card = laid.names[:2]
    described = ("--profile", "card-sm4")
    assert desk.campus("card", "load", *card, *described, "--amount-fen", 900).code == 0
    laid.hand.tear_after_command(DEBIT)
    grey = desk.campus("card", "purchase", *laid.names, "--amount-fen", 250, "--wait-s", 1, "--json")
    assert (grey.code, grey.json["state"]) == (1, "grey"), grey.err

    laid.lay_again()
    recovered = desk.campus("card", "recover", *laid.names, "--json")
    assert [each["state"] for each in recovered.json["recovered"]] == ["done"], recovered.err
    assert desk.campus("card", "balance", *card, "--json").json["balance_fen"] == 650


def test_an_empty_reader_and_one_that_is_not_there_are_told(desk: Desk, laid: Laid) -> None:
    laid.hand.remove()
    assert PcscReader(laid.hand.name).wait_for_removal(10)
    empty = desk.campus("card", "info", "--reader", laid.hand.name, "--wait-s", 1)
    assert empty.code == 1
    assert "no card came" in empty.err
    missing = desk.campus("card", "info", "--reader", "Nobody's Reader 00 00", "--wait-s", 1)
    assert missing.code == 1
    assert laid.hand.name in missing.err, "those that are there are listed"


def test_a_name_with_which_two_readers_begin_is_refused_and_both_are_listed(desk: Desk, laid: Laid) -> None:
    told = desk.campus("card", "info", "--reader", laid.hand.name[:-1])
    assert told.code == 1
    assert laid.names[1] in told.err
    assert laid.names[3] in told.err
    assert desk.campus("card", "info", "--reader", laid.hand.name).code == 0
