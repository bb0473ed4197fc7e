"""Every command of the purse card, byte for byte; their answers are in campus_node/purse/answers.py.

Amounts and limits are fen. `made_at` is 7 bytes BCD YYYYMMDDhhmmss, `terminal_id` 6 bytes, a key index one
byte. Builders raise ValueError for a wrong length and OverflowError for a number that does not fit.
Commands that carry a MAC of secure messaging are in campus_node/purse/secure_messaging.py.

Source: PBOC 2.0 e-purse; every row is asserted as literal bytes in tests/purse/test_tables.py.
"""

from enum import IntEnum

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
from campus_node.purse.apdu import Command
from campus_node.purse.instructions import Ins

__all__ = [
    "Debited",
    "LoadInit",
    "OverdraftInit",
    "Proof",
    "PurchaseInit",
    "Purse",
    "TransactionType",
    "append_record",
    "change_pin",
    "credit_for_load",
    "debit",
    "debit_for_unload",
    "external_authenticate",
    "get_balance",
    "get_challenge",
    "init_for_capp",
    "init_for_cash",
    "init_for_load",
    "init_for_overdraft",
    "init_for_purchase",
    "init_for_unload",
    "internal_authenticate",
    "parse_balance",
    "parse_mac3",
    "parse_tac",
    "read_binary",
    "read_record",
    "reload_pin",
    "select_file",
    "select_name",
    "transaction_prove",
    "update_binary",
    "update_capp_cache",
    "update_overdraft_limit",
    "update_record",
    "verify_pin",
]


class Purse(IntEnum):
    """Which purse of the card; P2 of its commands."""

    ED = 1  # electronic deposit (电子存折)
    EP = 2  # electronic purse (电子钱包)


class TransactionType(IntEnum):
    """The type byte in MACs, TACs and log records."""

    ED_LOAD = 0x01
    EP_LOAD = 0x02
    UNLOAD = 0x03
    CASH = 0x04
    ED_PURCHASE = 0x05
    EP_PURCHASE = 0x06
    OVERDRAFT = 0x07
    CAPP = 0x09

    @classmethod
    def load_of(cls, purse: Purse) -> "TransactionType":
        """Return the type of a load of this purse."""
        return cls.ED_LOAD if purse is Purse.ED else cls.EP_LOAD

    @classmethod
    def purchase_of(cls, purse: Purse) -> "TransactionType":
        """Return the type of a plain purchase from this purse."""
        return cls.ED_PURCHASE if purse is Purse.ED else cls.EP_PURCHASE


# Selecting and reading


def select_name(name: bytes) -> Command:
    """Select an application by its name, 5 to 16 bytes; answered with its FCI."""
    if not 5 <= len(name) <= 16:
        raise ValueError(f"the name has {len(name)} bytes, must be 5 to 16")
    return Command(0x00, Ins.SELECT, 0x04, 0x00, name)


def select_file(file_id: int) -> Command:
    """Select a file or an application by its id, 0 to FFFF; 3F00 is the master file."""
    return Command(0x00, Ins.SELECT, 0x00, 0x00, file_id.to_bytes(2, "big"))


def read_binary(sfi: int | None, offset: int, length: int) -> Command:
    """Read from a transparent file.

    Args:
        sfi: short file id, 1 to 30, with an offset up to 255; None = the selected file, offset up to 32,767.
        offset: in bytes.
        length: 1 to 256 bytes; 256 = as many as there are.
    """
    return Command(0x00, Ins.READ_BINARY, *binary_place(sfi, offset), le=length)


def update_binary(sfi: int | None, offset: int, content: bytes) -> Command:
    """Write into a transparent file; see read_binary."""
    return Command(0x00, Ins.UPDATE_BINARY, *binary_place(sfi, offset), _filled(content))


def read_record(sfi: int, number: int, length: int = 256) -> Command:
    """Read a record by its number, 1 to 255; in a cyclic file 1 is the newest.

    Args:
        length: 1 to 256 bytes; 256 = the whole record.
    """
    return Command(0x00, Ins.READ_RECORD, number, record_place(sfi), le=length)


def update_record(sfi: int, number: int, record: bytes) -> Command:
    """Write a record by its number, 1 to 255."""
    return Command(0x00, Ins.UPDATE_RECORD, number, record_place(sfi), _filled(record))


def append_record(sfi: int, record: bytes) -> Command:
    """Add a record; in a cyclic file the oldest one goes."""
    return Command(0x00, Ins.APPEND_RECORD, 0x00, _sfi(sfi) << 3, _filled(record))


# PIN and authentication


def get_challenge(length: int = 4) -> Command:
    """Ask for a random number of 4, 8 or 16 bytes; it is good for the next command only."""
    if length not in {4, 8, 16}:
        raise ValueError(f"a challenge of {length} bytes: must be 4, 8 or 16")
    return Command(0x00, Ins.GET_CHALLENGE, 0x00, 0x00, le=length)


def verify_pin(key_index: int, pin: bytes) -> Command:
    """Show the PIN, 2 to 6 bytes."""
    return Command(0x00, Ins.VERIFY, 0x00, key_index, _pin(pin))


def change_pin(key_index: int, old_pin: bytes, new_pin: bytes) -> Command:
    """Replace the PIN by one who knows it."""
    return Command(0x80, Ins.CHANGE_PIN, 0x01, key_index, _pin(old_pin) + b"\xff" + _pin(new_pin))


def reload_pin(key_index: int, new_pin: bytes, mac: bytes) -> Command:
    """Replace the PIN by the issuer; `mac` is 4 bytes of algorithm.pin_reload_mac."""
    return Command(0x80, Ins.CHANGE_PIN, 0x00, key_index, _pin(new_pin) + _exact(mac, 4))


def external_authenticate(key_index: int, cryptogram: bytes) -> Command:
    """Answer the card's challenge with 8 bytes of algorithm.authentication."""
    return Command(0x00, Ins.EXTERNAL_AUTHENTICATE, 0x00, key_index, _exact(cryptogram, 8))


def internal_authenticate(mode: int, key_index: int, blocks: bytes) -> Command:
    """Let the card encrypt (mode 0), decrypt (1) or MAC (2) what we send."""
    if mode not in {0, 1, 2}:
        raise ValueError(f"mode {mode}: must be 0 (encrypt), 1 (decrypt) or 2 (MAC)")
    return Command(0x00, Ins.INTERNAL_AUTHENTICATE, mode, key_index, _filled(blocks))


# Money


def get_balance(purse: Purse) -> Command:
    """Ask for a purse's balance; parse_balance reads the answer. That of the deposit needs the PIN."""
    return Command(0x80, Ins.GET_BALANCE, 0x00, purse, le=4)


def init_for_load(purse: Purse, key_index: int, amount_fen: int, terminal_id: bytes) -> Command:
    """Begin a load; answered with LoadInit."""
    return Command(0x80, Ins.INIT, 0x00, purse, _order(key_index, amount_fen, terminal_id), 16)


def credit_for_load(made_at: bytes, mac2: bytes) -> Command:
    """Commit a load with the issuer's MAC2 and the host's date and time; parse_tac reads the answer."""
    return Command(0x80, Ins.CREDIT_FOR_LOAD, 0x00, 0x00, _exact(made_at, 7) + _exact(mac2, 4), 4)


def init_for_purchase(purse: Purse, key_index: int, amount_fen: int, terminal_id: bytes) -> Command:
    """Begin a purchase; answered with PurchaseInit."""
    return Command(0x80, Ins.INIT, 0x01, purse, _order(key_index, amount_fen, terminal_id), 15)


def init_for_cash(key_index: int, amount_fen: int, terminal_id: bytes) -> Command:
    """Begin a cash withdrawal from the deposit; answered with PurchaseInit."""
    return Command(0x80, Ins.INIT, 0x02, Purse.ED, _order(key_index, amount_fen, terminal_id), 15)


def init_for_capp(purse: Purse, key_index: int, amount_fen: int, terminal_id: bytes) -> Command:
    """Begin a purchase that writes records with it (复合消费); answered with PurchaseInit."""
    return Command(0x80, Ins.INIT, 0x03, purse, _order(key_index, amount_fen, terminal_id), 15)


def update_capp_cache(sfi: int, record: bytes, *, record_id: int = 0, number: int = 0) -> Command:
    """Keep a record back in the card until the CAPP purchase commits; both are written at once.

    Args:
        sfi: short id of the record file, 1 to 30.
        record: the whole record, its id, length and lock byte included.
        record_id: which record, 1 to 255; or else
        number: its number, 1 to 255.
    """
    if bool(record_id) == bool(number):
        raise ValueError("either the record's id or its number names it")
    by_id = _sfi(sfi) << 3
    return Command(
        0x80, Ins.UPDATE_RECORD, record_id or number, by_id if record_id else by_id | 4, _filled(record)
    )


def debit(terminal_seq: int, made_at: bytes, mac1: bytes) -> Command:
    """Commit a purchase, a CAPP purchase or a cash withdrawal; answered with Debited."""
    order = terminal_seq.to_bytes(4, "big") + _exact(made_at, 7) + _exact(mac1, 4)
    return Command(0x80, Ins.DEBIT, 0x01, 0x00, order, 8)


def init_for_unload(key_index: int, amount_fen: int, terminal_id: bytes) -> Command:
    """Begin an unload of the deposit; answered with LoadInit."""
    return Command(0x80, Ins.INIT, 0x05, Purse.ED, _order(key_index, amount_fen, terminal_id), 16)


def debit_for_unload(made_at: bytes, mac2: bytes) -> Command:
    """Commit an unload; parse_mac3 reads the answer."""
    return Command(0x80, Ins.DEBIT, 0x03, 0x00, _exact(made_at, 7) + _exact(mac2, 4), 4)


def init_for_overdraft(key_index: int, terminal_id: bytes) -> Command:
    """Begin a change of the deposit's overdraft limit; answered with OverdraftInit."""
    return Command(0x80, Ins.INIT, 0x04, Purse.ED, key_index.to_bytes(1, "big") + _exact(terminal_id, 6), 19)


def update_overdraft_limit(new_limit_fen: int, made_at: bytes, mac2: bytes) -> Command:
    """Commit a change of the overdraft limit, 0 to FFFFFF fen; parse_tac reads the answer."""
    order = new_limit_fen.to_bytes(3, "big") + _exact(made_at, 7) + _exact(mac2, 4)
    return Command(0x80, Ins.UPDATE_OVERDRAFT, 0x00, 0x00, order, 4)


def transaction_prove(transaction_type: int, seq: int) -> Command:
    """Ask whether a transaction happened; answered with Proof, refused with 9406 if it did not.

    Args:
        transaction_type: of the last transaction.
        seq: the card's counter *after* that transaction: one more than its INIT answered.
    """
    return Command(0x80, Ins.TRANSACTION_PROVE, 0x00, transaction_type, seq.to_bytes(2, "big"), 8)


# Fields


def binary_place(sfi: int | None, offset: int) -> tuple[int, int]:
    """Return P1 and P2 of a place in a transparent file; see read_binary."""
    if sfi is not None:
        if not 0 <= offset <= 0xFF:
            raise ValueError(f"offset {offset} does not go with a short file id: 255 at most")
        return 0x80 | _sfi(sfi), offset
    if not 0 <= offset <= 0x7FFF:
        raise ValueError(f"offset {offset}: must be 0 to 32767")
    return offset >> 8, offset & 0xFF


def record_place(sfi: int) -> int:
    """Return P2 of a record that P1 names by number."""
    return _sfi(sfi) << 3 | 4


def _order(key_index: int, amount_fen: int, terminal_id: bytes) -> bytes:
    return key_index.to_bytes(1, "big") + amount_fen.to_bytes(4, "big") + _exact(terminal_id, 6)


def _sfi(sfi: int) -> int:
    if not 1 <= sfi <= 30:
        raise ValueError(f"short file id {sfi}: must be 1 to 30")
    return sfi


def _pin(pin: bytes) -> bytes:
    if not 2 <= len(pin) <= 6:
        raise ValueError(f"the PIN has {len(pin)} bytes, must be 2 to 6")
    return pin


def _filled(content: bytes) -> bytes:
    if not 1 <= len(content) <= 255:
        raise ValueError(f"{len(content)} bytes, must be 1 to 255")
    return content


def _exact(field: bytes, length: int) -> bytes:
    if len(field) != length:
        raise ValueError(f"a field of {length} bytes has {len(field)}")
    return field
