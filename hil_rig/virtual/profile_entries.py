"""What one card or one PSAM is made from: the profile of docs/card-profile.md."""

from dataclasses import dataclass, field
from enum import IntEnum


class Usage(IntEnum):
    """What a key is for; the number is the type in a usage byte (see docs/cos.md)."""

    MAINTENANCE = 0x01
    PURCHASE = 0x02
    LOAD = 0x03
    UNLOAD = 0x04
    OVERDRAFT = 0x05
    TAC = 0x06
    PIN_UNBLOCK = 0x07
    PIN_RELOAD = 0x08
    EXTERNAL_AUTH = 0x09
    INTERNAL_AUTH = 0x0A
    PIN = 0x0B  # not a key; written in the same way


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One key as it stands in the card or PSAM.

    Args:
        type: low five bits of its usage byte: a `Usage` in a card; 01, 02 or its own number in a PSAM.
        levels: 0 to 3; how many factors still have to be applied to it.
        index: what a command calls it, 0 to 255.
        version: 0 to 255.
        algorithm: 00 = 3DES, 04 = SM4.
        value: 16 bytes.
    """

    type: int
    levels: int
    index: int
    version: int
    algorithm: int
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PurseEntry:
    """One purse: the holder's own money at first, the most it may hold, and how far it may be overdrawn."""

    balance_fen: int
    balance_max_fen: int
    overdraft_fen: int


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A file of variable records, each the bytes id1 ‖ len1 ‖ lock1 ‖ rest."""

    fid: int
    sfi: int
    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BinaryFile:
    """A transparent file; `read` and `write` are the bytes of its access conditions."""

    fid: int
    sfi: int
    content: bytes
    read: int
    write: int


@dataclass(frozen=True, slots=True)
class Flags:
    """How this card behaves where products differ; the defaults are those of docs/card-profile.md."""

    pin_before_ed: bool = True
    pin_before_ep_load: bool = True
    log_seq_after: bool = True
    blocked_select_sw: int = 0x6A81
    proof_mac_for_load: bool = True
    algorithm_byte_3des: int = 0x00
    get_response: bool = False


@dataclass(frozen=True, slots=True)
class CardProfile:
    """One card. A blank one has an ATR and keys of the MF, and nothing else.

    Args:
        public_file: file 0015, 30 bytes.
        holder_file: file 0016, 39 bytes.
        pin: 2 to 6 bytes.
    """

    name: str
    test_keys: bool
    blank: bool
    atr: bytes
    mf_keys: tuple[KeyEntry, ...]
    aid: bytes = b""
    issuer: bytes = b""
    asn: bytes = b""
    pin: bytes = field(default=b"", repr=False)
    pin_tries: int = 3
    public_file: bytes = b""
    holder_file: bytes = b""
    ep: PurseEntry | None = None
    ed: PurseEntry | None = None
    record_files: tuple[RecordFile, ...] = ()
    binary_files: tuple[BinaryFile, ...] = ()
    keys: tuple[KeyEntry, ...] = ()
    flags: Flags = field(default_factory=Flags)


@dataclass(frozen=True, slots=True)
class SamApplication:
    """What a PSAM holds for one issuer: its id, 8 bytes, and the keys."""

    name: bytes
    keys: tuple[KeyEntry, ...]


@dataclass(frozen=True, slots=True)
class PsamProfile:
    """One PSAM. A blank one has an ATR and keys of the MF, and nothing else.

    Args:
        serial_file: file 0015, 14 bytes.
        terminal_id: file 0016, 6 bytes.
        terminal_seq: of the last purchase; the next one is one more.
        card_factor_first: how INIT_SAM lists the factors.
        mac2_tries: wrong MAC2 in all before the application blocks, 1 to 65535.
    """

    name: str
    test_keys: bool
    blank: bool
    atr: bytes
    keys: tuple[KeyEntry, ...]
    serial_file: bytes = bytes(14)
    terminal_id: bytes = bytes(6)
    terminal_seq: int = 0
    card_factor_first: bool = True
    mac2_tries: int = 100
    applications: tuple[SamApplication, ...] = ()
