"""The same personalisation through the PC/SC service: card and PSAM in two readers, the card torn once."""

from collections.abc import Callable
from contextlib import closing

import pytest

from campus_node.keys.operations import KeyOperations
from campus_node.purse.channel import CardChannel
from campus_node.purse.errors import CardLeft
from campus_node.purse.pcsc import PcscReader
from campus_node.purse.personalise import Outcome, Personaliser
from campus_node.purse.profile import CardProfile, PsamProfile
from campus_node.purse.psam import Psam
from hil_rig.faults import What
from hil_rig.virtual.vpcd import VpcdSlot
from tests.keys.conftest import ISSUER, NEIGHBOUR, TRANSPORT, blank_card, blank_psam
from tests.keys.test_personalise import loads_with

SOON_S = 10


def on(reader: PcscReader) -> CardChannel:
    channel = reader.wait_for_card(SOON_S)
    assert channel is not None
    return channel


def test_a_card_and_a_psam_are_made_over_pcsc(
    card_slot: VpcdSlot,
    psam_slot: VpcdSlot,
    card_profile: Callable[[str], CardProfile],
    psam_profile: PsamProfile,
    store: KeyOperations,
) -> None:
    personaliser = Personaliser(store, ISSUER, TRANSPORT)
    profile, card = card_profile("card-sm4"), blank_card()
    with closing(PcscReader(card_slot.name)) as reader:
        card_slot.insert(card)
        card_slot.tears.plan(What.CARD_LEFT_AFTER, 30)
        with pytest.raises(CardLeft):
            personaliser.make_card(on(reader), profile)
        assert reader.wait_for_removal(SOON_S)
        card_slot.insert(card)
        channel = on(reader)
        assert personaliser.make_card(channel, profile).outcome is Outcome.MADE
        loads_with(channel, profile, store)
    with closing(PcscReader(psam_slot.name)) as reader:
        psam_slot.insert(blank_psam())
        channel = on(reader)
        assert personaliser.make_psam(channel, psam_profile).outcome is Outcome.MADE
        sam = Psam(channel)
        for issuer in (ISSUER, NEIGHBOUR):
            sam.select_issuer(issuer)
        assert sam.terminal_id() == psam_profile.terminal_id
