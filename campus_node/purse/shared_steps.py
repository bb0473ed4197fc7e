"""What purchase, load, unload and recovery do in the same way."""

from dataclasses import replace

from campus_node.purse.apdu import Command
from campus_node.purse.commands import (
    Purse,
    TransactionType,
    init_for_capp,
    init_for_cash,
    init_for_load,
    init_for_purchase,
    init_for_unload,
)
from campus_node.purse.issuer import LoadAuthority, LoadRequest
from campus_node.purse.journal_entries import Movement, Reason, State
from campus_node.purse.presenting import CardLayout
from federation.errors import Refused, Tampered, Unavailable


def purchase_init(
    transaction_type: TransactionType, purse: Purse, layout: CardLayout, amount_fen: int, terminal_id: bytes
) -> Command:
    """Return the INIT that begins a purchase of this type."""
    if transaction_type is TransactionType.CASH:
        return init_for_cash(layout.purchase_key, amount_fen, terminal_id)
    init = init_for_capp if transaction_type is TransactionType.CAPP else init_for_purchase
    return init(purse, layout.purchase_key, amount_fen, terminal_id)


def online_init(
    transaction_type: TransactionType, layout: CardLayout, amount_fen: int, terminal_id: bytes
) -> Command:
    """Return the INIT that begins a load or unload of this type."""
    if transaction_type is TransactionType.UNLOAD:
        return init_for_unload(layout.unload_key, amount_fen, terminal_id)
    purse = Purse.EP if transaction_type is TransactionType.EP_LOAD else Purse.ED
    return init_for_load(purse, layout.load_key, amount_fen, terminal_id)


def load_request(movement: Movement) -> LoadRequest:
    """Return what the issuer was asked about a load or unload, from the terminal's record of it."""
    return LoadRequest(
        asn=movement.asn,
        transaction_type=movement.transaction_type,
        amount_fen=movement.amount_fen,
        terminal_id=movement.terminal_id,
        balance_fen=movement.balance_before_fen,
        online_seq=movement.card_seq,
        key_version=movement.key_version,
        algorithm_byte=movement.algorithm_byte,
        card_random=movement.card_random,
        mac1=movement.mac1,
    )


def hand_over(movement: Movement, authority: LoadAuthority | None) -> Movement:
    """Give the card's proof of a load or unload to its issuer, and return how the movement ends.

    An issuer that cannot be reached gets the proof later, with the record: it is done, and not yet checked.

    Args:
        movement: with its `tac` or `mac3`.
    """
    proof = movement.mac3 if movement.transaction_type is TransactionType.UNLOAD else movement.tac
    assert proof is not None, "there is something to hand over"
    done = replace(movement, state=State.DONE, reason=Reason.NONE, balance_after_fen=balance_after(movement))
    if authority is None:
        return done
    try:
        authority.complete(load_request(movement), proof)
    except Tampered:
        return replace(movement, state=State.GREY, reason=Reason.MAC_WRONG)
    except Refused:
        return replace(movement, state=State.GREY, reason=Reason.DISPUTED)
    except Unavailable:
        return done
    return replace(done, checked=True)


def balance_after(movement: Movement) -> int | None:
    """Return what the purse holds once the movement is done, in fen; None if that does not follow."""
    loads = movement.transaction_type in {TransactionType.ED_LOAD, TransactionType.EP_LOAD}
    change_fen = movement.amount_fen if loads else -movement.amount_fen
    after_fen = movement.balance_before_fen + change_fen
    return after_fen if 0 <= after_fen <= 0xFFFFFFFF else None
