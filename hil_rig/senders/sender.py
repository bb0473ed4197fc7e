"""One sender: writes records to its journal, sends them, and keeps what it is told before it goes on."""

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Final

from campus_node.lines.counterpart import PsamSecret
from campus_node.lines.line import Line, Peer, Received
from campus_node.lines.reservations import FileReservation
from campus_node.lines.sessions import TerminalNames, TerminalSession
from campus_node.purse.psam import Psam
from campus_node.terminal.journal import Journal
from campus_node.terminal.journal_format import offset_of
from campus_node.terminal.uplink import Uplink
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock
from hil_rig.senders.knowledge import Knowledge
from hil_rig.senders.lines import open_line
from hil_rig.senders.order import SegmentOrder, SenderOrder
from hil_rig.senders.progress import Slot
from hil_rig.senders.records import random_record
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.profile import PsamProfile
from hil_rig.virtual.profile_entries import KeyEntry, SamApplication
from hil_rig.virtual.psam import VirtualPsam

ISSUER: Final = bytes.fromhex("4355434100000001")
WAIT_S_MAX: Final = 60.0
TORN_BYTES: Final = 100


def psam_of(who: SenderOrder, pattern: PsamProfile) -> Psam:
    """Return this terminal's PSAM, in software: its own serial number, terminal number and session key."""
    key = KeyEntry(
        type=who.usage & 0x1F,
        levels=who.usage >> 5,
        index=who.usage & 0x1F,
        version=who.key_version,
        algorithm=who.algorithm,
        value=bytes.fromhex(who.session_key),
    )
    profile = replace(
        pattern,
        name=who.name,
        serial_file=bytes.fromhex(who.psam_serial) + pattern.serial_file[10:],
        terminal_id=bytes.fromhex(who.terminal_id),
        applications=(SamApplication(ISSUER, (key,)),),
    )
    return Psam(VirtualReader(VirtualPsam(profile), who.name).channel())


def tear_first(path: Path, capacity: int) -> None:
    """Make a journal whose first record is half a write, as after a power cut."""
    Journal.open(path, capacity).close()
    with path.open("r+b") as file:
        file.seek(offset_of(0))
        file.write(bytes((1,)) * TORN_BYTES)


class Inbox:
    """A line that tells whether something has come before anybody reads it. It implements `Line`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._first: Received | None = None

    @property
    def name(self) -> str:
        return self._line.name

    def fetch(self) -> bool:
        """Tell whether a message waits."""
        if self._first is None:
            self._first = self._line.receive(0)
        return self._first is not None

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        self._line.send(peer, message, urgent=urgent)

    def receive(self, timeout_s: float) -> Received | None:
        if self._first is None:
            return self._line.receive(timeout_s)
        first, self._first = self._first, None
        return first

    def close(self) -> None:
        self._line.close()


class Sender:
    """One terminal in one process.

    Args:
        order: of its segment.
        who: it is.
        pattern: a PSAM's profile from which its own is made.
        slot: where it counts what it does, for its parent.
        stop: a descriptor that can be read when it is to end.
    """

    def __init__(
        self, order: SegmentOrder, who: SenderOrder, pattern: PsamProfile, slot: Slot, clock: Clock, stop: int
    ) -> None:
        directory = Path(order.directory)
        self._order = order
        self._slot = slot
        self._clock = clock
        self._luck = random.Random(f"{order.seed} {who.name}")  # noqa: S311 - repeatable, not secret
        self._terminal_id = bytes.fromhex(who.terminal_id)
        path = directory / f"{who.name}.journal"
        torn = who in order.terminals[: order.torn] and not path.exists()
        if torn:
            tear_first(path, order.capacity)
        self._journal = Journal.open(path, order.capacity)
        self._knowledge = Knowledge(directory / f"{who.name}.jsonl")
        self._knowledge.begin(self._journal.journal_id, self._terminal_id)
        if torn:
            self._knowledge.appended(1, b"")
        self._sent: tuple[int, int, int] = (0, 0, 0)
        self._again = order.again
        self._next_sale_s = clock.monotonic_s() + self._luck.uniform(0, order.interval_s)
        names = TerminalNames(
            self._terminal_id, bytes.fromhex(who.psam_serial),
            who.usage, who.key_version, who.algorithm, who.address,
        )  # fmt: skip
        session = TerminalSession(
            names,
            PsamSecret(psam_of(who, pattern), ISSUER),
            FileReservation.open(directory / f"{who.name}.numbers"),
            os.urandom,
        )
        self._open = open_line(order.line, who, clock, stop)
        self._inbox = Inbox(self._open.line)
        self._uplink = Uplink(
            self._inbox,
            session,
            self._journal,
            clock=clock,
            random_bytes=os.urandom,
            on_gateway=self._keep,
            report=lambda: wire.TerminalReport(selling=True, terminal_seq=self._journal.last_seq),
            message_bytes=self._open.message_bytes,
        )

    def run(self) -> None:
        """Send until told to stop; what is not acknowledged then stays in the journal.

        On a bus every terminal hears what is said to the others: that must cost as little as it can, or fifty
        processes are a load. So nothing but the line is stepped for it.
        """
        line, inbox, uplink, wait = self._open.line, self._inbox, self._uplink, self._open.wait
        sale_s = uplink_s = self._clock.monotonic_s()
        ending = False
        while not ending:
            now_s = self._clock.monotonic_s()
            if now_s >= sale_s:
                sale_s, uplink_s = self._sell(now_s), now_s
            line_s = line.step(now_s)
            if inbox.fetch() or now_s >= uplink_s:
                uplink_s = uplink.step(now_s)
                line_s = min(line.step(now_s), line_s)  # what it has to say goes out
                self._note()
                if inbox.fetch() or self._begin_again():
                    uplink_s = now_s
            ending = wait(min(line_s, uplink_s, sale_s, now_s + WAIT_S_MAX) - self._clock.monotonic_s())
        line.close()
        self._journal.close()
        self._knowledge.close()

    def _sell(self, now_s: float) -> float:
        """Write what is due, if there is room; return when the next record is."""
        order, journal = self._order, self._journal
        while journal.last_seq < order.records_each and self._next_sale_s <= now_s and not journal.full:
            seq = journal.last_seq + 1
            body = random_record(self._luck, self._terminal_id, seq, self._clock.unix_ms())
            self._knowledge.appended(seq, body)
            assert journal.append(body) == seq
            self._next_sale_s += self._luck.uniform(0.5, 1.5) * order.interval_s
        if journal.last_seq >= order.records_each:
            return float("inf")
        return now_s + 1.0 if journal.full else self._next_sale_s

    def _begin_again(self) -> bool:
        """When all is acknowledged, let the first records be sent once more; tell whether this began."""
        if not self._again or self._journal.durable_through < self._order.records_each:
            return False
        self._journal.recollect(1, self._again)
        self._again = 0
        return True

    def _keep(self, said: wire.FromGateway) -> None:
        if said.WhichOneof("body") == "records":
            marks = said.records
            verdicts = [(verdict.seq, int(verdict.outcome)) for verdict in marks.verdicts]
            self._knowledge.acknowledged(
                marks.durable_through, marks.backed_up_through, verdicts, self._clock.unix_ms()
            )
            self._slot.acknowledgements += 1

    def _note(self) -> None:
        """Tell file and parent what has changed."""
        upload, journal, slot = self._uplink.upload, self._journal, self._slot
        newest = upload.newest
        if newest is not None:
            sent = (newest.first_seq, newest.last_seq, upload.sent_count)
            if sent != self._sent:
                self._sent = sent
                self._knowledge.sent(newest.first_seq, newest.last_seq, self._clock.unix_ms())
        again_open = self._order.again and (self._again or journal.to_recollect(1))
        done = journal.last_seq >= self._order.records_each and not upload.waiting_count and not again_open
        slot.put(
            appended=journal.last_seq,
            durable=journal.durable_through,
            backed_up=journal.backed_up_through,
            under_way=upload.under_way_count,
            sent=upload.sent_count,
            sessions=self._uplink.counts["sessions"],
            done=done,
        )
