"""The parts of one terminal, put together by hand: journal, PSAM, till, line and what came over it.

All of it is made or nothing; where something is missing (the PSAM, a disk) it is made again later.
"""

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import structlog

from campus_node.firmware.image import Label, open_image
from campus_node.lines import notice as notices
from campus_node.lines.block_file import BlockFile
from campus_node.lines.counterpart import PsamSecret
from campus_node.lines.handshake import Hello
from campus_node.lines.reservations import FileReservation
from campus_node.lines.sessions import TerminalNames, TerminalSession
from campus_node.pki import files
from campus_node.purse.channel import CardChannel, Reader
from campus_node.purse.errors import CardLeft
from campus_node.purse.files import PublicFile
from campus_node.purse.movement_log import MovementLog
from campus_node.purse.psam import FactorOrder, Psam
from campus_node.purse.sam_session import SamSession
from campus_node.spending.parameter_versions import Version
from campus_node.terminal.held import Held
from campus_node.terminal.journal import Journal
from campus_node.terminal.journal_book import newest_terminal_seq, newest_unix_ms
from campus_node.terminal.line_ends import Ends, LineEnd
from campus_node.terminal.line_keeper import KeptLine
from campus_node.terminal.linkage import Linkage
from campus_node.terminal.pos.hotlists import Hotlists
from campus_node.terminal.pos.rules import Rules
from campus_node.terminal.pos.settings import Consent, Mode, TillSettings
from campus_node.terminal.pos.till import Till
from campus_node.terminal.pos.wall_clock import WallClock
from campus_node.terminal.receiver import Itself, Receiver, Taking
from campus_node.terminal.settings import Settings
from campus_node.terminal.settings_words import keys_by_issuer, public_keys
from campus_node.terminal.slots import ImageNotKept, Slots
from campus_node.terminal.uplink import Uplink
from campus_node.wording import Sentence
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock
from federation.hotlist import Hotlist

SAM_WAIT_S: Final = 1.0
NEVER_S: Final = float("inf")
ALGORITHM_BYTES: Final = {"3des": 0x00, "sm4": 0x04}
FELL_BACK: Final = 2  # health code: an image was not healthy, the one before runs again
CANNOT_SELL: Final = 1

_log = structlog.get_logger(__name__)

Device = Literal["card", "sam"]
OpenReader = Callable[[str, Device], Reader]
Event = Hotlist | Version | Label  # what has come into force, or is stored


class ToldBox(Protocol):
    """Where a station puts what its loop must hear of; any thread."""

    def put(self, item: Event) -> None: ...

    def ring(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Running:
    """Which firmware runs. Args: slot, version: of it; on_trial: it must be confirmed."""

    slot: int
    version: int
    on_trial: bool = False


class _SharedSecret:
    """The PSAM's session key, used beside sales: whoever sells next selects its application again."""

    def __init__(self, psam: Psam, application: bytes, sam: SamSession) -> None:
        self._inner = PsamSecret(psam, application)
        self._sam = sam

    def secret(self, hello: Hello, factor: bytes, blocks: bytes) -> bytes:
        self._sam.select_again()
        return self._inner.secret(hello, factor, blocks)


class Station:
    """One terminal at work. Not for several threads.

    Args:
        settings: of it.
        directory: of it.
        running: its firmware.
        open_reader: opens a reader by its name.
        clock: the machine's.
        told: rung when something has arrived; gets what has come into force, from any thread.

    Raises:
        CampusCardError: it cannot work now, says why; nothing is left open.
    """

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        running: Running,
        open_reader: OpenReader,
        clock: Clock,
        told: ToldBox,
    ) -> None:
        self.settings = settings
        self.running = running
        self._directory = directory
        self.starts = 0
        self.fell_back = False
        self._sold_last_step = False
        self._told = told
        self._lock = threading.RLock()  # whoever has it is alone with the receiver
        self._machine = clock
        with ExitStack() as closing:
            self._assemble(closing, open_reader)
            self._closing = closing.pop_all()

    def _assemble(self, closing: ExitStack, open_reader: OpenReader) -> None:
        settings, directory = self.settings, self._directory
        path = directory / settings.journal.path
        files.make_private_directory(path.parent)
        self.journal = Journal.open(path, settings.journal.capacity)
        closing.callback(self.journal.close)
        trusted = settings.trust.clock == "machine"
        self.clock = WallClock(self._machine, newest_unix_ms(self.journal), trusted=trusted)
        channel = self._sam_channel(closing, open_reader)
        psam = Psam(channel, FactorOrder(settings.sam.factor_order))
        self.terminal_id, self.serial = psam.terminal_id(), psam.serial().serial
        self.sam = SamSession(psam, self._factors)
        keys = keys_by_issuer(settings.trust.hotlist_keys)
        self.held = Held(directory / "held", keys, self.clock.unix_ms)
        closing.callback(self.held.close)
        self.held.on_hotlist = self._told.put
        self.held.on_parameters = self._told.put
        self.receiver = self._make_receiver()
        self.hotlists, self.rules = Hotlists(), Rules(self.held.schedule)
        for each in self.held.hotlists:
            self.hotlists.put(each, self.held.heard_unix_ms(each.issuer))
        self.line = self._make_line(closing)
        self.uplink = self._make_uplink(path, psam, closing)
        self.link = Linkage(self.uplink, 120.0 if settings.line.metered else 20.0)
        self.log = MovementLog(self.journal, self.clock)
        self.till = Till(
            self._till_settings(),
            self.rules,
            self.hotlists,
            sam=self.sam,
            log=self.log,
            clock=self.clock,
            online=self.link,
        )
        self.begun_s = self._machine.monotonic_s()

    def _for_heartbeat(self) -> tuple[bool, int]:
        """Return whether it sells, as of the last step, and how many records wait; any thread."""
        return self._sold_last_step, self.journal.last_seq - self.journal.durable_through

    @property
    def sells(self) -> bool:
        """Whether any card at all may pay here now."""
        return not self.till.failed and self.till.counter.stopped is None

    def step(self, now_s: float) -> float:
        """Let line and till go on; return when to be called again, at the latest.

        Raises:
            JournalUnwritable: close this and make another one.
        """
        due_s = self.uplink.step(now_s)
        due_s = min(due_s, self.link.step(now_s, contact=self.line.has_contact(now_s)))
        with self._lock:
            due_s = min(due_s, self.receiver.step(now_s))
        self.till.step(now_s)
        self._sold_last_step = self.sells
        return min(due_s, self.till.due_s)

    def in_force(self, event: Hotlist | Version) -> None:
        """Use a hotlist or parameters that were kept."""
        if isinstance(event, Hotlist):
            self.hotlists.put(event, self.clock.unix_ms())
        else:
            self.rules.take(event, self.clock.unix_ms())
        self.uplink.report_changed()

    def say_in_log(self, text: str) -> bool:
        """Put a line into the gateway's log; return whether the line took it."""
        message = wire.FromTerminal(log=wire.LogLines(lines=[text]))
        return self.uplink.say(message, self._machine.monotonic_s())

    def close(self) -> None:
        """Let everything go. May be called twice."""
        self._closing.close()

    # Its parts.

    def _sam_channel(self, closing: ExitStack, open_reader: OpenReader) -> CardChannel:
        name = self.settings.sam.reader
        reader = open_reader(name, "sam")
        channel = reader.wait_for_card(SAM_WAIT_S)
        if channel is None:
            raise CardLeft(Sentence("{reader}: the PSAM does not answer", reader=name))
        closing.callback(channel.close)
        return channel

    def _factors(self, public: PublicFile) -> tuple[bytes, ...]:
        from campus_node.keys.hierarchy import campus_factor, group_factor, group_of  # noqa: PLC0415 - rarely

        needed = self.settings.sam.factors
        if needed == 1:
            return (public.card_factor,)
        issuer = public.issuer
        return (public.card_factor, campus_factor(issuer), group_factor(group_of(issuer)))[:needed]

    def _make_receiver(self) -> Receiver:
        settings = self.settings
        itself = Itself(
            self.terminal_id, settings.terminal.model, self.running.version, settings.line.address
        )
        taking = Taking(self.held.take_hotlist, self.held.take_parameters, self._image_stored)
        return Receiver(
            self._directory / "blocks",
            itself,
            {notices.key_id(key): key for key in public_keys(settings.trust.notice_keys)},
            {notices.key_id(key): key for key in public_keys(settings.trust.firmware_keys)},
            taking,
            clock=self.clock,
            say=self._report_distribution,
        )

    def _make_line(self, closing: ExitStack) -> KeptLine:
        settings = self.settings
        ends = Ends(
            self._directory,
            settings.terminal.name,
            self.serial,
            self.receiver.blocks,
            lock=self._lock,
            rung=self._told.ring,
            clock=self._machine,
            random_bytes=os.urandom,
            state=self._for_heartbeat,
        )

        def open_end() -> LineEnd:
            return ends.open(settings.line, settings.pki)

        has_line = settings.line.kind != "none"
        line = KeptLine(settings.terminal.name, open_end if has_line else None, self._machine)
        closing.callback(line.close)
        return line

    def _make_uplink(self, journal: Path, psam: Psam, closing: ExitStack) -> Uplink:
        sam = self.settings.sam
        names = TerminalNames(
            self.terminal_id,
            self.serial,
            int(sam.key_usage, 16),
            sam.key_version,
            ALGORITHM_BYTES[sam.key_algorithm],
            self.settings.line.address,
        )
        numbers = FileReservation.open(journal.with_name("numbers"))
        closing.callback(numbers.close)
        source = _SharedSecret(psam, bytes.fromhex(sam.application), self.sam)
        return Uplink(
            self.line,
            TerminalSession(names, source, numbers, os.urandom),
            self.journal,
            clock=self.clock,
            random_bytes=os.urandom,
            on_gateway=self._heard,
            on_notice=self._noticed,
            on_time=self.clock.told,
            report=self._report,
            message_bytes=4000 if self.settings.line.kind == "tcp" else 1000,
        )

    def _till_settings(self) -> TillSettings:
        till = self.settings.till
        return TillSettings(
            Mode(till.mode),
            self.settings.merchant or self.settings.terminal.name,
            till.tariff,
            till.stop,
            Consent(till.consent),
            self.settings.sam.tries,
            float(till.shown_s),
            till.online_wait_ms,
        )

    # What the line brings.

    def _heard(self, said: wire.FromGateway) -> None:
        self.link.heard(self._machine.monotonic_s())
        for each in self.held.heard(self.clock.unix_ms()):
            self.hotlists.heard(each, self.clock.unix_ms())
        with self._lock:
            self.receiver.heed(said)

    def _noticed(self, message: bytes) -> None:
        with self._lock:
            self.receiver.notice(message)

    def _report_distribution(self, report: wire.DistributionReport) -> bool:
        message = wire.FromTerminal(distribution=report)
        return self.uplink.say(message, self._machine.monotonic_s())

    def _report(self) -> wire.TerminalReport:
        return wire.TerminalReport(
            hotlists=self.held.versions(),
            parameters_version=self.held.schedule.latest,
            firmware_version=self.running.version,
            terminal_seq=newest_terminal_seq(self.journal, self.terminal_id),
            starts=self.starts,
            selling=self.sells,
            health_code=self.health_code,
        )

    @property
    def health_code(self) -> int:
        """What ails it, as a code of its model: 0 = nothing."""
        if self.fell_back:
            return FELL_BACK
        return 0 if self.sells else CANNOT_SELL

    def _image_stored(self, path: Path, label: Label) -> None:
        """Put a stored image into its slot; whoever runs the loop restarts into it when the till is idle."""
        keys = {notices.key_id(key): key for key in public_keys(self.settings.trust.firmware_keys)}
        image = open_image(BlockFile(path).read(), keys)
        try:
            slots = Slots.open(self._directory / "firmware")
        except OSError as error:
            raise ImageNotKept(Sentence("the image cannot be kept: {cause}", cause=error)) from error
        try:
            taken = slots.store(image.content, label.version)
        finally:
            slots.close()
        _log.info("firmware.stored", version=label.version, to_be_tried=taken)
        if taken:
            self._told.put(label)
