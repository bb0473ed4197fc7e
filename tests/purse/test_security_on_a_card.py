"""Files, PIN, authentication and blocks on the card in software, which shares no code with us."""

from dataclasses import replace

import pytest

from campus_node.purse import commands, secure_messaging
from campus_node.purse.algorithm import (
    Algorithm,
    authentication,
    decrypt,
    encrypt,
    messaging_mac,
    pin_reload_mac,
)
from campus_node.purse.commands import Purse
from campus_node.purse.errors import (
    AccessDenied,
    CardSpent,
    CommandUnknown,
    KeyNotFound,
    MacRefused,
    MacWrong,
    NotFoundInCard,
    PinBlocked,
    PinWrong,
)
from campus_node.purse.files import CappRecord, Fci, HolderFile, PublicFile
from campus_node.purse.secure_messaging import ClearKey, challenge_of, protect, read, send
from hil_rig.virtual.profile_entries import Usage
from tests.purse.subject import (
    CAPP_SFI,
    NOTES_SFI,
    OTHER_PIN,
    PIN,
    Subject,
)


def test_selecting_shows_the_public_file_that_reading_gives(card: Subject) -> None:
    public = PublicFile.parse(card.ask(commands.read_binary(0x15, 0, 30)))
    assert card.select().public == public
    assert HolderFile.parse(card.ask(commands.read_binary(0x16, 0, 39))).name == "张三"
    master = Fci.parse(card.ask(commands.select_name(b"1PAY.SYS.DDF01")))
    assert master == Fci(b"1PAY.SYS.DDF01", 1, None)
    with pytest.raises(NotFoundInCard):
        card.ask(commands.select_file(0x7777))


def test_a_wrong_pin_costs_a_try_and_the_last_one_blocks(card: Subject) -> None:
    for left in (2, 1):
        with pytest.raises(PinWrong) as wrong:
            card.show_pin(OTHER_PIN)
        assert wrong.value.tries_left == left
    card.show_pin()
    for _ in range(3):
        with pytest.raises(PinWrong):
            card.show_pin(OTHER_PIN)
    with pytest.raises(PinBlocked):
        card.show_pin()


def test_a_pin_is_changed_by_who_knows_it(card: Subject) -> None:
    card.ask(commands.change_pin(0, PIN, OTHER_PIN))
    card.show_pin(OTHER_PIN)
    with pytest.raises(PinWrong):
        card.ask(commands.change_pin(0, PIN, OTHER_PIN))


def test_a_blocked_pin_is_unblocked_by_the_issuer_alone(card: Subject) -> None:
    for _ in range(3):
        with pytest.raises(PinWrong):
            card.show_pin(OTHER_PIN)
    wrong = ClearKey(card.algorithm, bytes(16))
    unblock = secure_messaging.pin_unblock(OTHER_PIN)
    with pytest.raises(MacRefused):
        send(card.channel, unblock, wrong, encrypt=True)
    send(card.channel, unblock, card.messaging(Usage.PIN_UNBLOCK), encrypt=True)
    card.show_pin(OTHER_PIN)


def test_three_wrong_unblockings_lock_for_ever(card: Subject) -> None:
    unblock = secure_messaging.pin_unblock(OTHER_PIN)
    wrong = ClearKey(card.algorithm, bytes(16))
    for refusal in (MacRefused, MacRefused, CardSpent):
        with pytest.raises(refusal):
            send(card.channel, unblock, wrong, encrypt=True)
    with pytest.raises(CardSpent):
        send(card.channel, unblock, card.messaging(Usage.PIN_UNBLOCK), encrypt=True)


def test_a_pin_is_reloaded_with_the_issuers_mac(card: Subject) -> None:
    index, key = card.index(Usage.PIN_RELOAD), card.key(Usage.PIN_RELOAD)
    with pytest.raises(MacRefused):
        card.ask(commands.reload_pin(index, OTHER_PIN, bytes(4)))
    card.ask(commands.reload_pin(index, OTHER_PIN, pin_reload_mac(card.algorithm, key, OTHER_PIN)))
    card.show_pin(OTHER_PIN)


def test_the_issuer_proves_itself_to_the_card(card: Subject) -> None:
    index, key = card.index(Usage.EXTERNAL_AUTH), card.key(Usage.EXTERNAL_AUTH)
    length = 16 if card.algorithm is Algorithm.SM4 else 8
    challenge = challenge_of(card.channel, length)
    good = authentication(card.algorithm, key, challenge)
    with pytest.raises(PinWrong):
        card.ask(commands.external_authenticate(index, bytes(8)))
    with pytest.raises(AccessDenied):
        card.ask(commands.external_authenticate(index, good))  # the challenge is used up
    challenge = challenge_of(card.channel, length)
    answer = authentication(card.algorithm, key, challenge)
    assert card.ask(commands.external_authenticate(index, answer)) == b""
    with pytest.raises(KeyNotFound):
        card.ask(commands.external_authenticate(0x55, good))


def test_the_card_proves_itself_to_the_issuer(card: Subject) -> None:
    index, key = card.index(Usage.INTERNAL_AUTH), card.key(Usage.INTERNAL_AUTH)
    blocks = bytes(range(card.algorithm.block_size))
    cipher = card.ask(commands.internal_authenticate(0, index, blocks))
    assert cipher == encrypt(card.algorithm, key, blocks)
    assert card.ask(commands.internal_authenticate(1, index, cipher)) == blocks
    assert decrypt(card.algorithm, key, cipher) == blocks
    made = card.ask(commands.internal_authenticate(2, index, blocks))
    assert len(made) == 4
    assert made == messaging_mac(card.algorithm, key, bytes(4), blocks)


def test_a_file_is_written_and_read_with_a_mac_and_not_without(card: Subject) -> None:
    key = card.messaging(Usage.MAINTENANCE)
    update = commands.update_binary(NOTES_SFI, 2, b"\xaa\xbb")
    with pytest.raises(AccessDenied):
        card.ask(update)
    with pytest.raises(MacRefused):
        send(card.channel, update, ClearKey(card.algorithm, bytes(16)))
    send(card.channel, update, key)
    assert card.ask(commands.read_binary(NOTES_SFI, 0, 5)) == bytes.fromhex("0000AABB00")
    assert read(card.channel, commands.read_binary(NOTES_SFI, 1, 3), key) == bytes.fromhex("00AABB")
    with pytest.raises(MacWrong):
        read(card.channel, commands.read_binary(NOTES_SFI, 1, 3), ClearKey(card.algorithm, bytes(16)))


def test_a_mac_counts_once(card: Subject) -> None:
    key = card.messaging(Usage.MAINTENANCE)
    update = commands.update_binary(NOTES_SFI, 0, b"\xaa")
    protected = protect(update, key, challenge_of(card.channel))
    card.ask(protected)
    with pytest.raises(AccessDenied):
        card.ask(protected)
    challenge_of(card.channel)
    with pytest.raises(MacRefused):
        card.ask(protected)


def test_records_are_replaced_and_appended_with_a_mac_alone(card: Subject) -> None:
    key = card.messaging(Usage.MAINTENANCE)
    old = card.ask(commands.read_record(CAPP_SFI, 1))
    record = CappRecord.parse(old)
    new = replace(record, content=bytes([0x5A]) * len(record.content)).encode()
    send(card.channel, commands.update_record(CAPP_SFI, 1, new), key)
    assert card.ask(commands.read_record(CAPP_SFI, 1)) == new
    with pytest.raises(AccessDenied):
        card.ask(commands.append_record(CAPP_SFI, new))
    with pytest.raises(CommandUnknown):
        send(card.channel, commands.append_record(CAPP_SFI, new), key)  # the file has room for its own
    with pytest.raises(NotFoundInCard):
        card.ask(commands.read_record(CAPP_SFI, 99))


def test_an_application_is_blocked_and_unblocked(card: Subject) -> None:
    key = card.messaging(Usage.MAINTENANCE)
    send(card.channel, secure_messaging.application_block(permanent=False), key)
    with pytest.raises(NotFoundInCard):
        card.select()
    send(card.channel, secure_messaging.application_unblock(), key)
    card.select()
    assert card.balance_fen(Purse.EP) == 0


def test_three_wrong_unblockings_of_an_application_lock_it_for_ever(card: Subject) -> None:
    key = card.messaging(Usage.MAINTENANCE)
    send(card.channel, secure_messaging.application_block(permanent=False), key)
    for refusal in (MacRefused, MacRefused, CardSpent):
        with pytest.raises(refusal):
            send(card.channel, secure_messaging.application_unblock(), ClearKey(card.algorithm, bytes(16)))
    with pytest.raises(CardSpent):
        send(card.channel, secure_messaging.application_unblock(), key)


def test_a_permanent_block_stays(card: Subject) -> None:
    key = card.messaging(Usage.MAINTENANCE)
    send(card.channel, secure_messaging.application_block(permanent=True), key)
    with pytest.raises((CardSpent, NotFoundInCard)):
        send(card.channel, secure_messaging.application_unblock(), key)


def test_a_blocked_card_does_nothing_any_more(card: Subject) -> None:
    card.ask(commands.select_file(0x3F00))
    send(card.channel, secure_messaging.card_block(), card.mf_messaging())
    for command in (commands.select_name(card.aid), commands.get_balance(Purse.EP), commands.get_challenge()):
        with pytest.raises(NotFoundInCard):
            card.ask(command)
