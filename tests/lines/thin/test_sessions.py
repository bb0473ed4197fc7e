"""Sessions over a thin link: begun, used and begun again through bad air, and no stranger in between."""

import pytest

from campus_node.lines.errors import Forged, FrameBroken, Replayed, SessionMissing
from campus_node.lines.head_sessions import HeadSessions
from campus_node.lines.line import HEAD, Peer
from campus_node.lines.sessions import TerminalSession
from campus_node.lines.thin.cells import Kind, cut, encode
from campus_node.lines.thin.radio import Heard
from hil_rig.virtual.radio_air import Misfortune
from tests.lines.subject import Counting, leased, names, random_bytes
from tests.lines.thin.air_time import AirTime

ONE = Peer(1)


class Talking:
    """A terminal that says what it has to say, and says it again while it has no answer."""

    def __init__(self, seed: int, misfortune: Misfortune) -> None:
        self.air = AirTime(1, seed, misfortune)
        self.terminal = TerminalSession(names(address=ONE), leased(), Counting(), random_bytes(f"t{seed}"))
        self.head = HeadSessions(leased(), Counting(), random_bytes(f"h{seed}"))
        self.said: list[bytes] = []  # what reached the head, proven
        self.answers: list[bytes] = []
        self.refused: list[type[Exception]] = []

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            now_s = self.air.air.now_s
            if hello := self.terminal.step(now_s):
                self.air.tills[ONE].send(HEAD, hello)
            while received := self.air.head.receive(0):
                self._at_head(received.message, now_s)
            while received := self.air.tills[ONE].receive(0):
                self._at_terminal(received.message, now_s)
            self.air.run(0.05)

    def say(self, plaintext: bytes) -> None:
        self.air.tills[ONE].send(HEAD, self.terminal.seal(plaintext))

    def _at_head(self, message: bytes, now_s: float) -> None:
        try:
            taken = self.head.take(ONE, message, now_s)
        except (Forged, Replayed, FrameBroken, SessionMissing) as error:
            self.refused.append(type(error))
            return
        if taken.reply:
            self.air.head.send(ONE, taken.reply)
        if taken.plaintext and taken.terminal_id:
            self.said.append(taken.plaintext)
            self.air.head.send(ONE, self.head.seal(taken.terminal_id, b"answer to " + taken.plaintext))

    def _at_terminal(self, message: bytes, now_s: float) -> None:
        try:
            taken = self.terminal.take(message, now_s)
        except (Forged, Replayed, FrameBroken, SessionMissing) as error:
            self.refused.append(type(error))
            return
        if taken.reply:
            self.air.tills[ONE].send(HEAD, taken.reply)
        if taken.plaintext:
            self.answers.append(taken.plaintext)


@pytest.mark.parametrize("seed", range(4))
def test_a_session_is_begun_and_used_through_bad_air(seed: int) -> None:
    talking = Talking(seed, Misfortune(lose=0.15, corrupt=0.05, duplicate=0.1, delay=0.1))
    talking.run(30)
    assert talking.terminal.ready
    for number in range(20):
        talking.say(b"record %d" % number)
    talking.run(60)
    assert talking.said == [b"record %d" % number for number in range(20)]
    assert talking.answers == [b"answer to record %d" % number for number in range(20)]
    assert Replayed not in talking.refused, "the link hands on no copies"


def test_what_a_stranger_sends_under_a_terminals_address_is_believed_by_nobody() -> None:
    talking = Talking(0, Misfortune())
    talking.run(5)
    overheard: list[bytes] = []
    talking.air.air.tap = lambda source, _target, cell: overheard.append(cell) if source == ONE else None
    talking.say(b"record")
    talking.run(2)
    assert talking.said == [b"record"]
    radio = talking.air.radios[HEAD]
    for cell in overheard:  # as it was: the link knows it
        radio.hear(Heard(ONE, cell))
    talking.run(2)
    sealed = talking.terminal.seal(b"later")
    forged = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    for number, message in enumerate((sealed, sealed, forged)):
        for cell in cut(Kind.PART, False, 5000 + number, message):
            radio.hear(Heard(ONE, encode(cell)))
    talking.run(2)
    assert talking.said == [b"record", b"later"], "a copy and a forgery change nothing"
    assert talking.refused == [Replayed, Forged]
    talking.say(b"honest")
    talking.run(15)
    assert talking.said[-1] == b"honest"
