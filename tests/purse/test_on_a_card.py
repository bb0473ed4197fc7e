"""Every command of ours on the card and the PSAM in software, which share no code with us.

What the purse's flows do with cards is in tests/purse/flows; here each command is asked by itself.
"""

from dataclasses import replace

import pytest

from campus_node.purse import commands, mac, secure_messaging
from campus_node.purse.algorithm import (
    Algorithm,
    authentication,
    decrypt,
    diversify,
    encrypt,
    messaging_mac,
    pad,
    pin_reload_mac,
    session_key,
    session_mac,
    tac,
)
from campus_node.purse.answers import (
    Debited,
    LoadInit,
    OverdraftInit,
    Proof,
    PurchaseInit,
    parse_balance,
    parse_mac3,
    parse_tac,
)
from campus_node.purse.apdu import Command, demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import Purse, TransactionType
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
    ProofMissing,
    PurseTooSmall,
)
from campus_node.purse.files import CappRecord, Fci, HolderFile, LogRecord, PublicFile
from campus_node.purse.psam import CipherMode, Psam
from campus_node.purse.secure_messaging import ClearKey, challenge_of, protect, read, send
from campus_node.purse.verification import PurchaseRecord, verify_record
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.profile_entries import Usage
from hil_rig.virtual.psam import VirtualPsam

TERMINAL = bytes.fromhex("112233445566")
MADE_AT = bytes.fromhex("20240411212121")
PIN, OTHER_PIN = bytes.fromhex("123456"), bytes.fromhex("654321")
CAPP_SFI = 0x17
NOTES_SFI = 5


class Subject:
    """A card on a reader, and its keys as its issuer knows them."""

    def __init__(self, profile_name: str, *, asks_back: bool) -> None:
        profile = load_card_profile(profile_name)
        profile = replace(profile, flags=replace(profile.flags, get_response=asks_back))
        self.aid = profile.aid
        self._keys = {Usage(key.type): key for key in reversed(profile.keys)}
        self.algorithm = Algorithm(self._keys[Usage.PURCHASE].algorithm)
        self._mf_key = profile.mf_keys[0]
        self.channel: CardChannel = VirtualReader(VirtualCard(profile)).channel()
        self.select()

    def select(self) -> Fci:
        return Fci.parse(demand(self.channel, commands.select_name(self.aid)))

    def key(self, usage: Usage) -> bytes:
        return self._keys[usage].value

    def index(self, usage: Usage) -> int:
        return self._keys[usage].index

    def messaging(self, usage: Usage) -> ClearKey:
        return ClearKey(self.algorithm, self.key(usage))

    def mf_messaging(self) -> ClearKey:
        return ClearKey(Algorithm(self._mf_key.algorithm), self._mf_key.value)

    def ask(self, command: Command) -> bytes:
        return demand(self.channel, command)

    def show_pin(self, pin: bytes = PIN) -> None:
        self.ask(commands.verify_pin(0, pin))

    def mac_of(self, usage: Usage, seed: bytes, message: bytes) -> bytes:
        session = session_key(self.algorithm, self.key(usage), seed)
        return session_mac(self.algorithm, session, message)

    def tac_of(self, message: bytes) -> bytes:
        return tac(self.algorithm, self.key(Usage.TAC), message)

    def balance_fen(self, purse: Purse) -> int:
        return parse_balance(self.ask(commands.get_balance(purse)))

    def newest_log(self) -> LogRecord:
        record = LogRecord.parse(self.ask(commands.read_record(0x18, 1, 23)))
        assert record is not None
        return record

    def load(self, purse: Purse, amount_fen: int) -> bytes:
        """Load as the issuer does, check MAC1 and TAC, and return the MAC2 that was used."""
        index = self.index(Usage.LOAD)
        kind = TransactionType.load_of(purse)
        init = LoadInit.parse(self.ask(commands.init_for_load(purse, index, amount_fen, TERMINAL)))
        seed = mac.online_seed(init.card_random, init.online_seq)
        assert init.mac1 == self.mac_of(
            Usage.LOAD, seed, mac.load_mac1(init.balance_fen, amount_fen, kind, TERMINAL)
        )
        mac2 = self.mac_of(Usage.LOAD, seed, mac.load_mac2(amount_fen, kind, TERMINAL, MADE_AT))
        given = parse_tac(self.ask(commands.credit_for_load(MADE_AT, mac2)))
        covered = mac.load_tac(
            init.balance_fen + amount_fen, init.online_seq, amount_fen, kind, TERMINAL, MADE_AT
        )
        assert given == self.tac_of(covered)
        proof = Proof.parse(self.ask(commands.transaction_prove(kind, init.online_seq + 1)))
        assert proof == Proof(mac=mac2, tac=given)
        return mac2


@pytest.fixture(params=["card-3des", "card-sm4"])
def algorithm_profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["answers at once", "asks back as under T=0"])
def card(request: pytest.FixtureRequest, algorithm_profile: str) -> Subject:
    return Subject(algorithm_profile, asks_back=request.param)


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


def test_a_load_is_proved_both_ways_and_logged(card: Subject) -> None:
    card.show_pin()
    for purse in Purse:
        card.load(purse, 1000)
        assert card.balance_fen(purse) == 1000
        newest = card.newest_log()
        assert (newest.amount_fen, newest.transaction_type) == (1000, TransactionType.load_of(purse))
        assert (newest.terminal_id, newest.made_at) == (TERMINAL, MADE_AT)


def _begin(card: Subject, kind: TransactionType, amount_fen: int) -> PurchaseInit:
    index = card.index(Usage.PURCHASE)
    begin = {
        TransactionType.EP_PURCHASE: commands.init_for_purchase(Purse.EP, index, amount_fen, TERMINAL),
        TransactionType.ED_PURCHASE: commands.init_for_purchase(Purse.ED, index, amount_fen, TERMINAL),
        TransactionType.CASH: commands.init_for_cash(index, amount_fen, TERMINAL),
        TransactionType.CAPP: commands.init_for_capp(Purse.EP, index, amount_fen, TERMINAL),
    }
    return PurchaseInit.parse(card.ask(begin[kind]))


def _finish(card: Subject, kind: TransactionType, amount_fen: int, init: PurchaseInit) -> PurchaseRecord:
    seed = mac.purchase_seed(init.card_random, init.offline_seq, 0x00010007)
    mac1 = card.mac_of(Usage.PURCHASE, seed, mac.purchase_mac1(amount_fen, kind, TERMINAL, MADE_AT))
    done = Debited.parse(card.ask(commands.debit(0x00010007, MADE_AT, mac1)))
    public = PublicFile.parse(card.ask(commands.read_binary(0x15, 0, 30)))
    return PurchaseRecord(
        public.asn,
        kind,
        amount_fen,
        init.offline_seq,
        init.card_random,
        init.key_version,
        init.algorithm_byte,
        TERMINAL,
        0x00010007,
        MADE_AT,
        done.mac2,
        done.tac,
    )


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
    init = _begin(card, kind, 100)
    assert init.balance_fen == 1000
    record = _finish(card, kind, 100, init)
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
    _begin(card, TransactionType.CAPP, 100)
    card.ask(commands.update_capp_cache(CAPP_SFI, after, record_id=record.record_id))
    assert card.ask(commands.read_record(CAPP_SFI, 1)) == before  # asked something else: all is void
    init = _begin(card, TransactionType.CAPP, 100)
    card.ask(commands.update_capp_cache(CAPP_SFI, after, number=1))
    _finish(card, TransactionType.CAPP, 100, init)
    assert card.ask(commands.read_record(CAPP_SFI, 1)) == after
    assert card.balance_fen(Purse.EP) == 900


def test_a_purse_pays_no_more_than_it_holds_and_nothing_without_a_mac(card: Subject) -> None:
    card.show_pin()
    card.load(Purse.EP, 1000)
    with pytest.raises(PurseTooSmall):
        _begin(card, TransactionType.EP_PURCHASE, 1001)
    _begin(card, TransactionType.EP_PURCHASE, 1000)
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


@pytest.fixture
def psam() -> Psam:
    return Psam(VirtualReader(VirtualPsam(load_psam_profile("psam"))).channel())


def test_the_psams_mac1_opens_the_card_and_the_cards_mac2_convinces_the_psam(
    card: Subject, psam: Psam
) -> None:
    public = PublicFile.parse(card.ask(commands.read_binary(0x15, 0, 30)))
    psam.select_issuer(public.issuer)
    terminal_id = psam.terminal_id()
    card.show_pin()
    card.load(Purse.EP, 1000)
    seqs = []
    for _ in range(2):
        index = card.index(Usage.PURCHASE)
        init = PurchaseInit.parse(card.ask(commands.init_for_purchase(Purse.EP, index, 100, terminal_id)))
        kind = TransactionType.EP_PURCHASE
        sam = psam.init_for_purchase(
            init.card_random,
            init.offline_seq,
            100,
            kind,
            MADE_AT,
            init.key_version,
            init.algorithm_byte,
            (public.card_factor,),
        )
        seqs.append(sam.terminal_seq)
        done = Debited.parse(card.ask(commands.debit(sam.terminal_seq, MADE_AT, sam.mac1)))
        psam.credit(done.mac2)
    assert seqs == [1, 2]
    assert card.balance_fen(Purse.EP) == 800


def test_the_psam_finds_a_forged_mac2(card: Subject, psam: Psam) -> None:
    psam.select_issuer(bytes.fromhex("4355434100000001"))
    init = _begin(card, TransactionType.EP_PURCHASE, 0)
    public = PublicFile.parse(card.ask(commands.read_binary(0x15, 0, 30)))
    psam.init_for_purchase(
        init.card_random,
        init.offline_seq,
        0,
        TransactionType.EP_PURCHASE,
        MADE_AT,
        init.key_version,
        init.algorithm_byte,
        (public.card_factor,),
    )
    with pytest.raises(MacWrong):
        psam.credit(bytes(4))


@pytest.mark.parametrize(
    ("usage", "algorithm", "master", "factors"),
    [
        (0x28, Algorithm.TDES, "C8C8C8C8C8C8C8C81122334455667788", (bytes.fromhex("0001000000000789"),)),
        (0x09, Algorithm.SM4, "C9C9C9C9C9C9C9C91122334455667788", ()),
    ],
)
def test_a_delivered_key_computes_what_its_counterpart_computes(
    psam: Psam, usage: int, algorithm: Algorithm, master: str, factors: tuple[bytes, ...]
) -> None:
    key = bytes.fromhex(master)
    for factor in factors:
        key = diversify(algorithm, key, factor)
    psam.select_issuer(bytes.fromhex("4355434100000001"))
    psam.deliver_key(usage, 1, factors)
    blocks = bytes(range(48))
    assert psam.cipher(CipherMode.ENCRYPT, blocks) == encrypt(algorithm, key, blocks)
    assert psam.cipher(CipherMode.DECRYPT, blocks) == decrypt(algorithm, key, blocks)
    start = bytes(algorithm.block_size)
    for length in (1, 40, 300):
        message = bytes(length)
        challenge = start[:8] if algorithm is Algorithm.TDES else start
        expected = messaging_mac(algorithm, key, challenge, message)
        assert psam.mac(start, pad(algorithm, message)) == expected


@pytest.mark.parametrize("usage", [0x22, 0x02, 0x21])
def test_no_purchase_or_maintenance_key_is_delivered(psam: Psam, usage: int) -> None:
    psam.select_issuer(bytes.fromhex("4355434100000001"))
    with pytest.raises(AccessDenied):
        psam.deliver_key(usage, 1, [bytes(8)] * (usage >> 5))


def test_the_psam_is_asked_without_a_purchase_in_vain(psam: Psam) -> None:
    psam.select_issuer(bytes.fromhex("4355434100000001"))
    with pytest.raises(AccessDenied):
        psam.credit(bytes(4))
    with pytest.raises(NotFoundInCard):
        psam.select_issuer(bytes(8))
