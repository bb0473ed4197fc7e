"""Records as a terminal writes them, 105 bytes, with contents that nobody else has."""

import random

from campus_node.purse.commands import Purse, TransactionType
from campus_node.purse.journal_entries import Movement, Reason, State, encode


def random_record(luck: random.Random, terminal_id: bytes, terminal_seq: int, at_unix_ms: int) -> bytes:
    """Return the record of a purchase that no card made: its proofs are random.

    Args:
        luck: contents; with 12 random bytes of proofs no two records are the same.
        terminal_id: 6 bytes.
        terminal_seq: 1 to 2**32 - 1.
    """
    balance_fen = luck.randint(10_000, 100_000)
    amount_fen = luck.randint(100, 3_000)
    return encode(
        Movement(
            state=State.DONE,
            reason=Reason.NONE,
            transaction_type=TransactionType.EP_PURCHASE,
            purse=Purse.EP,
            asn=bytes.fromhex(f"00000001{luck.randrange(10**12):012d}"),
            issuer=bytes.fromhex("4355434100000001"),
            amount_fen=amount_fen,
            balance_before_fen=balance_fen,
            balance_after_fen=balance_fen - amount_fen,
            card_seq=luck.randint(1, 60_000),
            card_random=luck.randbytes(4),
            key_version=1,
            algorithm_byte=0,
            terminal_id=terminal_id,
            terminal_seq=terminal_seq,
            made_at=bytes.fromhex("20260901120000"),
            mac1=luck.randbytes(4),
            mac2=luck.randbytes(4),
            tac=luck.randbytes(4),
            checked=True,
            recorded_at_unix_ms=at_unix_ms,
        )
    )
