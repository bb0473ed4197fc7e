"""What a terminal writes down about money in a card: one record for each step, all an issuer needs to check
it later.

A movement (one purchase, one load…) is a chain of entries in the terminal's journal. Each entry is complete
in itself: the newest one says what is known, the earlier ones when it became known. docs/purse.md has the
table of bytes.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from campus_node.purse.commands import Purse, TransactionType
from campus_node.purse.verification import PurchaseRecord
from campus_node.wording import Sentence
from federation.errors import Unreadable

CARD_MOVEMENT: Final = 0x01  # the first byte says what kind of record it is; the journal has room for others
RECORD_BYTES: Final = 105
NO_TIME: Final = bytes(7)
_RECORD: Final = struct.Struct(">BBBBBB10s8sIIIIH4sBB6sI7s4s4s4s4sQQQ")
_AFTER_KNOWN: Final = 0x01
_MAC2_KNOWN: Final = 0x02
_TAC_KNOWN: Final = 0x04
_MAC3_KNOWN: Final = 0x08
_CHECKED: Final = 0x10
_BY_PROOF: Final = 0x20


class State(IntEnum):
    """How far a movement is. DONE and VOID are final; see NEXT for what may follow what."""

    ASKED = 1  # the issuer is asked to approve a load or unload: from here on money may move at the issuer
    SENT = 2  # the last command goes to the card: from here on money may move in the card
    DONE = 3  # the card did it, and the proof is here
    VOID = 4  # it did not happen
    GREY = 5  # nobody at this terminal knows


class Reason(IntEnum):
    """Why a movement is void or grey."""

    NONE = 0
    TORN = 1  # no answer came, and the card has not been asked since
    NOT_WRITTEN = 2  # the card has no proof, and its balance and counter are the old ones
    NEVER_WRITTEN = 3  # the issuer saw the proof that it was never written
    NOT_APPROVED = 4  # the issuer said no; nothing moved
    DISPUTED = 5  # the card's answers fit neither: its issuer decides
    MAC_WRONG = 6  # what proves it is not right: its issuer decides
    UNPROVED = 7  # the card says it happened, and nothing here can check that: its issuer decides
    CARD_REFUSES = 8  # the card does not answer what would decide it, for example without the PIN
    ISSUER_SILENT = 9  # only the issuer can decide, and it cannot be reached


NEXT: Final = {
    None: frozenset({State.ASKED, State.SENT}),
    State.ASKED: frozenset({State.SENT, State.DONE, State.VOID, State.GREY}),
    State.SENT: frozenset({State.DONE, State.VOID, State.GREY}),
    State.GREY: frozenset({State.GREY, State.DONE, State.VOID}),
    State.DONE: frozenset[State](),
    State.VOID: frozenset[State](),
}
_BEGINNINGS: Final = frozenset(map(int, NEXT[None]))
# After these the card, laid on the same terminal again, may still decide it.
AWAITS_CARD: Final = frozenset({Reason.TORN, Reason.CARD_REFUSES, Reason.ISSUER_SILENT})


@dataclass(frozen=True, slots=True)
class Movement:
    """A purchase, cash withdrawal, load or unload, as far as this terminal knows it.

    Args:
        state, reason: how far it is, and why if it is void or grey.
        transaction_type, purse: as in the card's commands.
        asn: 10 bytes BCD.
        issuer: 8 bytes, from the card's file 0015.
        amount_fen: 1 to 2**32 - 1.
        balance_before_fen: what the card said at INIT. A hint: it is under no MAC in a purchase.
        balance_after_fen: what the card said afterwards, or what follows from it; None = not known.
        overdraft_fen: the limit that the card said at INIT; 0 in loads.
        card_seq: the card's counter at INIT, before + 1: `offline_seq` of a purchase, `online_seq` of a load.
        card_random: 4 bytes.
        key_version, algorithm_byte: the card's answer to INIT.
        terminal_id: 6 bytes. terminal_seq: the PSAM's counter; 0 in loads.
        made_at: 7 bytes BCD YYYYMMDDhhmmss, as MAC and TAC cover it: a purchase's from the terminal, a
            load's from the issuer; zeros before the issuer has answered.
        mac1: 4 bytes: of a purchase made by the PSAM, of a load by the card.
        mac2: 4 bytes: of a purchase made by the card, of a load by the issuer; None = not known.
        tac: 4 bytes; None = not known. An unload has none.
        mac3: 4 bytes, the card's proof of an unload; None = not known.
        checked: somebody with the key has checked the card's proof: the PSAM MAC2, the issuer TAC or MAC3.
        by_proof: the proof was fetched by GET TRANSACTION PROVE.
        hotlist_version: that the terminal had; 0 = none.
        recorded_at_unix_ms: the terminal's clock at this entry.
        opened_seq: the journal's number of the movement's first entry; 0 in that one.
    """

    state: State
    transaction_type: TransactionType
    purse: Purse
    asn: bytes
    issuer: bytes
    amount_fen: int
    balance_before_fen: int
    card_seq: int
    card_random: bytes
    key_version: int
    algorithm_byte: int
    terminal_id: bytes
    mac1: bytes
    terminal_seq: int = 0
    made_at: bytes = NO_TIME
    overdraft_fen: int = 0
    balance_after_fen: int | None = None
    mac2: bytes | None = None
    tac: bytes | None = None
    mac3: bytes | None = None
    reason: Reason = Reason.NONE
    checked: bool = False
    by_proof: bool = False
    hotlist_version: int = 0
    recorded_at_unix_ms: int = 0
    opened_seq: int = 0

    @property
    def settled(self) -> bool:
        """Whether this is final."""
        return self.state in {State.DONE, State.VOID}

    @property
    def awaits_card(self) -> bool:
        """Whether the same card, laid on this terminal again, may still decide it."""
        return not self.settled and (self.state is not State.GREY or self.reason in AWAITS_CARD)

    @property
    def online(self) -> bool:
        """Whether it counts in the card's online counter: load and unload."""
        return self.transaction_type in {
            TransactionType.ED_LOAD,
            TransactionType.EP_LOAD,
            TransactionType.UNLOAD,
        }


def encode(movement: Movement) -> bytes:
    """Return the record, RECORD_BYTES long.

    Raises:
        ValueError: a field has the wrong length.
        struct.error: a number does not fit.
    """
    _check_lengths(movement)
    flags = (
        (_AFTER_KNOWN if movement.balance_after_fen is not None else 0)
        | (_MAC2_KNOWN if movement.mac2 is not None else 0)
        | (_TAC_KNOWN if movement.tac is not None else 0)
        | (_MAC3_KNOWN if movement.mac3 is not None else 0)
        | (_CHECKED if movement.checked else 0)
        | (_BY_PROOF if movement.by_proof else 0)
    )
    return _RECORD.pack(
        CARD_MOVEMENT,
        movement.state,
        movement.reason,
        flags,
        movement.transaction_type,
        movement.purse,
        movement.asn,
        movement.issuer,
        movement.amount_fen,
        movement.balance_before_fen,
        movement.balance_after_fen or 0,
        movement.overdraft_fen,
        movement.card_seq,
        movement.card_random,
        movement.key_version,
        movement.algorithm_byte,
        movement.terminal_id,
        movement.terminal_seq,
        movement.made_at,
        movement.mac1,
        movement.mac2 or bytes(4),
        movement.tac or bytes(4),
        movement.mac3 or bytes(4),
        movement.hotlist_version,
        movement.recorded_at_unix_ms,
        movement.opened_seq,
    )


def decode(record: bytes) -> Movement | None:
    """Return the movement of a journal entry; None for a record of another kind.

    Raises:
        Unreadable: it says that it is a movement and is none.
    """
    if record[:1] != bytes([CARD_MOVEMENT]):
        return None
    if len(record) != RECORD_BYTES:
        raise Unreadable(
            Sentence(
                "a movement's record has {given} bytes, not {size}", given=len(record), size=RECORD_BYTES
            )
        )
    fields = _RECORD.unpack(record)
    flags = fields[3]
    try:
        state, reason = State(fields[1]), Reason(fields[2])
        transaction_type, purse = TransactionType(fields[4]), Purse(fields[5])
    except ValueError as error:
        raise Unreadable(Sentence("a movement's record cannot be read: {cause}", cause=error)) from error
    return Movement(
        state=state,
        reason=reason,
        transaction_type=transaction_type,
        purse=purse,
        asn=fields[6],
        issuer=fields[7],
        amount_fen=fields[8],
        balance_before_fen=fields[9],
        balance_after_fen=fields[10] if flags & _AFTER_KNOWN else None,
        overdraft_fen=fields[11],
        card_seq=fields[12],
        card_random=fields[13],
        key_version=fields[14],
        algorithm_byte=fields[15],
        terminal_id=fields[16],
        terminal_seq=fields[17],
        made_at=fields[18],
        mac1=fields[19],
        mac2=fields[20] if flags & _MAC2_KNOWN else None,
        tac=fields[21] if flags & _TAC_KNOWN else None,
        mac3=fields[22] if flags & _MAC3_KNOWN else None,
        checked=bool(flags & _CHECKED),
        by_proof=bool(flags & _BY_PROOF),
        hotlist_version=fields[23],
        recorded_at_unix_ms=fields[24],
        opened_seq=fields[25],
    )


def is_beginning(record: bytes) -> bool:
    """Tell whether a record is the first entry of a movement, without reading the rest of it."""
    return len(record) == RECORD_BYTES and record[0] == CARD_MOVEMENT and record[1] in _BEGINNINGS


def opened_by(record: bytes) -> int:
    """Return the number of the first entry of the movement that a record goes on with; 0 = of none."""
    if len(record) != RECORD_BYTES or record[0] != CARD_MOVEMENT:
        return 0
    return int.from_bytes(record[-8:])


def purchase_record(movement: Movement) -> PurchaseRecord:
    """Return what the issuer checks of a purchase, compound purchase or cash withdrawal, whatever its state.

    Raises:
        ValueError: it has no MAC2 or no TAC: there is nothing to check.
    """
    if movement.mac2 is None or movement.tac is None:
        raise ValueError("the card's proof is not known")
    return PurchaseRecord(
        asn=movement.asn,
        transaction_type=movement.transaction_type,
        amount_fen=movement.amount_fen,
        offline_seq=movement.card_seq,
        card_random=movement.card_random,
        key_version=movement.key_version,
        algorithm_byte=movement.algorithm_byte,
        terminal_id=movement.terminal_id,
        terminal_seq=movement.terminal_seq,
        made_at=movement.made_at,
        mac2=movement.mac2,
        tac=movement.tac,
    )


def _check_lengths(movement: Movement) -> None:
    lengths = tuple(
        len(field)
        for field in (
            movement.asn,
            movement.issuer,
            movement.card_random,
            movement.terminal_id,
            movement.made_at,
            movement.mac1,
            movement.mac2 or bytes(4),
            movement.tac or bytes(4),
            movement.mac3 or bytes(4),
        )
    )
    if lengths != (10, 8, 4, 6, 7, 4, 4, 4, 4):
        raise ValueError(f"lengths are {lengths}, must be (10, 8, 4, 6, 7, 4, 4, 4, 4)")
