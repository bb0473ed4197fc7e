"""Openings of accounts as they come over the wire."""

from typing import Final

from campus_node.ledger.chart import default_floor_fen, split_account_number
from campus_node.ledger.store import AccountOpening
from campuscard.v1 import ledger_pb2 as pb

HOLDER_BYTES_MAX: Final = 200


def to_opening(message: pb.AccountOpening) -> AccountOpening | None:
    """Return the opening with the floor of its class unless it brings one; None if it is malformed."""
    try:
        account_class, _ = split_account_number(message.account)
    except ValueError:
        return None
    if not 0 < len(message.holder.encode()) <= HOLDER_BYTES_MAX or "\0" in message.holder:
        return None
    floor_fen = message.floor_fen if message.HasField("floor_fen") else default_floor_fen(account_class)
    return AccountOpening(message.account, message.holder, floor_fen)
