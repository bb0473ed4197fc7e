"""The words of the intake: a record as a gateway hands it over, and what becomes of it. Pure."""

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

RECORDS_MAX: Final = 256  # in one message
BODY_BYTES_MAX: Final = 486
SEQ_MAX: Final = (1 << 63) - 1
SPOOL_ID_BYTES: Final = 16


class Outcome(IntEnum):
    """What became of a record; numbers as on the wire. A pending one is decided later, the others stay."""

    ACCEPTED = 1  # in the books
    PENDING = 2  # kept; a later step verifies and posts it
    CONFLICT = 4  # another content holds this number; held, never posted
    QUARANTINED = 5  # kept apart, with an alarm
    REFUSED = 6  # MAC2 or TAC is wrong


class Quarantine(StrEnum):
    """Why a record is kept apart."""

    UNKNOWN_TERMINAL = "unknown_terminal"
    RETIRED_TERMINAL = "retired_terminal"
    REVOKED_TERMINAL = "revoked_terminal"
    UNREADABLE = "unreadable"  # the write was torn: there is nothing to be read


class Spooled(NamedTuple):
    """One record as it stands in a gateway's spool.

    Args:
        position: its place in the spool, from 1.
        terminal_id: whose session brought it; 6 bytes.
        journal_id: 16 bytes.
        seq: its number in that journal, from 1.
        body: 0 to 486 bytes.
        taken_at_unix_ms: by the gateway's clock.
        recollected: it was asked for once more.
    """

    position: int
    terminal_id: bytes
    journal_id: bytes
    seq: int
    body: bytes
    taken_at_unix_ms: int
    recollected: bool = False


class Marks(NamedTuple):
    """How far a spool has come at the node; covered is never above committed."""

    committed_through: int
    covered_through: int


class Missing(NamedTuple):
    """Numbers of one journal that are missing between others that are here: both ends included."""

    terminal_id: bytes
    journal_id: bytes
    gateway: str  # that brought the journal last
    first_seq: int
    through_seq: int
    since_unix_ms: int
