"""From the desks into the spool: in turn, many terminals with one fsync, and only then the answers (B3, A15).

One thread writes. While it waits for the disk, what arrives gathers; the next turn takes it together. What it
answers goes back through the desk of the line that it came from.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from campus_node.gateway.attendant import RETRY_FULL_MS, Keep, unable
from campus_node.gateway.fairness import FairQueue
from campus_node.gateway.spool import Spool
from campus_node.gateway.spool_journals import Marks
from campus_node.gateway.spool_turn import Brought, Settled
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock
from federation.errors import CampusCardError, StoreDown

RECORDS_A_TURN_MAX: Final = 512
VERDICTS_MAX: Final = 64  # in one answer
STOP_S: Final = 10.0
_SIMPLE: Final = {
    wire.RECORD_OUTCOME_UNSPECIFIED,
    wire.RECORD_OUTCOME_ACCEPTED,
    wire.RECORD_OUTCOME_PENDING,
    wire.RECORD_OUTCOME_REPEATED,
}

_log = structlog.get_logger(__name__)


class IntakeFloor(Protocol):
    """Whom the intake tells. Called by its thread; never waits and never raises."""

    def answer(self, line: str, terminal_id: bytes, message: wire.FromGateway) -> None:
        """Send a message to a terminal; an empty line = wherever it is."""

    def committed(self, settled: Sequence[tuple[Brought, Settled]]) -> None:
        """Learn that these are durable."""

    def spool_failed(self, why: CampusCardError) -> None:
        """Learn that nothing can be kept now."""


class _Kept(NamedTuple):
    line: str
    keep: Keep


class Intake:
    """See the module.

    Args:
        spool: this thread is its only writer.
        clock: tells when records were taken.
        floor: whom it tells.
    """

    def __init__(self, spool: Spool, clock: Clock, floor: IntakeFloor) -> None:
        self._spool = spool
        self._clock = clock
        self._floor = floor
        self._waiting: FairQueue[str, bytes, _Kept] = FairQueue()
        self._orders: deque[Callable[[], None]] = deque()
        self._arrival = threading.Condition()
        self._ending = False
        self.turned_away = 0  # messages for which a terminal had too much waiting
        self.turns = 0
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        """Begin to take."""
        self._thread.start()

    def stop(self) -> None:
        """Keep and answer what was taken in, and end."""
        with self._arrival:
            self._ending = True
            self._arrival.notify()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    @property
    def alive(self) -> bool:
        """Whether records are taken."""
        return self._thread.is_alive()

    def keep(self, line: str, keep: Keep) -> None:
        """Queue records of a terminal; any thread. What finds no place is sent again by the terminal."""
        with self._arrival:
            if self._waiting.put(line, keep.brought.terminal_id, _Kept(line, keep)):
                self._arrival.notify()
            else:
                self.turned_away += 1

    def begins(self, line: str, terminal_id: bytes, journal_id: bytes, backed_up_through: int) -> None:
        """Take what a terminal reports of its journal, and tell it both marks; any thread."""

        def begin() -> None:
            marks = self._spool.safe_through(terminal_id, journal_id, backed_up_through)
            self._floor.answer(line, terminal_id, _taken(0, marks, ()))

        self._order(begin)

    def node_took(self, taken: pb.SpoolTaken) -> None:
        """Take the node's marks and verdicts; any thread."""
        odd = [(each.position, each.outcome) for each in taken.verdicts if each.outcome not in _SIMPLE]

        def take() -> None:
            self._spool.taken(taken.committed_through, taken.covered_through, odd)
            self._pass_on(odd)

        self._order(take)

    def renumber(self, done: Callable[[CampusCardError | None], None]) -> None:
        """Make the spool a new one, see `Spool.renumber`; `done` is called by the intake's thread."""

        def become_new() -> None:
            try:
                self._spool.renumber()
            except CampusCardError as error:
                done(error)
            else:
                done(None)

        self._order(become_new)

    def _order(self, order: Callable[[], None]) -> None:
        with self._arrival:
            self._orders.append(order)
            self._arrival.notify()

    def _run(self) -> None:
        while True:
            with self._arrival:
                self._arrival.wait_for(lambda: self._orders or self._waiting or self._ending)
                if self._ending and not self._orders and not self._waiting:
                    return
                orders = list(self._orders)
                self._orders.clear()
                kept = self._turn()
            for order in orders:
                try:
                    order()
                except CampusCardError as error:
                    self._floor.spool_failed(error)
            if kept:
                self._keep(kept)

    def _turn(self) -> list[_Kept]:
        kept: list[_Kept] = []
        records = 0
        for each in self._waiting.take():
            kept.append(each)
            records += len(each.keep.brought.bodies)
            if records >= RECORDS_A_TURN_MAX:
                break
        return kept

    def _keep(self, kept: Sequence[_Kept]) -> None:
        self.turns += 1
        batch = [each.keep.brought for each in kept]
        try:
            settled = self._spool.take(batch, self._clock.unix_ms())
        except StoreDown as error:
            _log.error("spool.failed", why=str(error))
            self._floor.spool_failed(error)
            for each in kept:
                self._answer(each, _full(each))
            return
        for each, result in zip(kept, settled, strict=True):
            self._answer(each, _answer_of(each, result))
        self._floor.committed(list(zip(batch, settled, strict=True)))

    def _answer(self, kept: _Kept, message: wire.FromGateway) -> None:
        self._floor.answer(kept.line, kept.keep.brought.terminal_id, message)

    def _pass_on(self, odd: Iterable[tuple[int, int]]) -> None:
        """Tell terminals what the node decided of their records, where it is no simple yes."""
        outcomes = dict(odd)
        if not outcomes:
            return
        told: dict[tuple[bytes, bytes], list[tuple[int, int]]] = {}
        for position, (terminal_id, journal_id, seq) in self._spool.verdicts_at(outcomes).items():
            told.setdefault((terminal_id, journal_id), []).append((seq, outcomes[position]))
        for (terminal_id, journal_id), verdicts in told.items():
            marks = self._spool.marks_of(journal_id)
            if marks is not None:
                self._floor.answer("", terminal_id, _taken(0, marks, verdicts))


def _answer_of(kept: _Kept, settled: Settled) -> wire.FromGateway:
    if settled.full:
        return _full(kept)
    if settled.marks is None:  # nobody said yet where this journal begins for us: nothing can be acknowledged
        return wire.FromGateway(answers=kept.keep.message_id, report=wire.ReportAsked())
    return _taken(kept.keep.message_id, settled.marks, settled.verdicts)


def _full(kept: _Kept) -> wire.FromGateway:
    return unable(kept.keep.message_id, wire.UNABLE_REASON_FULL, RETRY_FULL_MS)


def _taken(answers: int, marks: Marks, verdicts: Sequence[tuple[int, int]]) -> wire.FromGateway:
    taken = wire.RecordsTaken(
        journal_id=marks.journal_id,
        durable_through=marks.durable_through,
        backed_up_through=marks.backed_up_through,
    )
    for seq, outcome in verdicts[:VERDICTS_MAX]:
        taken.verdicts.add(seq=seq).outcome = wire.RecordOutcome.ValueType(outcome)
    return wire.FromGateway(answers=answers, records=taken)
