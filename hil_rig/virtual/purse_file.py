"""What a card stores of its money: purses, the transaction log, proofs of the last transactions."""

import struct
from typing import Final, NamedTuple

from hil_rig.virtual.file_system import Directory

ED_FID: Final = 0x0001
EP_FID: Final = 0x0002
LOG_FID: Final = 0x0018
LOG_RECORDS: Final = 10
LOG_RECORD_BYTES: Final = 23
COUNTER_MAX: Final = 0xFFFF

_PACKED: Final = struct.Struct(">IHHII")


class Purse(NamedTuple):
    """One purse.

    Args:
        balance_fen: what GET BALANCE tells; of an ED the overdraft limit is part of it.
        online_seq, offline_seq: of the next transaction, 0 to FFFF; at FFFF there is none.
        overdraft_fen: the limit, 0 to FFFFFF.
        balance_max_fen: what a load may not exceed.
    """

    balance_fen: int
    online_seq: int
    offline_seq: int
    overdraft_fen: int
    balance_max_fen: int

    def packed(self) -> bytes:
        """Return the purse as it is stored."""
        return _PACKED.pack(*self)

    @classmethod
    def unpacked(cls, content: bytes) -> "Purse":
        """Return the purse that was stored."""
        return cls(*_PACKED.unpack(content))


def purse_slot(directory: Directory, fid: int) -> str:
    """Return the slot of a purse; 1 = ED, 2 = EP, as in P2."""
    return f"{directory.number}/p/{fid}"


def proof_slot(directory: Directory, kind: int) -> str:
    """Return the slot of the proof of the last transaction of this type: counter2 ‖ MAC4 ‖ TAC4."""
    return f"{directory.number}/x/{kind:02X}"


def log_record(
    seq: int, overdraft_fen: int, amount_fen: int, kind: int, terminal_id: bytes, made_at: bytes
) -> bytes:
    """Return a record of file 0018, 23 bytes; made_at is date4 ‖ time3."""
    head = seq.to_bytes(2) + overdraft_fen.to_bytes(3) + amount_fen.to_bytes(4)
    return head + bytes([kind]) + terminal_id + made_at
