"""One sender: writes records to its journal, sends them, and keeps what it is told before it goes on."""

import os
import random
import select
from dataclasses import replace
from pathlib import Path
from typing import Final

from campus_node.lines.counterpart import PsamSecret
from campus_node.lines.reservations import FileReservation
from campus_node.lines.sessions import TerminalNames, TerminalSession
from campus_node.purse.psam import Psam
from campus_node.terminal.journal import Journal
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
        self._stop = stop
        self._luck = random.Random(f"{order.seed} {who.name}")  # noqa: S311 - repeatable, not secret
        self._terminal_id = bytes.fromhex(who.terminal_id)
        self._journal = Journal.open(directory / f"{who.name}.journal", order.capacity)
        self._knowledge = Knowledge(directory / f"{who.name}.jsonl")
        self._knowledge.begin(self._journal.journal_id, self._terminal_id)
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
        self._uplink = Uplink(
            self._open.line,
            session,
            self._journal,
            clock=clock,
            random_bytes=os.urandom,
            on_gateway=self._keep,
            report=lambda: wire.TerminalReport(selling=True, terminal_seq=self._journal.last_seq),
            message_bytes=self._open.message_bytes,
        )

    def run(self) -> None:
        """Send until told to stop; what is not acknowledged then stays in the journal."""
        while not self._told_to_stop():
            now_s = self._clock.monotonic_s()
            due_s = self._sell(now_s)
            for _ in range(2):  # what the uplink says goes out, and what came in meanwhile is heard
                due_s = min(self._open.line.step(now_s), due_s)
                due_s = min(self._uplink.step(now_s), due_s)
            self._note()
            self._open.wait(min(due_s - self._clock.monotonic_s(), WAIT_S_MAX))
        self._open.line.close()
        self._journal.close()
        self._knowledge.close()

    def _told_to_stop(self) -> bool:
        return bool(select.select([self._stop], [], [], 0)[0])

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
            if self._again and journal.durable_through >= order.records_each:
                journal.recollect(1, self._again)
                self._again = 0
            return float("inf")
        return now_s + 1.0 if journal.full else self._next_sale_s

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
