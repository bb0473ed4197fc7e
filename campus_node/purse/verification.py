"""The issuer's check of purchase records: MAC2 and TAC, each with the keys of its own card.

MAC2 covers amount, counters and card random, the TAC covers amount, terminal and time: only both together
prove a record. Nothing here asks a clock, a file or a card; `verify_records` is the fast way for thousands
of records.
"""

import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from struct import Struct
from typing import Final, NamedTuple

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from campus_node.purse import mac
from campus_node.purse.algorithm import Algorithm, encrypt, session_key, session_mac, tac, verify_mac
from campus_node.purse.errors import AlgorithmUnknown
from campus_node.wording import Sentence

BATCH_RECORDS: Final = 4096  # records whose keys are diversified in one call: 64 kB of keys a call


class PurchaseRecord(NamedTuple):
    """What a terminal stored of a purchase, a CAPP purchase or a cash withdrawal.

    Args:
        asn: 10 bytes; the last 8 diversify the card's keys.
        transaction_type: 4, 5, 6 or 9.
        amount_fen: 0 to FFFFFFFF.
        offline_seq: the card's counter before the purchase, as INIT answered it.
        card_random: 4 bytes.
        key_version, algorithm_byte: as INIT answered them.
        terminal_id: 6 bytes.
        terminal_seq: 4 bytes.
        made_at: 7 bytes BCD YYYYMMDDhhmmss.
        mac2, tac: 4 bytes each.
    """

    asn: bytes
    transaction_type: int
    amount_fen: int
    offline_seq: int
    card_random: bytes
    key_version: int
    algorithm_byte: int
    terminal_id: bytes
    terminal_seq: int
    made_at: bytes
    mac2: bytes
    tac: bytes


@dataclass(frozen=True, slots=True)
class IssuerKeys:
    """Campus-level keys of one version and algorithm, 16 bytes each; not shown."""

    purchase: bytes = field(repr=False)
    tac: bytes = field(repr=False)


class Verdict(Enum):
    """What became of one record."""

    GENUINE = "genuine"
    MAC2_WRONG = "mac2_wrong"
    TAC_WRONG = "tac_wrong"
    BOTH_WRONG = "both_wrong"
    KEY_UNKNOWN = "key_unknown"  # no issuer key of this version and algorithm


def verify_record(record: PurchaseRecord, purchase_key: bytes, tac_key: bytes) -> None:
    """Check one record with the card's own keys.

    Args:
        purchase_key, tac_key: 16 bytes each, as they are in the card.

    Raises:
        MacWrong: MAC2 or TAC does not follow from the record.
        AlgorithmUnknown: the record's algorithm byte is none of ours.
        ValueError, OverflowError: a field does not fit.
    """
    algorithm = Algorithm.from_byte(record.algorithm_byte)
    seed = mac.purchase_seed(record.card_random, record.offline_seq, record.terminal_seq)
    session = session_key(algorithm, purchase_key, seed)
    made = session_mac(algorithm, session, mac.purchase_mac2(record.amount_fen))
    verify_mac(made, record.mac2, Sentence("MAC2 of a purchase record"))
    covered = mac.purchase_tac(
        record.amount_fen, record.transaction_type, record.terminal_id, record.terminal_seq, record.made_at
    )
    verify_mac(tac(algorithm, tac_key, covered), record.tac, Sentence("TAC of a purchase record"))


def verify_records(
    records: Sequence[PurchaseRecord], keys: Mapping[tuple[int, Algorithm], IssuerKeys]
) -> list[Verdict]:
    """Check many records, each with its own card's keys.

    Args:
        keys: the issuer's campus-level keys by version and algorithm.

    Returns:
        One verdict for each record, in their order.

    Raises:
        ValueError: a record's field has the wrong length or does not fit; nothing is said about any record
        then.
    """
    verdicts = [Verdict.KEY_UNKNOWN] * len(records)
    for (version, algorithm), places in _by_key(records).items():
        issuer_keys = keys.get((version, algorithm))
        if issuer_keys is None:
            continue
        for start in range(0, len(places), BATCH_RECORDS):
            batch = places[start : start + BATCH_RECORDS]
            chosen = [records[place] for place in batch]
            purchase_keys = _card_keys(algorithm, chosen, issuer_keys.purchase)
            tac_keys = _card_keys(algorithm, chosen, issuer_keys.tac)
            found = _BATCH[algorithm](chosen, purchase_keys, tac_keys)
            for place, verdict in zip(batch, found, strict=True):
                verdicts[place] = verdict
    return verdicts


def verify_with_card_keys(
    algorithm: Algorithm,
    records: Sequence[PurchaseRecord],
    purchase_keys: Sequence[bytes],
    tac_keys: Sequence[bytes],
) -> list[Verdict]:
    """Check records of one algorithm with the keys of their cards, as a token gives them out.

    Args:
        records: their fields have been checked: see `keys_of`.
        purchase_keys, tac_keys: 16 bytes each, one for each record.
    """
    return list(_BATCH[algorithm](records, purchase_keys, tac_keys))


def keys_of(records: Sequence[PurchaseRecord]) -> dict[tuple[int, Algorithm], list[int]]:
    """Return the places of the records by the version and algorithm of their keys.

    A record whose algorithm is unknown has no place.

    Raises:
        ValueError: a record's field has the wrong length or does not fit.
    """
    return _by_key(records)


def _by_key(records: Sequence[PurchaseRecord]) -> dict[tuple[int, Algorithm], list[int]]:
    places: dict[tuple[int, Algorithm], list[int]] = {}
    for place, record in enumerate(records):
        lengths = (
            len(record.asn),
            len(record.card_random),
            len(record.terminal_id),
            len(record.made_at),
            len(record.mac2),
            len(record.tac),
        )
        if lengths != _FIELD_LENGTHS:
            raise ValueError(f"record {place}: lengths are {lengths}, must be {_FIELD_LENGTHS}")
        if record.amount_fen >> 32 | record.terminal_seq >> 32 | record.offline_seq >> 16:
            raise ValueError(f"record {place}: a number does not fit")
        if not 0 <= record.transaction_type <= 0xFF:
            raise ValueError(f"record {place}: type {record.transaction_type} is no byte")
        try:
            algorithm = Algorithm.from_byte(record.algorithm_byte)
        except AlgorithmUnknown:
            continue
        places.setdefault((record.key_version, algorithm), []).append(place)
    return places


# The same messages as in mac.py, laid out and padded in one step; tests hold the two together.
_FIELD_LENGTHS: Final = (10, 4, 6, 7, 4, 4)
_SEED: Final = Struct(">4sHH")
_AMOUNT: Final = Struct(">IB")
_TAC_MESSAGE: Final = Struct(">IB6sI7sB")
_ECB: Final = modes.ECB()  # noqa: S305  # single blocks, and keys that differ in every block
_CBC_8: Final = modes.CBC(bytes(8))
_CBC_16: Final = modes.CBC(bytes(16))


def _verify_tdes(
    records: Sequence[PurchaseRecord], purchase_keys: Sequence[bytes], tac_keys: Sequence[bytes]
) -> Iterator[Verdict]:
    tac_key_numbers = [int.from_bytes(k[:8], "big") ^ int.from_bytes(k[8:], "big") for k in tac_keys]
    for record, purchase_key, tac_number in zip(records, purchase_keys, tac_key_numbers, strict=True):
        seed = _SEED.pack(record.card_random, record.offline_seq, record.terminal_seq & 0xFFFF)
        session = Cipher(TripleDES(purchase_key + purchase_key[:8]), _ECB).encryptor().update(seed)
        amount = _AMOUNT.pack(record.amount_fen, 0x80) + b"\0\0\0"
        mac2 = Cipher(TripleDES(session * 3), _ECB).encryptor().update(amount)  # one block: CBC from 0 is ECB
        last = Cipher(TripleDES(tac_number.to_bytes(8, "big") * 3), _CBC_8).encryptor()
        tac_blocks = last.update(_tac_message(record) + b"\0")
        yield _verdict(record, mac2[:4], tac_blocks[16:20])


def _verify_sm4(
    records: Sequence[PurchaseRecord], purchase_keys: Sequence[bytes], tac_keys: Sequence[bytes]
) -> Iterator[Verdict]:
    for record, purchase_key, tac_key in zip(records, purchase_keys, tac_keys, strict=True):
        seed = _SEED.pack(record.card_random, record.offline_seq, record.terminal_seq & 0xFFFF)
        session = Cipher(SM4(purchase_key), _ECB).encryptor().update(seed + _complements(seed))
        amount = _AMOUNT.pack(record.amount_fen, 0x80) + bytes(11)
        mac2 = Cipher(SM4(session), _ECB).encryptor().update(amount)  # one block: CBC from 0 is ECB
        tac_blocks = Cipher(SM4(tac_key), _CBC_16).encryptor().update(_tac_message(record) + bytes(9))
        yield _verdict(record, mac2[:4], tac_blocks[16:20])


_Check = Callable[[Sequence[PurchaseRecord], Sequence[bytes], Sequence[bytes]], Iterator[Verdict]]
_BATCH: Final[Mapping[Algorithm, _Check]] = {
    Algorithm.TDES: _verify_tdes,
    Algorithm.SM4: _verify_sm4,
}


def _card_keys(algorithm: Algorithm, records: Sequence[PurchaseRecord], issuer_key: bytes) -> list[bytes]:
    """Return each record's card key: all diversified under one key in one call."""
    factors = b"".join([record.asn[2:] for record in records])
    turned = _complements(factors)
    both = b"".join([factors[at : at + 8] + turned[at : at + 8] for at in range(0, len(factors), 8)])
    made = encrypt(algorithm, issuer_key, both)
    return [made[at : at + 16] for at in range(0, len(made), 16)]


def _complements(blocks: bytes) -> bytes:
    """Return the bytes with every bit turned, however many they are."""
    ones = (1 << 8 * len(blocks)) - 1
    return (int.from_bytes(blocks, "big") ^ ones).to_bytes(len(blocks), "big")


def _tac_message(record: PurchaseRecord) -> bytes:
    return _TAC_MESSAGE.pack(
        record.amount_fen,
        record.transaction_type,
        record.terminal_id,
        record.terminal_seq,
        record.made_at,
        0x80,
    )


def _verdict(record: PurchaseRecord, mac2: bytes, tac: bytes) -> Verdict:
    mac2_good = hmac.compare_digest(mac2, record.mac2)
    tac_good = hmac.compare_digest(tac, record.tac)
    if mac2_good and tac_good:
        return Verdict.GENUINE
    if mac2_good:
        return Verdict.TAC_WRONG
    return Verdict.MAC2_WRONG if tac_good else Verdict.BOTH_WRONG
