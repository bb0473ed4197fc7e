"""A terminal and a gateway that talk as they do all day, over any line, at the clock's pace."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import can
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from campus_node.lines.can.head import HeadLine
from campus_node.lines.can.port import CanPort, filters_of
from campus_node.lines.can.presence import HeartbeatSource
from campus_node.lines.can.signals import Distress, Emergency, Heartbeat
from campus_node.lines.can.terminal import TerminalLine
from campus_node.lines.can.time_sync import TimeSource
from campus_node.lines.driver import Drive
from campus_node.lines.head_sessions import HeadSessions
from campus_node.lines.line import ALL, HEAD, Line, Peer
from campus_node.lines.notice import sign
from campus_node.lines.sessions import TerminalSession
from campus_node.purse.commands import Purse, TransactionType
from campus_node.purse.journal_entries import Movement, State, encode
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import SystemClock
from hil_rig.virtual.can_broker import CanBroker
from hil_rig.virtual.can_bus.broker_node import BrokerNode
from tests.lines.subject import ISSUER, KEY_3DES, TERMINAL, Counting, leased, names, random_bytes

TILL = Peer(0x11)
BITRATE = 500_000
PATIENCE_S = 20.0
JOURNAL = bytes(range(16))
ASN = bytes.fromhex("00001234567890123456")
NOTICE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def movement(amount_fen: int, card_seq: int) -> Movement:
    return Movement(
        State.DONE, TransactionType.EP_PURCHASE, Purse.EP, ASN, ISSUER, amount_fen, 10_000, card_seq,
        bytes(4), 1, 0, TERMINAL, bytes(4), terminal_seq=card_seq,
        mac2=b"mac2", tac=b"tac4", checked=True, recorded_at_unix_ms=1_790_000_000_000,
    )  # fmt: skip


def records(first: int = 5, count: int = 3) -> wire.FromTerminal:
    bodies = [encode(movement(100 * number + 99, number)) for number in range(first, first + count)]
    return wire.FromTerminal(
        message_id=1,
        records=wire.Records(
            journal_id=JOURNAL, first_seq=first, bodies=bodies, last_seq=first + count - 1 + 4
        ),
    )


def authorization() -> wire.FromTerminal:
    asked = wire.AuthorizationAsked(
        transfer_id=bytes(16), asn=ASN, amount_fen=1250, terminal_seq=9, valid_for_ms=2000
    )
    return wire.FromTerminal(message_id=2, authorization=asked)


def report() -> wire.FromTerminal:
    told = wire.TerminalReport(
        journal_id=JOURNAL, last_seq=11, durable_through=7, free_records=900, selling=True, firmware_version=3
    )
    return wire.FromTerminal(message_id=3, report=told)


def hotlist_notice() -> bytes:
    delta = wire.HotlistDelta(
        issuer=ISSUER, from_version=6, to_version=7, added=[wire.HotlistEntry(asn=ASN, reason=1)]
    )
    notice = wire.Notice(number=12, expires_at_unix_ms=1_900_000_000_000, hotlist=delta)
    return sign(NOTICE_KEY, notice)


def key_file(directory: Path) -> Path:
    """Return a file with the key of the PSAM that these two use."""
    path = directory / "psam.key"
    path.write_text(KEY_3DES.hex() + "\n")
    return path


class Conversation:
    """Both ends of it.

    Args:
        head, till: of one line, driven by somebody.
    """

    def __init__(self, head: Line, till: Line) -> None:
        self.clock = SystemClock()
        self.head = head
        self.till = till
        self.terminal = TerminalSession(names(address=TILL), leased(), Counting(), random_bytes("monitor t"))
        self.sessions = HeadSessions(leased(), Counting(7), random_bytes("monitor h"))
        self.answered = 0

    def hold(self) -> None:
        """Begin a session, deliver records, ask for a payment, report; then call off a card."""
        while not self.terminal.ready:
            self._turn()
        for said in (records(), authorization(), report()):
            self._send(said)
        self._until(3)
        self.head.send(ALL, hotlist_notice(), urgent=True)
        self._until_notice()

    def _send(self, said: wire.FromTerminal) -> None:
        urgent = said.WhichOneof("body") == "authorization"
        self.till.send(HEAD, self.terminal.seal(said.SerializeToString()), urgent=urgent)

    def _until(self, answers: int) -> None:
        end_s = self.clock.monotonic_s() + PATIENCE_S
        while self.answered < answers:
            assert self.clock.monotonic_s() < end_s, "no answer comes"
            self._turn()

    def _until_notice(self) -> None:
        end_s = self.clock.monotonic_s() + PATIENCE_S
        while (received := self.till.receive(0.05)) is None or received.message[:1] != b"\x21":
            assert self.clock.monotonic_s() < end_s, "no notice comes"

    def _turn(self) -> None:
        if hello := self.terminal.step(self.clock.monotonic_s()):
            self.till.send(HEAD, hello)
        if received := self.head.receive(0.005):
            taken = self.sessions.take(received.peer, received.message, self.clock.monotonic_s())
            if taken.reply:
                self.head.send(received.peer, taken.reply)
            if taken.plaintext and taken.terminal_id:
                answer = _answer(wire.FromTerminal.FromString(taken.plaintext))
                self.head.send(
                    received.peer, self.sessions.seal(taken.terminal_id, answer.SerializeToString())
                )
        if received := self.till.receive(0.005):
            taken = self.terminal.take(received.message, self.clock.monotonic_s())
            if taken.reply:
                self.till.send(HEAD, taken.reply)
            self.answered += bool(taken.plaintext)


def _answer(said: wire.FromTerminal) -> wire.FromGateway:
    match said.WhichOneof("body"):
        case "records":
            taken = wire.RecordsTaken(journal_id=JOURNAL, durable_through=7, backed_up_through=4)
            return wire.FromGateway(answers=1, records=taken)
        case "authorization":
            granted = wire.AuthorizationAnswered(transfer_id=bytes(16), amount_fen=1250)
            return wire.FromGateway(answers=2, authorization=granted)
    return wire.FromGateway(
        answers=3, time=wire.TimeTold(sent_at_unix_ms=1_790_000_000_123, uncertainty_ms=5)
    )


@contextmanager
def can_line(directory: Path) -> Iterator[tuple[can.BusABC, HeadLine, TerminalLine]]:
    """A bystander, a driven head and a driven till that also send SYNC, heartbeats and an emergency."""
    path = directory / "can0"
    with (
        CanBroker(path, BITRATE),
        can.Bus(interface="campus-broker", channel=str(path), listen_only=True) as bystander,
    ):
        head = HeadLine("can0", _port(path, HEAD))
        till = TerminalLine("till", _port(path, TILL), TILL)
        heartbeats = HeartbeatSource(lambda: Heartbeat(TILL, records_waiting=4, serial=0x5566))
        heartbeats.call(Emergency(TILL, Distress.TAMPER_SWITCH, count=1))
        clock = SystemClock()
        till.attach(heartbeats)
        head.attach(TimeSource(lambda _now_s: clock.unix_ms() * 1000))
        try:
            with Drive(head, till):
                yield bystander, head, till
        finally:
            head.close()
            till.close()


def capture_of_a_conversation(directory: Path) -> list[can.Message]:
    """Return what a bystander on the bus heard of all of it."""
    with can_line(directory) as (bystander, head, till):
        Conversation(head, till).hold()
        heard = []
        while (message := bystander.recv(0.2)) is not None:
            heard.append(message)
    return heard


def _port(path: Path, address: Peer) -> CanPort:
    def open_bus() -> BrokerNode:
        return BrokerNode(path, f"node {address}", receive_own_messages=address == HEAD)

    return CanPort(open_bus, filters_of(address))
