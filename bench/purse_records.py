"""Purchase records of many cards, each with keys of its own, and how fast their issuer checks them."""

import random
import time
from importlib.resources import files
from pathlib import Path
from typing import Final

from bench.harness import BenchBroken
from campus_node.keys.hierarchy import Usage, card_factor, derive
from campus_node.purse import mac
from campus_node.purse.algorithm import Algorithm, session_key, session_mac, tac
from campus_node.purse.commands import TransactionType
from campus_node.purse.profile import read_card_profile
from campus_node.purse.verification import IssuerKeys, PurchaseRecord, Verdict, verify_records

FORGED_EVERY: Final = 997  # a check that finds nothing would be fast
_ISSUER: Final = IssuerKeys(bytes.fromhex("00112233445566778899AABBCCDDEEFF"), bytes(range(16)))
_VERSION: Final = 1


def check_rates(count: int) -> dict[Algorithm, float]:
    """Check so many records of each algorithm in this thread; return records a second.

    Raises:
        BenchBroken: a genuine record was refused, or a forged one was not.
    """
    rates = {}
    for algorithm in Algorithm:
        records = make_records(algorithm, count)
        keys = {(_VERSION, algorithm): _ISSUER}
        began_s = time.perf_counter()
        verdicts = verify_records(records, keys)
        took_s = time.perf_counter() - began_s
        for place, verdict in enumerate(verdicts):
            if (verdict is Verdict.GENUINE) is (place % FORGED_EVERY == 0):
                raise BenchBroken(f"record {place} under {algorithm.name} is said to be {verdict.value}")
        rates[algorithm] = count / took_s
    return rates


def card_keys(profile: str) -> tuple[bytes, bytes]:
    """Return the purchase key and the TAC key of a shipped card profile, 16 bytes each, as in the card."""
    read = read_card_profile(
        Path(str(files("hil_rig") / "profiles" / f"{profile}.toml")), allow_test_keys=True
    )
    found = [read.key(usage).value for usage in (Usage.PURCHASE, Usage.TAC)]
    if None in found:
        raise BenchBroken(f"{profile} does not hold its keys")
    return found[0] or b"", found[1] or b""


def make_records(algorithm: Algorithm, count: int, seed: int = 20260901) -> list[PurchaseRecord]:
    """Return records of as many cards; every FORGED_EVERY-th has a TAC or a MAC2 that is wrong by one bit."""
    draw = random.Random(seed)  # figures, not secrets
    return [_record(algorithm, place, draw) for place in range(count)]


def _record(algorithm: Algorithm, place: int, draw: random.Random) -> PurchaseRecord:
    asn = bytes.fromhex(f"00000001{place:012d}")
    purchase_key = derive(algorithm, _ISSUER.purchase, card_factor(asn))
    tac_key = derive(algorithm, _ISSUER.tac, card_factor(asn))
    amount_fen, offline_seq, terminal_seq = draw.randrange(1, 5000), draw.randrange(0xFFFF), place + 1
    card_random, terminal_id = draw.randbytes(4), bytes.fromhex("112233445566")
    made_at = bytes.fromhex(f"202609{1 + place % 30:02d}{place % 24:02d}{place % 60:02d}00")
    kind = TransactionType.EP_PURCHASE
    session = session_key(algorithm, purchase_key, mac.purchase_seed(card_random, offline_seq, terminal_seq))
    mac2 = session_mac(algorithm, session, mac.purchase_mac2(amount_fen))
    proof = tac(algorithm, tac_key, mac.purchase_tac(amount_fen, kind, terminal_id, terminal_seq, made_at))
    if place % FORGED_EVERY == 0:
        if place % 2:
            mac2 = bytes([mac2[0] ^ 1]) + mac2[1:]
        else:
            proof = proof[:3] + bytes([proof[3] ^ 0x80])
    return PurchaseRecord(
        asn, kind, amount_fen, offline_seq, card_random, _VERSION, algorithm, terminal_id, terminal_seq,
        made_at, mac2, proof,
    )  # fmt: skip
