"""What the ledger keeps in memory: balances, and what became of transfers. Pure.

NamedTuples, because the posting path makes thousands of them a second.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple

from campus_node.ledger.rows import Row
from federation.transfer import Refusal, Verb

Key = tuple[int, bytes]  # (originator, transfer id)


class Balance(NamedTuple):
    """Where one account stands, in fen; see docs/ledger.md, Accounts."""

    posted_fen: int
    reserved_fen: int
    floor_fen: int
    overdrawn_fen: int

    @property
    def available_fen(self) -> int:
        return self.posted_fen - self.reserved_fen


class Status(IntEnum):
    """What became of a POST or a RESERVE."""

    OPEN = 1  # set aside
    TAKEN = 2  # posted at once, or confirmed
    REVERSED = 3
    EXPIRED = 4
    REFUSED = 5
    BURNT = 6  # reversed before it arrived; it may never arrive


class TransferState(NamedTuple):
    """A POST or RESERVE with everything that was done to it since."""

    status: int
    reservation: bool
    kind: int
    debit: int
    credit: int
    amount_fen: int  # as posted or reserved
    taken_fen: int
    refunded_fen: int
    expires_at_unix_ms: int  # of an open reservation, else 0


_BURNT = TransferState(Status.BURNT, False, 0, 0, 0, 0, 0, 0, 0)


def follow(state: TransferState | None, row: Row) -> TransferState | None:
    """Return what a transfer has become after one more row that is it or targets it."""
    if row.target_id is None:
        return _begun(state, row)
    if row.refusal != Refusal.NONE:
        return state
    if state is None:
        return _BURNT if row.verb == Verb.REVERSE else None
    match row.verb:
        case Verb.CONFIRM:
            return state._replace(status=Status.TAKEN, taken_fen=row.posted_fen, expires_at_unix_ms=0)
        case Verb.REVERSE if state.status == Status.OPEN:
            return state._replace(status=Status.REVERSED, expires_at_unix_ms=0)
        case Verb.EXPIRE:
            return state._replace(status=Status.EXPIRED, expires_at_unix_ms=0)
        case Verb.REFUND:
            return state._replace(refunded_fen=state.refunded_fen + row.posted_fen)
    return state


def _begun(state: TransferState | None, row: Row) -> TransferState:
    if state is not None:
        return state  # burnt before it arrived
    reservation = row.verb == Verb.RESERVE
    status = Status.OPEN if reservation else Status.TAKEN
    if row.refusal != Refusal.NONE:
        status = Status.REFUSED
    return TransferState(
        status,
        reservation,
        row.kind,
        row.debit,
        row.credit,
        row.amount_fen,
        row.posted_fen,
        0,
        row.expires_at_unix_ms or 0,
    )


def states_of(rows: Iterable[Row]) -> dict[Key, TransferState]:
    """Fold rows, in order of seq, into the states of the transfers they are or target."""
    states: dict[Key, TransferState] = {}
    for row in rows:
        if row.target_id is None:
            key = row.originator, row.transfer_id
        else:
            assert row.target_originator is not None, "both columns of a target are set, or none"
            key = row.target_originator, row.target_id
        state = follow(states.get(key), row)
        if state is not None:
            states[key] = state
    return states


class Draft:
    """The books as they will be if the batch under decision is committed.

    Reads fall through to what is committed; writes stay here until the engine adopts them.

    Args:
        balances: committed balances.
        states: what is known of the transfers that the batch speaks of; all open reservations are among them.
    """

    def __init__(self, balances: Mapping[int, Balance], states: Mapping[Key, TransferState]) -> None:
        self._committed_balances = balances
        self._committed_states = states
        self.balances: dict[int, Balance] = {}
        self.states: dict[Key, TransferState] = {}

    def balance(self, account: int) -> Balance | None:
        """Return where an account stands, None if there is no such account."""
        return self.balances.get(account) or self._committed_balances.get(account)

    def state(self, key: Key) -> TransferState | None:
        """Return what became of a transfer, None if it was never seen."""
        return self.states.get(key) or self._committed_states.get(key)

    def move(self, debit: int, credit: int, posted_fen: int, reserved_fen: int) -> int:
        """Book one row's effect. Return by how much it took the debit account further below its floor, in fen."""
        payer = self.balances.get(debit) or self._committed_balances[debit]
        posted = payer.posted_fen - posted_fen
        reserved = payer.reserved_fen + reserved_fen
        below_fen = payer.floor_fen - posted + reserved
        overdrawn = max(below_fen, 0)
        self.balances[debit] = Balance(posted, reserved, payer.floor_fen, overdrawn)
        if posted_fen:
            payee = self.balances.get(credit) or self._committed_balances[credit]
            received = payee.posted_fen + posted_fen
            below_fen = payee.floor_fen - received + payee.reserved_fen
            self.balances[credit] = Balance(received, payee.reserved_fen, payee.floor_fen, max(below_fen, 0))
        return overdrawn - payer.overdrawn_fen

    def changed(self) -> list[tuple[int, int, int, int]]:
        """Return (account, posted added, reserved added, overdrawn now) for every account that was touched."""
        committed = self._committed_balances
        return [
            (
                account,
                now.posted_fen - committed[account].posted_fen,
                now.reserved_fen - committed[account].reserved_fen,
                now.overdrawn_fen,
            )
            for account, now in self.balances.items()
        ]
