"""The head's end of a CAN bus: lets terminals send in turn, and names who disturbs (B4.1, A12)."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from campus_node.lines.can.broadcast import NOTICE_BYTES_MAX, REPEAT_AFTER_S, notice_frames
from campus_node.lines.can.ids import (
    Frame,
    Functional,
    Multicast,
    Physical,
    Priority,
    Signalled,
    Spread,
    meaning,
    physical_id,
)
from campus_node.lines.can.line import CanLine
from campus_node.lines.can.multicast_sender import MulticastSender
from campus_node.lines.can.port import CanPort
from campus_node.lines.can.suspects import Suspects
from campus_node.lines.can.transfer import NEVER_S, Transfer, is_consecutive, is_first
from campus_node.lines.can.uploads import UPLOADS_OPEN_MAX, Uploads
from campus_node.lines.errors import PeerGone
from campus_node.lines.events import Event, What
from campus_node.lines.line import ALL, HEAD, Peer, terminal_address
from campus_node.wording import Sentence

ANSWER_WITHIN_S: Final = 0.5
ATTEMPTS: Final = 3
FALSE_HEAD_EVERY_S: Final = 1.0
UNCONFIRMED_S: Final = 0.001  # how soon to look again where no controller says what was sent
BITRATE: Final = 250_000
_FROM_TERMINALS: Final = (
    Spread.NACK_WINDOW,
    Spread.NACK_LIST,
    Spread.NACK_BLOCKS,
    Spread.NACK_MANIFEST,
    Spread.DONE,
)


class HeadLine(CanLine):
    """The head's end. `send(ALL, …)` reaches everybody without an answer, up to NOTICE_BYTES_MAX bytes.

    Args:
        name: what people call it, for example `can0`.
        port: its controller, without filters.
        open_max: how many terminals may send at once.
        bitrate: of the bus, in bits a second: what a distribution's share of it is reckoned by.
    """

    def __init__(
        self, name: str, port: CanPort, *, open_max: int = UPLOADS_OPEN_MAX, bitrate: int = BITRATE
    ) -> None:
        super().__init__(name, port, HEAD, answer_within_s=ANSWER_WITHIN_S, attempts=ATTEMPTS)
        self.suspects = Suspects()
        self._uploads = Uploads(open_max)
        self._first: dict[int, Frame] = {}  # first frames that wait for their turn
        self._admitted: dict[int, int] = {}  # how many more frames each was let send
        self._repeats: list[tuple[float, list[Frame]]] = []
        self._notices = 0
        self._false_head_s = -FALSE_HEAD_EVERY_S
        self.heard_s: dict[int, float] = {}
        self._bitrate = bitrate
        self._distribution: MulticastSender | None = None

    def send(self, peer: Peer, message: bytes, *, urgent: bool = False) -> None:
        """See `Line.send`. A notice to ALL goes twice; a longer one goes to each terminal that was heard."""
        if peer == ALL:
            if len(message) > NOTICE_BYTES_MAX:
                for address in sorted(self.heard_s):
                    with suppress(PeerGone):
                        super().send(Peer(address), message, urgent=urgent)
                return
        else:
            terminal_address(peer)
            if self.suspects.held(peer):
                raise PeerGone(Sentence("{address} is in quarantine", address=peer))
        super().send(peer, message, urgent=urgent)

    def distribute(
        self,
        transfer: int,
        notice: bytes,
        image: bytes,
        addresses: Iterable[int],
        *,
        block_bytes: int,
        load: float,
    ) -> MulticastSender:
        """See `Distributing.distribute`."""
        sender = MulticastSender(
            transfer, notice, image, addresses, bitrate=self._bitrate, load=load, block_bytes=block_bytes
        )
        with self._lock:
            self.stop_distribution()
            self._distribution = sender
            self.attach(sender)
        return sender

    def stop_distribution(self) -> None:
        """See `Distributing.stop_distribution`."""
        with self._lock:
            if self._distribution is not None:
                self.detach(self._distribution)
                self._distribution = None

    def report_forged(self, peer: Peer, times: int = 1) -> None:
        """Count messages under this address whose seal was wrong: the gateway's own evidence."""
        with self._lock:
            self._suspect(peer, What.FORGING, self._now_s, times)

    def _begin(self, priority: Priority, peer: int, message: bytes, now_s: float) -> None:
        if peer != ALL:
            super()._begin(priority, peer, message, now_s)
            return
        frames = notice_frames(self._notices, message, priority)
        self._notices += 1
        self._repeats.append((now_s + REPEAT_AFTER_S, frames))
        for frame in frames:
            self._post(frame)

    def _due(self, now_s: float) -> float:
        for due_s, frames in [repeat for repeat in self._repeats if repeat[0] <= now_s]:
            self._repeats.remove((due_s, frames))
            for frame in frames:
                self._post(frame)
        for event in self.suspects.release(now_s):
            self.tell(event)
        self._close_uploads(now_s)
        self._grant(now_s)
        held = bool(self._first) and not self._confirms and self._speaking()
        again_s = now_s + UNCONFIRMED_S if held else NEVER_S
        return min([again_s, self._uploads.due_s(), *(due_s for due_s, _ in self._repeats)])

    def _take(self, frame: Frame, about: Physical | Functional | Signalled | Multicast, now_s: float) -> None:
        match about:
            case Physical(priority, target, source) if source not in (HEAD, ALL):
                self.heard_s[source] = now_s
                if target != HEAD:
                    self._suspect(source, What.BABBLING, now_s)  # terminals have nothing to say to each other
                elif self.suspects.held(source):
                    self._suspect(source, What.BABBLING, now_s)
                else:
                    self._take_transfer(frame, priority, source, now_s)
            case Signalled(_, source) if source not in (HEAD, ALL):
                self.heard_s[source] = now_s
                self._suspect(source, What.BABBLING, now_s)
                self._serve(frame, now_s)
            case Multicast(spread, number) if spread in _FROM_TERMINALS:
                if not self.suspects.held(
                    number >> 12
                ):  # a flood of these hurts nobody: its class is the last
                    self._serve(frame, now_s)
            case _:
                self._false_head(now_s)

    def _serve(self, frame: Frame, now_s: float) -> None:
        for service in self._services:
            service.take(frame, now_s)

    def _take_transfer(self, frame: Frame, priority: Priority, source: int, now_s: float) -> None:
        key = (priority, source)
        transfer = self._transfer(*key)
        invited = self._invited(frame, transfer, source)
        if not invited:
            self._suspect(source, What.BABBLING, now_s)
        if priority is Priority.P6 and is_first(frame) and not self._uploads.is_open(source):
            self._first[source] = frame
            self._uploads.ask(source)
        else:
            broken = transfer.broken_count
            self._feed(transfer, key, frame, now_s)
            if transfer.broken_count > broken and not is_consecutive(frame):  # after a lost one, many follow
                self._suspect(source, What.BROKEN, now_s)
            if is_first(frame):
                self._admit(source, frame)
            if priority is Priority.P6:
                self._uploads.began(source)
                if not transfer.receiving:
                    self._uploads.close(source)
        self._grant(now_s)

    def _invited(self, frame: Frame, transfer: Transfer, source: int) -> bool:
        if is_consecutive(frame):
            self._admitted[source] = self._admitted.get(source, 0) - 1 - transfer.take_followed()
            return self._admitted[source] >= 0
        return bool(frame.payload) and frame.payload[0] >> 4 == 3 and transfer.sending

    def _admit(self, source: int, frame: Frame) -> None:
        length = int.from_bytes(frame.payload[:2]) & 0x0FFF
        self._admitted[source] = -(-length // 7)

    def _grant(self, now_s: float) -> None:
        """Let the next terminals send, but not before what the head has to say is on the bus.

        What goes to 00 wins every arbitration against what goes to a terminal. Without this, on a bus full of
        long messages no answer would get through, and everybody would repeat.
        """
        while not self._speaking() and (source := self._uploads.grant(now_s)) is not None:
            frame = self._first.pop(source, None)
            if frame is None:
                self._uploads.close(source)
                continue
            key = (Priority.P6, source)
            transfer = self._transfer(*key)
            self._feed(transfer, key, frame, now_s)
            self._admit(source, frame)
            if not transfer.receiving:
                self._uploads.close(source)

    def _speaking(self) -> bool:
        """Whether frames of the head wait for the bus; multicast has time."""
        if self._to_send and self._to_send[0][0] < Priority.P7:
            return True
        return any(not isinstance(meaning(can_id), Multicast) for can_id, _ in self._in_flight)

    def _close_uploads(self, now_s: float) -> None:
        """Take the turn back from those who stopped half-way."""
        for source in self._uploads.opened():
            if not self._transfer(Priority.P6, source).receiving:
                self._uploads.close(source)
                self._suspect(source, What.STALLING, now_s)

    def _suspect(self, source: int, what: What, now_s: float, times: int = 1) -> None:
        if event := self.suspects.saw(source, what, now_s, times):
            self._uploads.forget(source)
            self._first.pop(source, None)
            for priority in (Priority.P2, Priority.P6):
                self._followed.pop(physical_id(priority, HEAD, source), None)
            self.tell(event)

    def _false_head(self, now_s: float) -> None:
        if now_s - self._false_head_s >= FALSE_HEAD_EVERY_S:
            self._false_head_s = now_s
            self.tell(Event(now_s, What.FALSE_HEAD, ALL))
