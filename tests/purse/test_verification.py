"""The issuer's check: MAC2 and TAC of purchase records, one by one and by thousands."""

import random
from typing import Any

import pytest

from campus_node.purse import mac
from campus_node.purse.algorithm import Algorithm, diversify, session_key, session_mac, tac
from campus_node.purse.errors import AlgorithmUnknown, MacWrong
from campus_node.purse.verification import (
    BATCH_RECORDS,
    IssuerKeys,
    PurchaseRecord,
    Verdict,
    verify_record,
    verify_records,
)

# The worked example of tests/vectors/purse.toml: one master for both keys, level 1 is the campus.
CAMPUS = {
    Algorithm.TDES: bytes.fromhex("A98D67402A30FCAEAC4C3325CD34A48B"),
    Algorithm.SM4: bytes.fromhex("191C1D318206609919A16D7F82448EE1"),
}
CARD = {
    Algorithm.TDES: bytes.fromhex("BEE2FD44080F424561599C0F14E824B5"),
    Algorithm.SM4: bytes.fromhex("FBE57DB6947D0E7CFC6EC490C3EBA762"),
}
WORKED = PurchaseRecord(
    asn=bytes.fromhex("00001234567890123456"),
    transaction_type=6,
    amount_fen=100,
    offline_seq=5,
    card_random=bytes.fromhex("A1B2C3D4"),
    key_version=1,
    algorithm_byte=0,
    terminal_id=bytes.fromhex("112233445566"),
    terminal_seq=7,
    made_at=bytes.fromhex("20240411212121"),
    mac2=bytes.fromhex("EFE06846"),
    tac=bytes.fromhex("6B0F7B93"),
)
WORKED_BY = {
    Algorithm.TDES: WORKED,
    Algorithm.SM4: WORKED._replace(
        algorithm_byte=4, mac2=bytes.fromhex("9E486260"), tac=bytes.fromhex("4EA734F0")
    ),
}
ISSUER = {(1, algorithm): IssuerKeys(key, key) for algorithm, key in CAMPUS.items()}

# What each proof covers; the card's number decides both keys, and terminal_seq stands in both.
IN_MAC2 = {"amount_fen", "offline_seq", "card_random", "terminal_seq", "mac2", "asn"}
IN_TAC = {"amount_fen", "transaction_type", "terminal_id", "terminal_seq", "made_at", "tac", "asn"}


def signed(record: PurchaseRecord, purchase_key: bytes, tac_key: bytes) -> PurchaseRecord:
    """Return the record with the MAC2 and the TAC that a card with these keys would give."""
    algorithm = Algorithm.from_byte(record.algorithm_byte)
    seed = mac.purchase_seed(record.card_random, record.offline_seq, record.terminal_seq)
    session = session_key(algorithm, purchase_key, seed)
    covered = mac.purchase_tac(
        record.amount_fen, record.transaction_type, record.terminal_id, record.terminal_seq, record.made_at
    )
    return record._replace(
        mac2=session_mac(algorithm, session, mac.purchase_mac2(record.amount_fen)),
        tac=tac(algorithm, tac_key, covered),
    )


def one_thing_changed(record: PurchaseRecord) -> dict[str, list[PurchaseRecord]]:
    """Return the record again and again, each time with one bit of one field changed, by field."""
    found: dict[str, list[PurchaseRecord]] = {}
    for name in sorted(IN_MAC2 | IN_TAC):
        value: Any = getattr(record, name)
        if isinstance(value, int):
            bits = {"transaction_type": 8, "offline_seq": 16}.get(name, 32)
            others: list[Any] = [value ^ 1 << bit for bit in range(bits)]
        else:
            first = 2 if name == "asn" else 0  # the head of the serial number is in no key
            others = [
                value[:at] + bytes([value[at] ^ 0x40]) + value[at + 1 :] for at in range(first, len(value))
            ]
        found[name] = [record._replace(**{name: other}) for other in others]
    return found


def expected_verdict(name: str, before: PurchaseRecord, after: PurchaseRecord) -> Verdict:
    """Return what must become of a record in which this field was changed."""
    mac2_hit = name in IN_MAC2
    if name == "terminal_seq" and (before.terminal_seq ^ after.terminal_seq) & 0xFFFF == 0:
        mac2_hit = False  # the session key takes the low half
    if mac2_hit and name in IN_TAC:
        return Verdict.BOTH_WRONG
    return Verdict.MAC2_WRONG if mac2_hit else Verdict.TAC_WRONG


@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_worked_examples_record_is_genuine_both_ways(algorithm: Algorithm) -> None:
    record = WORKED_BY[algorithm]
    verify_record(record, CARD[algorithm], CARD[algorithm])
    assert verify_records([record], ISSUER) == [Verdict.GENUINE]


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_changed_field_is_found_and_named_by_what_covers_it(algorithm: Algorithm) -> None:
    record = WORKED_BY[algorithm]
    for name, changed in one_thing_changed(record).items():
        expected = [expected_verdict(name, record, each) for each in changed]
        assert verify_records(changed, ISSUER) == expected, name


@pytest.mark.parametrize("algorithm", Algorithm)
def test_one_by_one_a_changed_field_is_found_too(algorithm: Algorithm) -> None:
    key = CARD[algorithm]
    for name, changed in one_thing_changed(WORKED_BY[algorithm]).items():
        for each in changed if name != "asn" else ():  # the keys are given: the number decides nothing here
            with pytest.raises(MacWrong, match="of a purchase record is wrong"):
                verify_record(each, key, key)


def _mixed_heap(
    chance: random.Random, count: int
) -> tuple[list[PurchaseRecord], list[Verdict], dict[tuple[int, Algorithm], IssuerKeys]]:
    issuer = {
        (version, algorithm): IssuerKeys(chance.randbytes(16), chance.randbytes(16))
        for version in (1, 2)
        for algorithm in Algorithm
    }
    records: list[PurchaseRecord] = []
    verdicts: list[Verdict] = []
    for _ in range(count):
        algorithm = chance.choice(list(Algorithm))
        record = PurchaseRecord(
            asn=bytes(4) + chance.randbytes(6),
            transaction_type=chance.choice([4, 5, 6, 9]),
            amount_fen=chance.randrange(2**32),
            offline_seq=chance.randrange(2**16),
            card_random=chance.randbytes(4),
            key_version=chance.choice([1, 2]),
            algorithm_byte=chance.choice([0, 1]) if algorithm is Algorithm.TDES else 4,
            terminal_id=chance.randbytes(6),
            terminal_seq=chance.randrange(2**32),
            made_at=chance.randbytes(7),
            mac2=b"",
            tac=b"",
        )
        keys = issuer[record.key_version, algorithm]
        factor = record.asn[2:]
        good = signed(
            record, diversify(algorithm, keys.purchase, factor), diversify(algorithm, keys.tac, factor)
        )
        verdict = chance.choice(list(Verdict))
        match verdict:
            case Verdict.KEY_UNKNOWN:
                good = (
                    good._replace(key_version=3) if chance.random() < 0.5 else good._replace(algorithm_byte=2)
                )
            case Verdict.MAC2_WRONG | Verdict.BOTH_WRONG:
                good = good._replace(mac2=bytes(byte ^ 1 for byte in good.mac2))
        if verdict in {Verdict.TAC_WRONG, Verdict.BOTH_WRONG}:
            good = good._replace(tac=bytes(byte ^ 0x80 for byte in good.tac))
        records.append(good)
        verdicts.append(verdict)
    return records, verdicts, issuer


def test_in_a_mixed_heap_each_record_gets_its_own_verdict(seed: int) -> None:
    chance = random.Random(seed)
    records, verdicts, issuer = _mixed_heap(chance, 600)
    assert verify_records(records, issuer) == verdicts


def test_more_records_than_one_batch_keep_their_order() -> None:
    count = BATCH_RECORDS + 3
    wrong = {0, BATCH_RECORDS - 1, BATCH_RECORDS, count - 1}
    records = [
        WORKED._replace(tac=bytes(4)) if place in wrong else WORKED_BY[Algorithm(place % 2 * 4)]
        for place in range(count)
    ]
    verdicts = verify_records(records, ISSUER)
    assert {place for place, verdict in enumerate(verdicts) if verdict is Verdict.TAC_WRONG} == wrong
    assert verdicts.count(Verdict.GENUINE) == count - len(wrong)


def test_two_cards_proofs_cannot_be_swapped() -> None:
    keys = ISSUER[1, Algorithm.TDES]
    cards = [WORKED._replace(asn=bytes(9) + bytes([number])) for number in (1, 2)]
    good = [
        signed(
            card,
            diversify(Algorithm.TDES, keys.purchase, card.asn[2:]),
            diversify(Algorithm.TDES, keys.tac, card.asn[2:]),
        )
        for card in cards
    ]
    swapped = [good[0]._replace(asn=good[1].asn), good[1]._replace(tac=good[0].tac)]
    assert verify_records(good, ISSUER) == [Verdict.GENUINE] * 2
    assert verify_records(swapped, ISSUER) == [Verdict.BOTH_WRONG, Verdict.TAC_WRONG]


def test_no_records_need_no_keys() -> None:
    assert verify_records([], {}) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"terminal_id": bytes(7), "made_at": bytes(6)},
        {"asn": bytes(8)},
        {"mac2": bytes(3)},
        {"tac": bytes(8)},
        {"amount_fen": 2**32},
        {"amount_fen": -1},
        {"offline_seq": 2**16},
        {"terminal_seq": 2**32},
        {"transaction_type": 256},
    ],
)
def test_a_record_that_is_none_is_told_by_its_place(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="record 1"):
        verify_records([WORKED, WORKED._replace(**changes)], ISSUER)


def test_an_unknown_algorithm_is_no_forgery() -> None:
    record = WORKED._replace(algorithm_byte=0x10)
    assert verify_records([record], ISSUER) == [Verdict.KEY_UNKNOWN]
    with pytest.raises(AlgorithmUnknown):
        verify_record(record, CARD[Algorithm.TDES], CARD[Algorithm.TDES])


def test_issuer_keys_are_not_shown() -> None:
    assert repr(ISSUER[1, Algorithm.SM4]) == "IssuerKeys()"
