"""One terminal of the rig: a real till, its journal, its PSAM, and a line to the gateway (B1.1, B3)."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from campus_node.lines.counterpart import PsamSecret
from campus_node.lines.reservations import FileReservation
from campus_node.lines.sessions import TerminalNames, TerminalSession
from campus_node.purse.journal_entries import decode
from campus_node.purse.movement_log import MovementLog
from campus_node.purse.psam import Psam
from campus_node.purse.sam_session import SamSession
from campus_node.terminal.journal import Journal
from campus_node.terminal.pos.hotlists import Hotlists
from campus_node.terminal.pos.rules import Rules
from campus_node.terminal.pos.settings import Key, Mode, TillSettings
from campus_node.terminal.pos.stage import Stage
from campus_node.terminal.pos.till import Till
from campus_node.terminal.pos.view import View
from campus_node.terminal.pos.wall_clock import WallClock
from campus_node.terminal.uplink import Uplink
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock
from hil_rig.senders.knowledge import Knowledge
from hil_rig.senders.lines import Described, SteppedLine, open_line
from hil_rig.senders.order import SenderOrder
from hil_rig.senders.sender import Inbox
from hil_rig.tills.chips import ISSUER, Counted, memory_of, psam_of
from hil_rig.tills.order import TillsOrder
from hil_rig.tills.taps import Tap
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.profile import PsamProfile

NS_PER_S: Final = 1_000_000_000
ANSWERS_MAX: Final = 3  # questions about one sale that the cashier answers with OK


class TillLine(SteppedLine, Described, Protocol):
    """A terminal's end of a line that select() can wait on."""


class Counts(NamedTuple):
    """What one terminal did so far; see `Standing`."""

    ready: bool
    tapped: int
    shown: int
    appended: int
    durable: int
    under_way: int
    sent: int
    card_apdus: int
    psam_apdus: int


def newest_unix_ms(journal: Journal) -> int:
    """Return when the newest movement in a journal was written, in ms since 1970; 0 = there is none."""
    movements = [decode(entry.body) for entry in journal.entries() if entry.body is not None]
    return max((movement.recorded_at_unix_ms for movement in movements if movement is not None), default=0)


def keys_for(amount_fen: int) -> list[Key]:
    """Return what a cashier types: 350 is `3`, `.`, `5`, `0`."""
    return [Key(character) for character in f"{amount_fen // 100}.{amount_fen % 100:02d}"]


class Terminal:
    """One terminal. Not for several threads.

    Args:
        order: of its line.
        who: it is.
        pattern: a PSAM's profile from which its own is made.
        clock: the machine's.
        stop: a descriptor that `open_line` wants; it is not waited for here.
    """

    def __init__(
        self, order: TillsOrder, who: SenderOrder, pattern: PsamProfile, clock: Clock, stop: int
    ) -> None:
        directory = Path(order.directory)
        self.name = who.name
        self._clock = clock
        self._tapped = self._shown = self._noted_seq = 0
        self._apdus = Counter[str]()
        self._sent: tuple[int, int, int] = (0, 0, 0)
        self._journal = Journal.open(directory / f"{who.name}.journal", order.capacity)
        self._knowledge = Knowledge(directory / f"{who.name}.jsonl")
        self._knowledge.begin(self._journal.journal_id, bytes.fromhex(who.terminal_id))
        self._knowledge.keep(*self._appended())
        memory = memory_of(directory / "psams", who.name, lasting=order.lasting)
        chip = psam_of(who, bytes.fromhex(order.purchase_key), pattern, memory)
        psam = Psam(Counted(VirtualReader(chip, who.name).channel(), self._counting("psam")))
        self._reader = VirtualReader(name=who.name)
        self._wall_clock = WallClock(clock, newest_unix_ms(self._journal))
        names = TerminalNames(
            bytes.fromhex(who.terminal_id), bytes.fromhex(who.psam_serial),
            who.usage, who.key_version, who.algorithm, who.address,
        )  # fmt: skip
        reservation = FileReservation.open(directory / f"{who.name}.numbers")
        session = TerminalSession(names, PsamSecret(psam, ISSUER), reservation, os.urandom)
        opened = open_line(order.line, who, clock, stop)
        self._line: TillLine = opened.line  # type: ignore[assignment]  # all lines have a descriptor
        self._inbox = Inbox(opened.line)
        self._uplink = Uplink(
            self._inbox,
            session,
            self._journal,
            clock=self._wall_clock,
            random_bytes=os.urandom,
            on_gateway=self._heard,
            on_time=self._wall_clock.told,
            report=lambda: wire.TerminalReport(
                selling=self._wall_clock.valid, terminal_seq=self._journal.last_seq
            ),
            message_bytes=opened.message_bytes,
        )
        self._till = Till(
            TillSettings(Mode.KEYPAD, order.merchant),
            Rules(),
            Hotlists(),
            sam=SamSession(psam),
            log=MovementLog(self._journal, self._wall_clock),
            clock=self._wall_clock,
            online=self._uplink,
        )
        self._due_s = clock.monotonic_s()

    @property
    def due_s(self) -> float:
        """When `step` is to be called at the latest; monotonic seconds."""
        return min(self._due_s, self._till.due_s)

    @property
    def awaits_card(self) -> bool:
        """Whether nobody knows if the card has paid, and the same card is asked for."""
        return self._till.stage is Stage.DOUBT

    def descriptor(self) -> int:
        """Return what tells that its line has something; negative = nothing does now."""
        descriptor = self._line.descriptor()
        return -1 if descriptor is None else descriptor

    def counts(self) -> Counts:
        """Return what it did so far."""
        upload, journal = self._uplink.upload, self._journal
        return Counts(
            ready=self._uplink.connected and self._wall_clock.valid,
            tapped=self._tapped,
            shown=self._shown,
            appended=journal.last_seq,
            durable=journal.durable_through,
            under_way=upload.under_way_count,
            sent=upload.sent_count,
            card_apdus=self._apdus["card"],
            psam_apdus=self._apdus["psam"],
        )

    def step(self, now_s: float) -> None:
        """Let line, uplink and till go on."""
        line_s = self._line.step(now_s)
        uplink_s = self._uplink.step(now_s)
        line_s = min(self._line.step(now_s), line_s)
        self._till.step(now_s)
        self._note_sent()
        self._due_s = now_s if self._inbox.fetch() else min(line_s, uplink_s)

    def tap(self, tap: Tap, card: VirtualCard, due_s: float) -> None:
        """Type an amount, lay a card, answer what is asked, and take the card away.

        A till that awaits the same card is given it again instead: nothing is typed then.

        Args:
            due_s: when the card was to be laid there; monotonic seconds.
        """
        self._tapped += 1
        self._knowledge.keep(
            {
                "tapped": tap.number,
                "asn": tap.asn,
                "amount_fen": tap.amount_fen,
                "due_ns": int(due_s * NS_PER_S) or self._now_ns(),
                "at_ns": self._now_ns(),
                "at_unix_ms": self._clock.unix_ms(),
            }
        )
        now_s = self._clock.monotonic_s()
        if not self.awaits_card:
            for key in (Key.CANCEL, *keys_for(tap.amount_fen)):
                self._till.press(key, now_s)
        self._reader.insert(card)
        if tap.torn_after:
            self._reader.tear_after_command(tap.torn_after)
        channel = Counted(self._reader.channel(), self._counting("card"))
        view = self._till.card(channel, now_s)
        for _ in range(ANSWERS_MAX):
            if self._till.stage is not Stage.ASKING:
                break
            view = self._till.press(Key.OK, self._clock.monotonic_s())
        self._reader.remove()
        channel.close()
        self._till.card_gone(self._clock.monotonic_s())
        self._show(tap, view)
        self._due_s = self._clock.monotonic_s()

    def close(self) -> None:
        """Let go of line, journal and files."""
        self._line.close()
        self._journal.close()
        self._knowledge.close()

    def _show(self, tap: Tap, view: View) -> None:
        self._shown += 1
        shown: dict[str, object] = {
            "shown": view.mood.value,
            "tap": tap.number,
            "headline": view.headline.template,
            "amount_fen": view.amount_fen,
            "balance_fen": view.balance_fen,
            "online": view.online,
            "at_ns": self._now_ns(),
        }
        self._knowledge.keep(*self._appended(), shown)

    def _appended(self) -> list[dict[str, object]]:
        """Return what the journal holds and the file does not say yet."""
        entries = list(self._journal.entries(self._noted_seq + 1))
        self._noted_seq = self._journal.last_seq
        return [{"appended": entry.seq, "body": (entry.body or b"").hex().upper()} for entry in entries]

    def _note_sent(self) -> None:
        newest = self._uplink.upload.newest
        if newest is not None:
            sent = (newest.first_seq, newest.last_seq, self._uplink.upload.sent_count)
            if sent != self._sent:
                self._sent = sent
                self._knowledge.sent(newest.first_seq, newest.last_seq, self._clock.unix_ms())

    def _heard(self, said: wire.FromGateway) -> None:
        if said.WhichOneof("body") == "records":
            marks = said.records
            verdicts = [(verdict.seq, int(verdict.outcome)) for verdict in marks.verdicts]
            self._knowledge.acknowledged(
                marks.durable_through, marks.backed_up_through, verdicts, self._clock.unix_ms()
            )

    def _counting(self, chip: str) -> Callable[[], None]:
        return lambda: self._apdus.update((chip,))

    def _now_ns(self) -> int:
        return int(self._clock.monotonic_s() * NS_PER_S)
