"""Whatever anybody puts on a line or into an envelope, the gateway's desk goes on and serves the next one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.gateway.attendant import Act, Keep
from campus_node.gateway.desk import LineDesk
from campus_node.lines.events import Event
from campus_node.lines.head_sessions import HeadSessions
from campus_node.lines.line import HEAD, Peer
from campus_node.lines.memory_line import MemoryLine, MemoryWire
from campus_node.lines.messages import write
from campus_node.lines.sessions import TerminalSession
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import VirtualClock
from tests.lines.subject import PEER, TERMINAL, Counting, leased, names, random_bytes

KINDS = st.sampled_from([b"", b"\x01", b"\x11", b"\x12", b"\x13", b"\x14", b"\x21"])
GARBAGE = st.lists(st.tuples(KINDS, st.binary(max_size=80)).map(b"".join), max_size=20)


class SteppedMemoryLine:
    """The head's end of a line in memory, as a drive wants it."""

    def __init__(self, wire_: MemoryWire) -> None:
        self._wire = wire_
        self._line: MemoryLine = wire_.end(HEAD)
        self.name = self._line.name
        self.send = self._line.send
        self.receive = self._line.receive
        self.close = self._line.close

    def step(self, now_s: float) -> float:
        return self._wire.step(now_s)

    def descriptor(self) -> int | None:
        return None

    def events(self) -> list[Event]:
        return []


class Floor:
    """Takes down what the desk passes on. It implements `Floor`."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.strangers = 0

    def isolated(self, _terminal_id: bytes) -> bool:
        return False

    def acted(self, _line: str, terminal_id: bytes, act: Act) -> None:
        assert terminal_id == TERMINAL
        self.acts.append(act)

    def began(self, _line: str, _peer: Peer, terminal_id: bytes) -> None:
        assert terminal_id == TERMINAL

    def stranger(self, _line: str, _peer: Peer, _terminal_id: bytes, _why: str) -> None:
        self.strangers += 1


class Room:
    """A desk and one honest terminal with a session."""

    def __init__(self) -> None:
        self.wire = MemoryWire()
        self.floor = Floor()
        sessions = HeadSessions(leased(), Counting(), random_bytes("desk"))
        self.desk = LineDesk(SteppedMemoryLine(self.wire), sessions, self.floor, VirtualClock())
        self.till = self.wire.end(PEER)
        self.session = TerminalSession(names(), leased(), Counting(), random_bytes("till"))
        self.now_s = 0.0
        hello = self.session.step(0.0)
        assert hello is not None
        self.till.send(HEAD, hello)
        self.go_on()

    def go_on(self, turns: int = 40) -> None:
        for _ in range(turns):
            self.now_s += 0.01
            self.desk.step(self.now_s)
            while (received := self.till.receive(0)) is not None:
                if received.message[0] == 0x12:
                    reply = self.session.take(received.message, self.now_s).reply
                    assert reply is not None
                    self.till.send(HEAD, reply)

    def demand_service(self) -> None:
        """Fail unless a record of the honest terminal is passed on now."""
        records = wire.Records(journal_id=bytes(16), first_seq=1, bodies=[b"honest"], last_seq=1)
        self.till.send(HEAD, self.session.seal(write(wire.FromTerminal(message_id=1, records=records))))
        self.go_on()
        kept = [act for act in self.floor.acts if isinstance(act, Keep)]
        assert kept[-1].brought.bodies == (b"honest",)


@given(garbage=GARBAGE)
@settings(max_examples=200, deadline=None)
def test_no_bytes_on_the_line_end_the_desk_and_none_become_a_record(garbage: list[bytes]) -> None:
    room = Room()
    for message in garbage:
        room.wire.inject(PEER, HEAD, message or b"\0")
        room.wire.inject(Peer(0x33), HEAD, message or b"\0")
    room.go_on()
    assert not room.floor.acts
    room.demand_service()


@given(garbage=st.lists(st.binary(max_size=200), max_size=10))
@settings(max_examples=200, deadline=None)
def test_no_words_of_a_proven_terminal_end_the_desk(garbage: list[bytes]) -> None:
    room = Room()
    for plaintext in garbage:
        room.till.send(HEAD, room.session.seal(plaintext))
    room.go_on()
    room.demand_service()


@given(cut=st.integers(0, 60), flip=st.integers(0, 59), bit=st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_a_truncated_or_changed_envelope_is_not_believed(cut: int, flip: int, bit: int) -> None:
    room = Room()
    records = wire.Records(journal_id=bytes(16), first_seq=1, bodies=[b"changed"], last_seq=1)
    envelope = room.session.seal(write(wire.FromTerminal(message_id=1, records=records)))
    changed = bytearray(envelope)
    changed[flip % len(envelope)] ^= 1 << bit
    for message in (envelope[:cut], bytes(changed)):
        if message and message != envelope:
            room.wire.inject(PEER, HEAD, message)
    room.go_on()
    assert not room.floor.acts
    room.demand_service()
