"""Every money command on the card in software, which shares no code with us; flows are tests/purse/flows."""

from dataclasses import replace

import pytest

from campus_node.purse import commands, mac
from campus_node.purse.answers import (
    LoadInit,
    OverdraftInit,
    Proof,
    parse_mac3,
    parse_tac,
)
from campus_node.purse.commands import Purse, TransactionType
from campus_node.purse.errors import (
    AccessDenied,
    KeyNotFound,
    MacRefused,
    ProofMissing,
    PurseTooSmall,
)
from campus_node.purse.files import CappRecord
from campus_node.purse.verification import verify_record
from hil_rig.virtual.profile_entries import Usage
from tests.purse.subject import (
    CAPP_SFI,
    MADE_AT,
    TERMINAL,
    Subject,
    begin_purchase,
    finish_purchase,
)


def test_a_load_is_proved_both_ways_and_logged(card: Subject) -> None:
    card.show_pin()
    for purse in Purse:
        card.load(purse, 1000)
        assert card.balance_fen(purse) == 1000
        newest = card.newest_log()
        assert (newest.amount_fen, newest.transaction_type) == (1000, TransactionType.load_of(purse))
        assert (newest.terminal_id, newest.made_at) == (TERMINAL, MADE_AT)


PURCHASES = [
    TransactionType.EP_PURCHASE,
    TransactionType.ED_PURCHASE,
    TransactionType.CASH,
    TransactionType.CAPP,
]


@pytest.mark.parametrize("kind", PURCHASES)
def test_a_purchases_record_convinces_the_issuer_and_the_card_can_prove_it(
    card: Subject, kind: TransactionType
) -> None:
    card.show_pin()
    purse = Purse.ED if kind in {TransactionType.ED_PURCHASE, TransactionType.CASH} else Purse.EP
    card.load(purse, 1000)
    init = begin_purchase(card, kind, 100)
    assert init.balance_fen == 1000
    record = finish_purchase(card, kind, 100, init)
    verify_record(record, card.key(Usage.PURCHASE), card.key(Usage.TAC))
    assert card.balance_fen(purse) == 900
    proof = Proof.parse(card.ask(commands.transaction_prove(kind, init.offline_seq + 1)))
    assert proof == Proof(mac=record.mac2, tac=record.tac)
    with pytest.raises(ProofMissing):
        card.ask(commands.transaction_prove(kind, init.offline_seq + 2))
    newest = card.newest_log()
    assert (newest.amount_fen, newest.transaction_type) == (100, kind)


def test_a_record_changes_with_the_capp_purchase_and_not_before(card: Subject) -> None:
    card.show_pin()
    card.load(Purse.EP, 1000)
    before = card.ask(commands.read_record(CAPP_SFI, 1))
    record = CappRecord.parse(before)
    after = replace(record, content=bytes([0xA5]) * len(record.content)).encode()
    begin_purchase(card, TransactionType.CAPP, 100)
    card.ask(commands.update_capp_cache(CAPP_SFI, after, record_id=record.record_id))
    assert card.ask(commands.read_record(CAPP_SFI, 1)) == before  # asked something else: all is void
    init = begin_purchase(card, TransactionType.CAPP, 100)
    card.ask(commands.update_capp_cache(CAPP_SFI, after, number=1))
    finish_purchase(card, TransactionType.CAPP, 100, init)
    assert card.ask(commands.read_record(CAPP_SFI, 1)) == after
    assert card.balance_fen(Purse.EP) == 900


def test_a_purse_pays_no_more_than_it_holds_and_nothing_without_a_mac(card: Subject) -> None:
    card.show_pin()
    card.load(Purse.EP, 1000)
    with pytest.raises(PurseTooSmall):
        begin_purchase(card, TransactionType.EP_PURCHASE, 1001)
    begin_purchase(card, TransactionType.EP_PURCHASE, 1000)
    with pytest.raises(MacRefused):
        card.ask(commands.debit(7, MADE_AT, bytes(4)))
    with pytest.raises(AccessDenied):
        card.ask(commands.debit(7, MADE_AT, bytes(4)))
    with pytest.raises(KeyNotFound):
        card.ask(commands.init_for_purchase(Purse.EP, 0x77, 1, TERMINAL))
    assert card.balance_fen(Purse.EP) == 1000


def test_an_unload_is_proved_by_mac3(card: Subject) -> None:
    card.show_pin()
    card.load(Purse.ED, 1000)
    index = card.index(Usage.UNLOAD)
    init = LoadInit.parse(card.ask(commands.init_for_unload(index, 300, TERMINAL)))
    seed = mac.online_seed(init.card_random, init.online_seq)
    assert init.mac1 == card.mac_of(Usage.UNLOAD, seed, mac.unload_mac1(1000, 300, TERMINAL))
    mac2 = card.mac_of(Usage.UNLOAD, seed, mac.unload_mac2(300, TERMINAL, MADE_AT))
    mac3 = parse_mac3(card.ask(commands.debit_for_unload(MADE_AT, mac2)))
    covered = mac.unload_mac3(700, init.online_seq, 300, TERMINAL, MADE_AT)
    assert mac3 == card.mac_of(Usage.UNLOAD, seed, covered)
    assert card.balance_fen(Purse.ED) == 700


def test_an_overdraft_limit_moves_the_balance_by_its_difference(card: Subject) -> None:
    card.show_pin()
    card.load(Purse.ED, 1000)
    balance_fen, limit_fen = 1000, 0
    for new_limit_fen in (500, 200):
        index = card.index(Usage.OVERDRAFT)
        init = OverdraftInit.parse(card.ask(commands.init_for_overdraft(index, TERMINAL)))
        assert (init.balance_fen, init.old_limit_fen) == (balance_fen, limit_fen)
        seed = mac.online_seed(init.card_random, init.online_seq)
        assert init.mac1 == card.mac_of(
            Usage.OVERDRAFT, seed, mac.overdraft_mac1(balance_fen, limit_fen, TERMINAL)
        )
        mac2 = card.mac_of(Usage.OVERDRAFT, seed, mac.overdraft_mac2(new_limit_fen, TERMINAL, MADE_AT))
        given = parse_tac(card.ask(commands.update_overdraft_limit(new_limit_fen, MADE_AT, mac2)))
        balance_fen += new_limit_fen - limit_fen
        limit_fen = new_limit_fen
        covered = mac.overdraft_tac(balance_fen, init.online_seq, limit_fen, TERMINAL, MADE_AT)
        assert given == card.tac_of(covered)
        assert card.balance_fen(Purse.ED) == balance_fen


def test_a_deposit_needs_the_pin(card: Subject) -> None:
    for command in (
        commands.get_balance(Purse.ED),
        commands.init_for_cash(card.index(Usage.PURCHASE), 1, TERMINAL),
        commands.init_for_unload(card.index(Usage.UNLOAD), 1, TERMINAL),
    ):
        with pytest.raises(AccessDenied):
            card.ask(command)
