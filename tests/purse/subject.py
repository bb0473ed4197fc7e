"""A card in software on a reader, with its keys as its issuer knows them: what our commands are tried on."""

from dataclasses import replace

from campus_node.purse import commands, mac
from campus_node.purse.algorithm import (
    Algorithm,
    session_key,
    session_mac,
    tac,
)
from campus_node.purse.answers import (
    Debited,
    LoadInit,
    Proof,
    PurchaseInit,
    parse_balance,
    parse_tac,
)
from campus_node.purse.apdu import Command, demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import Purse, TransactionType
from campus_node.purse.files import Fci, LogRecord, PublicFile
from campus_node.purse.secure_messaging import ClearKey
from campus_node.purse.verification import PurchaseRecord
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.profile import load_card_profile
from hil_rig.virtual.profile_entries import Usage

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


def begin_purchase(card: Subject, kind: TransactionType, amount_fen: int) -> PurchaseInit:
    index = card.index(Usage.PURCHASE)
    begin = {
        TransactionType.EP_PURCHASE: commands.init_for_purchase(Purse.EP, index, amount_fen, TERMINAL),
        TransactionType.ED_PURCHASE: commands.init_for_purchase(Purse.ED, index, amount_fen, TERMINAL),
        TransactionType.CASH: commands.init_for_cash(index, amount_fen, TERMINAL),
        TransactionType.CAPP: commands.init_for_capp(Purse.EP, index, amount_fen, TERMINAL),
    }
    return PurchaseInit.parse(card.ask(begin[kind]))


def finish_purchase(
    card: Subject, kind: TransactionType, amount_fen: int, init: PurchaseInit
) -> PurchaseRecord:
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
