"""What every line promises, whatever its wire is: inherit `LineContract` and give it a fixture `ends`.

    class TestMyLine(LineContract):
        @pytest.fixture
        def ends(self) -> Iterator[Ends]:
            ...

Time passes only in `Ends.pass_time`: a discrete-event line moves its clock there, a real one works so long.
"""

import random
from typing import Protocol

import pytest

from campus_node.lines.errors import LineDown, MessageSize, PeerGone
from campus_node.lines.line import HEAD, MESSAGE_BYTES_MAX, Line, Peer, Received
from federation.errors import Overloaded

TERMINALS = (Peer(1), Peer(2), Peer(3))
QUEUED_MAX = 20_000  # no queue is longer: whoever takes so many has none
SLICE_S = 0.02


class Ends(Protocol):
    """A line with its head, the terminals 1, 2 and 3, and the hand that moves its time.

    Attributes:
        head: the head's end.
        message_bytes_max: what the line carries at most.
        patience_s: within this time 100 messages of 100 bytes, or one of the longest, have certainly arrived.
        tells_gone: whether `send` to a cut terminal says PeerGone at the latest after patience_s.
    """

    message_bytes_max: int
    patience_s: float
    tells_gone: bool

    @property
    def head(self) -> Line: ...

    def terminal(self, address: Peer) -> Line:
        """Return a terminal's end, always the same."""

    def pass_time(self, seconds: float) -> None:
        """Let all ends work for so long."""

    def cut(self, address: Peer) -> None:
        """Cut the terminal off; its process goes on."""

    def mend(self, address: Peer) -> None:
        """Connect it again."""


def take(ends: Ends, line: Line, patience_s: float | None = None) -> Received | None:
    """Return the next message of a line, None if nothing came within the patience."""
    left_s = ends.patience_s if patience_s is None else patience_s
    while (received := line.receive(0.0)) is None and left_s > 0:
        ends.pass_time(SLICE_S)
        left_s -= SLICE_S
    return received


def take_many(ends: Ends, line: Line, count: int) -> list[Received]:
    """Return the next messages of a line, fewer if no other came within the patience."""
    found: list[Received] = []
    while len(found) < count and (received := take(ends, line)) is not None:
        found.append(received)
    return found


def send_when_there_is_room(ends: Ends, line: Line, peer: Peer, message: bytes) -> None:
    """Send, and let time pass while the queue is full."""
    left_s = ends.patience_s
    while True:
        try:
            line.send(peer, message)
        except Overloaded:
            assert left_s > 0, "the queue never empties"
            ends.pass_time(SLICE_S)
            left_s -= SLICE_S
        else:
            return


class LineContract:
    """The suite; see the module."""

    @pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 62, 63, 64, 100, 255, 256, 1024, 1025, 4094, 4095])
    def test_a_message_of_any_length_arrives_whole_both_ways(self, ends: Ends, length: int) -> None:
        length = min(length, ends.message_bytes_max)
        message = random.Random(length).randbytes(length)
        ends.terminal(TERMINALS[1]).send(HEAD, message)
        assert take(ends, ends.head) == (TERMINALS[1], message)
        ends.head.send(TERMINALS[1], message)
        assert take(ends, ends.terminal(TERMINALS[1])) == (HEAD, message)

    def test_messages_of_each_peer_arrive_in_order_and_once_and_under_its_address(self, ends: Ends) -> None:
        sent = {address: _messages(ends, f"from {address}", 12) for address in TERMINALS}
        for number in range(12):
            for address in TERMINALS:
                send_when_there_is_room(ends, ends.terminal(address), HEAD, sent[address][number])
        received = take_many(ends, ends.head, 36)
        for address in TERMINALS:
            assert [r.message for r in received if r.peer == address] == sent[address]
        assert take(ends, ends.head, SLICE_S) is None

    def test_the_head_speaks_to_each_terminal_apart(self, ends: Ends) -> None:
        sent = {address: _messages(ends, f"to {address}", 8) for address in TERMINALS}
        for number in range(8):
            for address in TERMINALS:
                send_when_there_is_room(ends, ends.head, address, sent[address][number])
        for address in TERMINALS:
            got = take_many(ends, ends.terminal(address), 8)
            assert got == [(HEAD, message) for message in sent[address]]

    def test_both_directions_at_once_do_not_disturb_each_other(self, ends: Ends) -> None:
        line = ends.terminal(TERMINALS[0])
        up, down = _messages(ends, "up", 10), _messages(ends, "down", 10)
        for one, other in zip(up, down, strict=True):
            send_when_there_is_room(ends, line, HEAD, one)
            send_when_there_is_room(ends, ends.head, TERMINALS[0], other)
        assert [r.message for r in take_many(ends, ends.head, 10)] == up
        assert [r.message for r in take_many(ends, line, 10)] == down

    def test_urgent_messages_arrive_whole_and_in_order_among_themselves(self, ends: Ends) -> None:
        line = ends.terminal(TERMINALS[0])
        plain, urgent = _messages(ends, "plain", 6), _messages(ends, "urgent", 6)
        for one, other in zip(plain, urgent, strict=True):
            line.send(HEAD, one)
            line.send(HEAD, other, urgent=True)
        got = [received.message for received in take_many(ends, ends.head, 12)]
        assert [message for message in got if message in plain] == plain
        assert [message for message in got if message in urgent] == urgent

    def test_silence_is_none(self, ends: Ends) -> None:
        assert ends.head.receive(0.0) is None
        assert ends.terminal(TERMINALS[0]).receive(0.0) is None
        ends.pass_time(SLICE_S)
        assert ends.head.receive(0.01) is None

    def test_a_message_is_received_by_nobody_else(self, ends: Ends) -> None:
        ends.head.send(TERMINALS[0], b"for one")
        assert take(ends, ends.terminal(TERMINALS[0])) == (HEAD, b"for one")
        for address in TERMINALS[1:]:
            assert ends.terminal(address).receive(0.0) is None
        assert ends.head.receive(0.0) is None

    def test_no_line_takes_an_empty_or_too_long_message(self, ends: Ends) -> None:
        for length in (0, ends.message_bytes_max + 1, MESSAGE_BYTES_MAX + 1):
            with pytest.raises(MessageSize):
                ends.head.send(TERMINALS[0], bytes(length))
            with pytest.raises(MessageSize):
                ends.terminal(TERMINALS[0]).send(HEAD, bytes(length))

    def test_a_terminal_speaks_to_the_head_only(self, ends: Ends) -> None:
        with pytest.raises(PeerGone):
            ends.terminal(TERMINALS[0]).send(TERMINALS[1], b"psst")

    def test_a_peer_that_is_gone_is_told_and_others_go_on(self, ends: Ends) -> None:
        ends.head.send(TERMINALS[2], b"are you there")
        assert take(ends, ends.terminal(TERMINALS[2])) == (HEAD, b"are you there")
        ends.cut(TERMINALS[2])
        told = False
        for number in range(3):
            try:
                ends.head.send(TERMINALS[2], b"lost")
            except PeerGone:
                told = True
            ends.head.send(TERMINALS[0], bytes((number,)))
            assert take(ends, ends.terminal(TERMINALS[0])) == (HEAD, bytes((number,)))
            ends.pass_time(ends.patience_s / 2)
        if ends.tells_gone and not told:
            with pytest.raises(PeerGone):
                ends.head.send(TERMINALS[2], b"lost")

    def test_a_peer_that_is_back_is_spoken_to_again(self, ends: Ends) -> None:
        ends.cut(TERMINALS[2])
        ends.pass_time(ends.patience_s)
        ends.mend(TERMINALS[2])
        ends.pass_time(ends.patience_s)
        assert _until_it_arrives(ends, ends.terminal(TERMINALS[2]), HEAD, ends.head, b"I am back")
        assert _until_it_arrives(ends, ends.head, TERMINALS[2], ends.terminal(TERMINALS[2]), b"welcome")

    def test_a_full_queue_refuses_and_loses_nothing_that_it_took(self, ends: Ends) -> None:
        line, accepted = ends.terminal(TERMINALS[0]), 0
        while accepted < QUEUED_MAX:
            try:
                line.send(HEAD, accepted.to_bytes(4, "big"))
            except Overloaded as full:
                retry_after_ms = full.retry_after_ms
                break
            accepted += 1
        else:
            pytest.fail("this queue has no bound")
        assert retry_after_ms > 0
        got = take_many(ends, ends.head, accepted)
        assert [received.message for received in got] == [n.to_bytes(4, "big") for n in range(accepted)]
        send_when_there_is_room(ends, line, HEAD, b"room again")
        assert take(ends, ends.head) == (TERMINALS[0], b"room again")

    def test_a_closed_line_is_down_and_may_be_closed_again(self, ends: Ends) -> None:
        line = ends.terminal(TERMINALS[0])
        line.close()
        line.close()
        with pytest.raises(LineDown):
            line.send(HEAD, b"x")
        with pytest.raises(LineDown):
            line.receive(0.0)
        ends.terminal(TERMINALS[1]).send(HEAD, b"the others go on")
        assert take(ends, ends.head) == (TERMINALS[1], b"the others go on")
        ends.head.close()
        with pytest.raises(LineDown):
            ends.head.send(TERMINALS[1], b"x")
        with pytest.raises(LineDown):
            ends.head.receive(0.0)

    def test_every_line_has_a_name_for_people(self, ends: Ends) -> None:
        assert ends.head.name
        assert ends.terminal(TERMINALS[0]).name


def _messages(ends: Ends, name: str, count: int) -> list[bytes]:
    """Return different messages of different lengths, about 100 bytes on average."""
    rng = random.Random(name)
    most = min(ends.message_bytes_max, 200)
    start = name.encode()
    return [
        (start + number.to_bytes(1, "big") + rng.randbytes(rng.randrange(most - 20)))[:most]
        for number in range(count)
    ]


def _until_it_arrives(ends: Ends, sender: Line, peer: Peer, receiver: Line, message: bytes) -> bool:
    """Repeat a message as its sender would, until it is received."""
    for _ in range(10):
        try:
            sender.send(peer, message)
        except (PeerGone, LineDown, Overloaded):
            ends.pass_time(ends.patience_s)
            continue
        received = take(ends, receiver)
        if received is not None:
            return received.message == message
    return False
