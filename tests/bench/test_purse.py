"""What the purse benchmark counts is right, and wrong cards, journals or records give no figure."""

from pathlib import Path

import pytest

from bench.harness import BenchBroken
from bench.purse_device import ECHO, METER, Metered, make_card, make_psam
from bench.purse_records import FORGED_EVERY, card_keys, check_rates, make_records
from bench.purse_till import Till
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.apdu import demand
from campus_node.purse.commands import Purse, init_for_purchase, select_name
from campus_node.purse.errors import MacWrong
from campus_node.purse.presenting import AID, CardLayout
from federation.clock import VirtualClock
from hil_rig.virtual.in_process import VirtualReader

KEYS = card_keys("card-sm4")


@pytest.fixture
def till(tmp_path: Path) -> Till:
    till = Till(tmp_path / "journal", VirtualClock())
    card, sam = VirtualReader(make_card("card-sm4")).channel(), VirtualReader(make_psam("psam")).channel()
    till.lay(card, sam)
    return till


def test_what_was_bought_is_in_card_and_journal_alike(till: Till) -> None:
    bought = till.buy(12)
    till.check(KEYS)
    assert bought.purchases == 12
    assert bought.synced.count == 24, "SENT and DONE of each purchase are durable"
    assert bought.took_ns > bought.synced.took_ns > 0
    assert len(bought.shapes) == 12 * 5 + 2, "SELECT, INIT, DEBIT; INIT SAM, CREDIT SAM; twice to begin with"


def test_another_card_than_the_journals_is_found(till: Till, tmp_path: Path) -> None:
    till.buy(2)
    till.lay(VirtualReader(make_card("card-sm4")).channel(), VirtualReader(make_psam("psam")).channel())
    with pytest.raises(BenchBroken, match="journal says otherwise"):
        till.check(KEYS)


def test_a_wrong_tac_key_is_found(till: Till) -> None:
    till.buy(1)
    with pytest.raises(MacWrong):
        till.check((KEYS[0], bytes(16)))


def test_a_refusal_is_no_speed(till: Till) -> None:
    till.buy(1)
    till.lay(VirtualReader(make_card("card-sm4", balance_fen=0)).channel(),
             VirtualReader(make_psam("psam")).channel())  # fmt: skip
    with pytest.raises(Exception, match="9401"):
        till.buy(1)


def test_records_have_keys_of_their_own_and_some_are_forged() -> None:
    for algorithm in Algorithm:
        records = make_records(algorithm, 20)
        assert len({record.asn for record in records}) == 20
        assert len({record.tac for record in records}) == 20
    assert all(rate > 0 for rate in check_rates(FORGED_EVERY + 3).values())


def test_the_stopwatch_counts_the_devices_commands_and_not_its_own() -> None:
    device = Metered(make_card("card-sm4"))
    channel = VirtualReader(device).channel()
    assert channel.transmit(ECHO + bytes.fromhex("000003AABBCC07")) == bytes(7) + b"\x90\x00"
    demand(channel, select_name(AID))
    demand(channel, init_for_purchase(Purse.EP, CardLayout().purchase_key, 1, bytes(6)))
    told = channel.transmit(METER)
    assert 0 < int.from_bytes(told[:8], "big") < 1_000_000_000
    assert int.from_bytes(told[8:12], "big") == 2
    assert channel.transmit(METER)[:12] == bytes(12), "it begins anew"
