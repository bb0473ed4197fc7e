"""A terminal that buys as fast as it can, with a stopwatch on everything that is not ours."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from bench.harness import BenchBroken
from campus_node.purse import purchase
from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import Purse, get_balance, parse_balance, read_record
from campus_node.purse.files import LOG_BYTES, LOG_SFI, LogRecord
from campus_node.purse.journal_entries import Movement, State, decode, purchase_record
from campus_node.purse.movement_log import MovementLog
from campus_node.purse.presenting import CardLayout, present
from campus_node.purse.psam import Psam
from campus_node.purse.sam_session import SamSession
from campus_node.purse.verification import verify_record
from campus_node.terminal.journal import Journal
from federation.clock import Clock

JOURNAL_RECORDS: Final = 65_536
AMOUNT_FEN: Final = 1
_FIRST_DAY: Final = datetime(2026, 9, 1, 6, 0, 0)  # noqa: DTZ001  # a terminal's own clock, as it stands


@dataclass(slots=True)
class Synced:
    """The durable writes of this process while it was watched."""

    count: int = 0
    took_ns: int = 0


@contextmanager
def watching_syncs() -> Iterator[Synced]:
    """Count and time every fsync and fdatasync of this process; they are carried out as always."""
    seen = Synced()
    real = {name: getattr(os, name) for name in ("fsync", "fdatasync")}

    def timed(sync: Callable[[int], None]) -> Callable[[int], None]:
        def run(descriptor: int) -> None:
            began_ns = time.perf_counter_ns()
            sync(descriptor)
            seen.took_ns += time.perf_counter_ns() - began_ns
            seen.count += 1

        return run

    for name, sync in real.items():
        setattr(os, name, timed(sync))
    try:
        yield seen
    finally:
        for name, sync in real.items():
            setattr(os, name, sync)


class Shape(NamedTuple):
    """What a command looked like on its way.

    Args:
        place: 0 = the card, 1 = the PSAM.
        sent, answered: bytes.
    """

    place: int
    sent: int
    answered: int


class WatchedChannel:
    """A card channel that remembers how long commands and answers were.

    Args:
        inner: the channel.
        place: see Shape.
        shapes: where they are put, in their order.
    """

    def __init__(self, inner: CardChannel, place: int, shapes: list[Shape]) -> None:
        self._inner = inner
        self._place = place
        self._shapes = shapes

    @property
    def reader(self) -> str:
        return self._inner.reader

    def power_on(self) -> bytes:
        return self._inner.power_on()

    def reset(self) -> bytes:
        return self._inner.reset()

    def transmit(self, command: bytes) -> bytes:
        answer = self._inner.transmit(command)
        self._shapes.append(Shape(self._place, len(command), len(answer)))
        return answer

    def close(self) -> None:
        self._inner.close()


@dataclass(frozen=True, slots=True)
class Bought:
    """What a run of purchases took."""

    purchases: int
    shapes: Sequence[Shape]
    took_ns: int
    synced: Synced


class Till:
    """One terminal, as long as its journal is open; cards and PSAMs are laid on its readers.

    Args:
        journal: a file that is not there yet, on a disk.
        clock: gives the journal's entries their time.
    """

    def __init__(self, journal: Path, clock: Clock) -> None:
        self._journal = Journal.open(journal, JOURNAL_RECORDS)
        self._log = MovementLog(self._journal, clock)
        self._layout = CardLayout()
        self._first_balance_fen: int | None = None
        self._done = 0
        self._shapes: list[Shape] = []

    def close(self) -> None:
        """Let the journal go."""
        self._journal.close()

    def lay(self, card: CardChannel, sam: CardChannel) -> None:
        """Lay a card and a PSAM on the readers: channels, powered. It is always the same card."""
        self._card = WatchedChannel(card, 0, self._shapes)
        self._sam = SamSession(Psam(WatchedChannel(sam, 1, self._shapes)))
        if self._first_balance_fen is None:
            self._first_balance_fen = self._balance_fen()

    def buy(self, count: int) -> Bought:
        """Make purchases one after the other, as a terminal does: the card is selected anew for each."""
        self._shapes.clear()
        requests = [self._request(self._done + number) for number in range(count)]
        with watching_syncs() as synced:
            began_ns = time.perf_counter_ns()
            for request in requests:
                self._buy(request)
            took_ns = time.perf_counter_ns() - began_ns
        if synced.count < count:
            raise BenchBroken(f"{count} purchases synced the journal {synced.count} times: it is not durable")
        return Bought(count, tuple(self._shapes), took_ns, synced)

    def _request(self, number: int) -> purchase.PurchaseRequest:
        made_at = _FIRST_DAY + timedelta(seconds=number)
        return purchase.PurchaseRequest(AMOUNT_FEN, bytes.fromhex(f"{made_at:%Y%m%d%H%M%S}"))

    def _buy(self, request: purchase.PurchaseRequest) -> None:
        outcome = purchase.run(request, card=self._card, sam=self._sam, log=self._log, layout=self._layout)
        if outcome.state is not State.DONE or not outcome.checked:
            raise BenchBroken(f"a purchase is {outcome.state.name}, {outcome.reason.name}")
        self._done += 1

    def check(self, keys: tuple[bytes, bytes]) -> None:
        """Compare card and journal: balance, counters, newest record; and every record's MAC2 and TAC.

        Args:
            keys: the card's purchase key and TAC key.

        Raises:
            BenchBroken: they do not agree.
        """
        done = [movement for movement in self._movements() if movement.state is State.DONE]
        counters = [movement.card_seq for movement in done]
        if len(done) != self._done or counters != list(range(counters[0], counters[0] + self._done)):
            raise BenchBroken(f"{len(done)} purchases in the journal of {self._done}, or counters leap")
        if len({movement.terminal_seq for movement in done}) != self._done:
            raise BenchBroken("a number of the terminal was used twice")
        balance_fen, spent_fen = self._balance_fen(), sum(movement.amount_fen for movement in done)
        if self._first_balance_fen is None or balance_fen != self._first_balance_fen - spent_fen:
            raise BenchBroken(f"the card has {balance_fen} fen, the journal says otherwise")
        newest = LogRecord.parse(demand(self._card, read_record(LOG_SFI, 1, LOG_BYTES)))
        if newest is None or (newest.seq, newest.made_at) != (counters[-1] + 1, done[-1].made_at):
            raise BenchBroken("the card's newest record is not the journal's")
        for movement in done:
            verify_record(purchase_record(movement), *keys)

    def _movements(self) -> Iterator[Movement]:
        for entry in self._journal.entries():
            if entry.body is not None and (movement := decode(entry.body)) is not None:
                yield movement

    def _balance_fen(self) -> int:
        present(self._card, self._layout)
        return parse_balance(demand(self._card, get_balance(Purse.EP)))
