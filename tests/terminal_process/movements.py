"""Movements for journals of tests: one builder with sane defaults."""

from dataclasses import replace
from typing import Final

from campus_node.purse.commands import Purse, TransactionType
from campus_node.purse.journal_entries import Movement, Reason, State, encode
from campus_node.terminal.journal import Journal

ASN: Final = bytes.fromhex("00000001000000000456")
ISSUER: Final = bytes.fromhex("4355434100000001")
TERMINAL_ID: Final = bytes.fromhex("112233445566")


def movement(amount_fen: int, at_unix_ms: int, number: int = 1) -> Movement:
    """Return a purchase that was sent to the card, the number-th of card and terminal."""
    return Movement(
        State.SENT,
        TransactionType.CAPP,
        Purse.EP,
        ASN,
        ISSUER,
        amount_fen,
        100_000,
        number,
        bytes(4),
        2,
        4,
        TERMINAL_ID,
        bytes(4),
        terminal_seq=number,
        recorded_at_unix_ms=at_unix_ms,
    )


def paid(journal: Journal, amount_fen: int, at_unix_ms: int, number: int = 1) -> None:
    """Write a purchase that was paid: two entries."""
    sent = movement(amount_fen, at_unix_ms, number)
    opened = journal.append(encode(sent))
    done = replace(
        sent, state=State.DONE, opened_seq=opened, mac2=bytes(4), tac=bytes(4), checked=True,
        balance_after_fen=100_000 - amount_fen,
    )  # fmt: skip
    journal.append(encode(done))


def torn(journal: Journal, amount_fen: int, at_unix_ms: int, number: int = 2) -> None:
    """Write a purchase whose card left: two entries."""
    sent = movement(amount_fen, at_unix_ms, number)
    opened = journal.append(encode(sent))
    journal.append(encode(replace(sent, state=State.GREY, reason=Reason.TORN, opened_seq=opened)))
