"""What every MAC and TAC covers: the message before padding, from plain fields.

Feed a message to `session_mac` or `tac` of campus_node/purse/algorithm.py, or to a key store, which does
the same inside. Amounts, balances and limits are fen; `made_at` is 7 bytes BCD YYYYMMDDhhmmss;
`terminal_id` is 6 bytes; integers are big-endian. Every function raises ValueError for a wrong length and
OverflowError for a number that does not fit.

Source: PBOC 2.0 e-purse. Vectors: tests/vectors/purse.toml.
"""

from campus_node.purse.commands import TransactionType

UNLOAD = TransactionType.UNLOAD
OVERDRAFT = TransactionType.OVERDRAFT


def purchase_seed(card_random: bytes, offline_seq: int, terminal_seq: int) -> bytes:
    """Return what the session key of a purchase, CAPP purchase or cash withdrawal is made from, 8 bytes.

    Args:
        card_random: 4 bytes.
        offline_seq: the card's counter as INIT answered it, 2 bytes.
        terminal_seq: the terminal's counter, 4 bytes, of which the low 2 count.
    """
    return _exact(card_random, 4) + offline_seq.to_bytes(2, "big") + terminal_seq.to_bytes(4, "big")[2:]


def online_seed(card_random: bytes, online_seq: int) -> bytes:
    """Return what the session key of a load, an unload or an overdraft update is made from, 8 bytes.

    Args:
        card_random: 4 bytes.
        online_seq: the card's counter as INIT answered it, 2 bytes.
    """
    return _exact(card_random, 4) + online_seq.to_bytes(2, "big") + b"\x80\x00"


def purchase_mac1(amount_fen: int, transaction_type: int, terminal_id: bytes, made_at: bytes) -> bytes:
    """Return what MAC1 of a purchase covers, 18 bytes: the PSAM proves itself to the card."""
    return _order(amount_fen, transaction_type, terminal_id) + _exact(made_at, 7)


def purchase_mac2(amount_fen: int) -> bytes:
    """Return what MAC2 of a purchase covers, 4 bytes: the card proves to the PSAM that it paid."""
    return _four(amount_fen)


def purchase_tac(
    amount_fen: int, transaction_type: int, terminal_id: bytes, terminal_seq: int, made_at: bytes
) -> bytes:
    """Return what the TAC of a purchase covers, 22 bytes: neither a balance nor the card's counter."""
    ordered = _order(amount_fen, transaction_type, terminal_id)
    return ordered + terminal_seq.to_bytes(4, "big") + _exact(made_at, 7)


def load_mac1(balance_fen: int, amount_fen: int, transaction_type: int, terminal_id: bytes) -> bytes:
    """Return what MAC1 of a load covers, 15 bytes: the card proves its balance to the issuer."""
    return _four(balance_fen) + _order(amount_fen, transaction_type, terminal_id)


def load_mac2(amount_fen: int, transaction_type: int, terminal_id: bytes, made_at: bytes) -> bytes:
    """Return what MAC2 of a load covers, 18 bytes: the issuer allows the card to raise its balance."""
    return _order(amount_fen, transaction_type, terminal_id) + _exact(made_at, 7)


def load_tac(
    new_balance_fen: int,
    online_seq: int,
    amount_fen: int,
    transaction_type: int,
    terminal_id: bytes,
    made_at: bytes,
) -> bytes:
    """Return what the TAC of a load covers, 24 bytes; the counter is the one before it went up."""
    done = _four(new_balance_fen) + online_seq.to_bytes(2, "big")
    return done + _order(amount_fen, transaction_type, terminal_id) + _exact(made_at, 7)


def unload_mac1(balance_fen: int, amount_fen: int, terminal_id: bytes) -> bytes:
    """Return what MAC1 of an unload covers, 15 bytes."""
    return load_mac1(balance_fen, amount_fen, UNLOAD, terminal_id)


def unload_mac2(amount_fen: int, terminal_id: bytes, made_at: bytes) -> bytes:
    """Return what MAC2 of an unload covers, 18 bytes."""
    return load_mac2(amount_fen, UNLOAD, terminal_id, made_at)


def unload_mac3(
    new_balance_fen: int, online_seq: int, amount_fen: int, terminal_id: bytes, made_at: bytes
) -> bytes:
    """Return what MAC3 covers, 24 bytes: the card proves the unload; the counter is the one before."""
    return load_tac(new_balance_fen, online_seq, amount_fen, UNLOAD, terminal_id, made_at)


def overdraft_mac1(balance_fen: int, old_limit_fen: int, terminal_id: bytes) -> bytes:
    """Return what MAC1 of an overdraft update covers, 14 bytes."""
    return _four(balance_fen) + _limit(old_limit_fen, terminal_id)


def overdraft_mac2(new_limit_fen: int, terminal_id: bytes, made_at: bytes) -> bytes:
    """Return what MAC2 of an overdraft update covers, 17 bytes."""
    return _limit(new_limit_fen, terminal_id) + _exact(made_at, 7)


def overdraft_tac(
    new_balance_fen: int, online_seq: int, new_limit_fen: int, terminal_id: bytes, made_at: bytes
) -> bytes:
    """Return what the TAC of an overdraft update covers, 23 bytes.

    The new balance is the old one + the new limit - the old limit; the counter is the one before it went
    up. The TAC key is the one of a load: **unverified**, one card manual says that the key is used whole
    instead.
    """
    done = _four(new_balance_fen) + online_seq.to_bytes(2, "big")
    return done + _limit(new_limit_fen, terminal_id) + _exact(made_at, 7)


def _order(amount_fen: int, transaction_type: int, terminal_id: bytes) -> bytes:
    return _four(amount_fen) + transaction_type.to_bytes(1, "big") + _exact(terminal_id, 6)


def _limit(limit_fen: int, terminal_id: bytes) -> bytes:
    return limit_fen.to_bytes(3, "big") + OVERDRAFT.to_bytes(1, "big") + _exact(terminal_id, 6)


def _four(fen: int) -> bytes:
    return fen.to_bytes(4, "big")


def _exact(field: bytes, length: int) -> bytes:
    if len(field) != length:
        raise ValueError(f"a field of {length} bytes has {len(field)}")
    return field
