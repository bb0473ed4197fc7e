"""A terminal that buys as fast as it can, with a stopwatch on everything that is not ours."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from bench.harness import BenchBroken
from campus_node.purse import purchase
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import Purse, get_balance, parse_balance, read_record
from campus_node.purse.files import LOG_BYTES, LOG_SFI, LogRecord
from campus_node.purse.journal_entries import Movement, State, decode
from campus_node.purse.movement_log import MovementLog
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import CardLayout, present
from campus_node.purse.psam import Psam
from campus_node.purse.sam_session import SamSession
from campus_node.purse.verification import IssuerKeys, PurchaseRecord, Verdict, verify_records
from campus_node.terminal.journal import Journal
from federation.clock import Clock

JOURNAL_RECORDS: Final = 65_536
AMOUNT_FEN: Final = 1
_FIRST_DAY: Final = datetime(2026, 9, 1, 6, 0, 0)  # noqa: DTZ001  # a terminal's own clock, as it stands

Keys = dict[tuple[int, Algorithm], IssuerKeys]


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


class CountingChannel:
    """A card channel that counts its commands."""

    def __init__(self, inner: CardChannel) -> None:
        self._inner = inner
        self.commands = 0

    @property
    def reader(self) -> str:
        return self._inner.reader

    def power_on(self) -> bytes:
        return self._inner.power_on()

    def reset(self) -> bytes:
        return self._inner.reset()

    def transmit(self, command: bytes) -> bytes:
        self.commands += 1
        return self._inner.transmit(command)

    def close(self) -> None:
        self._inner.close()


@dataclass(frozen=True, slots=True)
class Bought:
    """What a run of purchases took."""

    purchases: int
    commands: int
    took_ns: int
    synced: Synced


class Till:
    """One terminal, as long as its journal is open.

    Args:
        card, sam: channels, powered.
        journal: a file that is not there yet, on a disk.
        clock: gives the journal's entries their time.
    """

    def __init__(self, card: CardChannel, sam: CardChannel, journal: Path, clock: Clock) -> None:
        self._card, self._sam_channel = CountingChannel(card), CountingChannel(sam)
        self._sam = SamSession(Psam(self._sam_channel))
        self._journal = Journal.open(journal, JOURNAL_RECORDS)
        self._log = MovementLog(self._journal, clock)
        self._layout = CardLayout()
        self._first_balance_fen = self._balance_fen()
        self._done = 0
        self._last: Outcome | None = None

    def close(self) -> None:
        """Let the journal go."""
        self._journal.close()

    def buy(self, count: int) -> Bought:
        """Make purchases one after the other, as a terminal does: the card is selected anew for each."""
        commands = self._commands
        with watching_syncs() as synced:
            began_ns = time.perf_counter_ns()
            for _ in range(count):
                self._buy()
            took_ns = time.perf_counter_ns() - began_ns
        if synced.count < count:
            raise BenchBroken(f"{count} purchases synced the journal {synced.count} times: it is not durable")
        return Bought(count, self._commands - commands, took_ns, synced)

    @property
    def _commands(self) -> int:
        return self._card.commands + self._sam_channel.commands

    def _buy(self) -> None:
        made_at = _FIRST_DAY + timedelta(seconds=self._done)
        request = purchase.PurchaseRequest(AMOUNT_FEN, bytes.fromhex(f"{made_at:%Y%m%d%H%M%S}"))
        outcome = purchase.run(request, card=self._card, sam=self._sam, log=self._log, layout=self._layout)
        if outcome.state is not State.DONE or not outcome.checked:
            raise BenchBroken(f"a purchase is {outcome.state.name}, {outcome.reason.name}")
        self._done += 1
        self._last = outcome

    def check(self, keys: Keys) -> None:
        """Compare card and journal: balance, counters, last record; and every record's MAC2 and TAC.

        Raises:
            BenchBroken: they do not agree.
        """
        assert self._last is not None, "nothing was bought"
        done = [m for m in self._movements() if m.state is State.DONE]
        sequence = [m.card_seq for m in done]
        if len(done) != self._done or sequence != list(range(sequence[0], sequence[0] + self._done)):
            raise BenchBroken(f"{len(done)} purchases in the journal of {self._done}, or counters leap")
        if len({m.terminal_seq for m in done}) != self._done:
            raise BenchBroken("a number of the terminal was used twice")
        balance_fen = self._balance_fen()
        if balance_fen != self._first_balance_fen - sum(m.amount_fen for m in done):
            raise BenchBroken(f"the card has {balance_fen} fen, the journal says otherwise")
        record = LogRecord.parse(demand(self._card, read_record(LOG_SFI, 1, LOG_BYTES)))
        if record is None or (record.seq, record.made_at) != (sequence[-1] + 1, done[-1].made_at):
            raise BenchBroken("the card's newest record is not the journal's")
        self._verify(done, keys)

    def _verify(self, done: list[Movement], keys: Keys) -> None:
        records = [
            PurchaseRecord(
                m.asn, m.transaction_type, m.amount_fen, m.card_seq, m.card_random, m.key_version,
                m.algorithm_byte, m.terminal_id, m.terminal_seq, m.made_at, m.mac2 or b"", m.tac or b"",
            )
            for m in done
        ]  # fmt: skip
        wrong = [verdict for verdict in verify_records(records, keys) if verdict is not Verdict.GENUINE]
        if wrong:
            raise BenchBroken(f"{len(wrong)} records do not verify, the first is {wrong[0].value}")

    def _movements(self) -> Iterator[Movement]:
        for entry in self._journal.entries():
            if entry.body is not None and (movement := decode(entry.body)) is not None:
                yield movement

    def _balance_fen(self) -> int:
        present(self._card, self._layout)
        return parse_balance(demand(self._card, get_balance(Purse.EP)))
