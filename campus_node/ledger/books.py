"""What the ledger keeps in memory: balances, and what became of transfers. Pure.

NamedTuples, because the posting path makes thousands of them a second.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

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


class BalanceChanges(NamedTuple):
    """What a batch did to the accounts that it touched: columns of the same length."""

    accounts: Sequence[int]
    posted_fen: Sequence[int]  # added
    reserved_fen: Sequence[int]  # added
    overdrawn_fen: Sequence[int]  # the new value


def new_balance(floor_fen: int) -> Balance:
    """Return where an account stands that was just opened; with a floor above zero it begins below it."""
    return Balance(0, 0, floor_fen, max(floor_fen, 0))


class Status(IntEnum):
    """What became of a POST or a RESERVE."""

    OPEN = 1  # set aside
    TAKEN = 2  # posted at once, or confirmed
    REVERSED = 3
    EXPIRED = 4
    REFUSED = 5
    BURNT = 6  # reversed before it arrived; it may never arrive
    NO_TRANSFER = 7  # the id stands on a row that is itself about another transfer


class TransferState(NamedTuple):
    """A POST or RESERVE with everything that was done to it since."""

    seq: int  # of its own row; 0 while burnt
    status: int
    reservation: bool
    kind: int
    debit: int
    credit: int
    amount_fen: int  # as posted or reserved
    taken_fen: int
    refunded_fen: int
    expires_at_unix_ms: int  # of an open reservation, else 0


_BURNT = TransferState(0, Status.BURNT, False, 0, 0, 0, 0, 0, 0, 0)


def follow(state: TransferState | None, row: Row) -> TransferState | None:
    """Return what a transfer has become after one more row that targets it."""
    if row.refusal != Refusal.NONE:
        return state
    if state is None:
        return _BURNT if row.verb == Verb.REVERSE else None
    match row.verb:
        case Verb.CONFIRM:
            return state._replace(status=Status.TAKEN, taken_fen=row.posted_fen, expires_at_unix_ms=0)
        case Verb.REVERSE if state.status in (Status.OPEN, Status.EXPIRED):
            return state._replace(status=Status.REVERSED, expires_at_unix_ms=0)
        case Verb.EXPIRE:
            return state._replace(status=Status.EXPIRED, expires_at_unix_ms=0)
        case Verb.REFUND:
            return state._replace(refunded_fen=state.refunded_fen + row.posted_fen)
    return state


def begun(row: Row) -> TransferState:
    """Return what the id of a row stands for at first."""
    reservation = row.verb == Verb.RESERVE
    status = Status.OPEN if reservation else Status.TAKEN
    if row.refusal != Refusal.NONE:
        status = Status.REFUSED
    if row.target_id is not None:
        status = Status.NO_TRANSFER
    return TransferState(
        row.seq,
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


def states_of(keys: Collection[Key], rows: Iterable[Row]) -> dict[Key, TransferState]:
    """Fold rows, in order of seq, into what became of the transfers with these ids."""
    states: dict[Key, TransferState] = {}
    for row in rows:
        own = row.originator, row.transfer_id
        if own in keys:
            states[own] = begun(row)
        target = target_of(row)
        if target is not None and target in keys:
            state = follow(states.get(target), row)
            if state is not None:
                states[target] = state
    return states


def target_of(row: Row) -> Key | None:
    """Return the id of the transfer that a row is about, None if it begins one."""
    if row.target_id is None:
        return None
    assert row.target_originator is not None, "both columns of a target are set, or none"
    return row.target_originator, row.target_id


_new: Final = tuple.__new__  # builds a NamedTuple in half the time that its own constructor takes


class Draft:
    """The books as they will be if the batch under decision is committed.

    Reads fall through to what was before; writes stay here until the engine adopts them.

    Args:
        balances: where every account stands before the batch.
        states: what is known of the transfers that the batch speaks of; all open reservations are among them.
    """

    def __init__(self, balances: Mapping[int, Balance], states: Mapping[Key, TransferState]) -> None:
        self._balances_before = balances
        self._committed_states = states
        self.balances: dict[int, Balance] = {}
        self.before: dict[int, Balance] = {}  # the same accounts in the same order, as they stood
        self.states: dict[Key, TransferState] = {}

    def balance(self, account: int) -> Balance | None:
        """Return where an account stands, None if there is no such account."""
        return self.balances.get(account) or self._balances_before.get(account)

    def state(self, key: Key) -> TransferState | None:
        """Return what became of a transfer, None if it was never seen."""
        return self.states.get(key) or self._committed_states.get(key)

    def move(self, debit: int, credit: int, posted_fen: int, reserved_fen: int) -> int:
        """Book one row's effect; return by how much it took the debit account further below its floor."""
        was = self.balances.get(debit)
        if was is None:
            was = self.before[debit] = self._balances_before[debit]
        posted, reserved, floor_fen, overdrawn_before = was
        posted -= posted_fen
        reserved += reserved_fen
        below_fen = floor_fen - posted + reserved
        overdrawn = below_fen if below_fen > 0 else 0  # max() costs ten times as much
        self.balances[debit] = _new(Balance, (posted, reserved, floor_fen, overdrawn))
        if posted_fen:
            was = self.balances.get(credit)
            if was is None:
                was = self.before[credit] = self._balances_before[credit]
            received, reserved, floor_fen, _ = was
            received += posted_fen
            below_fen = floor_fen - received + reserved
            self.balances[credit] = _new(
                Balance, (received, reserved, floor_fen, below_fen if below_fen > 0 else 0)
            )
        return overdrawn - overdrawn_before

    def changed(self) -> BalanceChanges:
        """Return what became of every account touched."""
        posted_fen, reserved_fen, overdrawn_fen = list[int](), list[int](), list[int]()
        for now, was in zip(self.balances.values(), self.before.values(), strict=True):
            posted, reserved, _, overdrawn = now
            posted_before, reserved_before, _, _ = was
            posted_fen.append(posted - posted_before)
            reserved_fen.append(reserved - reserved_before)
            overdrawn_fen.append(overdrawn)
        return BalanceChanges(list(self.balances), posted_fen, reserved_fen, overdrawn_fen)
