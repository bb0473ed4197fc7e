"""Every command of the PSAM, on the PSAM in software, which shares no code with us."""

import pytest

from campus_node.purse import commands
from campus_node.purse.algorithm import (
    Algorithm,
    decrypt,
    diversify,
    encrypt,
    messaging_mac,
    pad,
)
from campus_node.purse.answers import (
    Debited,
    PurchaseInit,
)
from campus_node.purse.commands import Purse, TransactionType
from campus_node.purse.errors import (
    AccessDenied,
    MacWrong,
    NotFoundInCard,
)
from campus_node.purse.files import PublicFile
from campus_node.purse.psam import CipherMode, Psam
from campus_node.purse.status_words import status_word
from hil_rig.virtual import status
from hil_rig.virtual.profile_entries import Usage
from tests.purse.subject import (
    MADE_AT,
    Subject,
    begin_purchase,
)


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
    init = begin_purchase(card, TransactionType.EP_PURCHASE, 0)
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


def test_the_card_gives_no_status_word_that_our_table_lacks() -> None:
    given = {name: sw for name, sw in vars(status).items() if isinstance(sw, int)}
    assert len(given) > 20
    assert {name for name, sw in given.items() if status_word(sw) is None} == set()
