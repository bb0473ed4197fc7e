"""What two ends of a TCP line owe each other, whatever connections do. Pure: no socket, no clock."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.lines.errors import FrameBroken, PeerGone
from campus_node.lines.tcp_frames import FrameReader, Kind, encode, encode_message
from campus_node.lines.tcp_link import BROAD, METERED, QUEUED_MAX, WINDOW, Link, Tempo
from federation.errors import Overloaded
from tests.lines.subject import random_bytes

TEMPO = Tempo(ping_after_s=2.0, dead_after_s=5.0, gone_after_s=50.0)


class Pair:
    """Two links and a wire between them that loses what is on its way when it is cut."""

    def __init__(self, tempo: Tempo = TEMPO) -> None:
        self.now_s = 0.0
        self.tempo = tempo
        self.links = [self.new(0), self.new(1)]
        self.wires: list[deque[bytes]] = [deque(), deque()]
        self.readers = [FrameReader(), FrameReader()]
        self.got: list[list[bytes]] = [[], []]
        self.bytes_sent = [0, 0]

    def new(self, side: int) -> Link:
        return Link(f"side {side}", self.tempo, random_bytes(f"link {side} {self.now_s}"), self.now_s)

    def connect(self) -> None:
        self.cut()
        for side in (0, 1):
            self.readers[side] = FrameReader()
            self.links[side].connect(self.now_s)

    def cut(self) -> None:
        for side in (0, 1):
            self.wires[side].clear()
            self.links[side].disconnect(self.now_s)

    def flow(self, side: int, part: int | None = None) -> None:
        """Let bytes flow from one side to the other, a part of them only if given."""
        out = self.links[side].output(self.now_s)
        self.bytes_sent[side] += len(out)
        self.wires[side].append(out)
        stream = b"".join(self.wires[side])
        size = len(stream) if part is None else part % (len(stream) + 1)
        self.wires[side] = deque([stream[size:]])
        for frame in self.readers[1 - side].feed(stream[:size]):
            message = self.links[1 - side].take(frame, self.now_s)
            if message is not None:
                self.got[1 - side].append(message)

    def settle(self) -> None:
        for _ in range(20):
            self.flow(0)
            self.flow(1)


steps = st.one_of(
    st.tuples(st.just("push"), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("flow"), st.integers(0, 1), st.integers(0, 5000)),
    st.tuples(st.just("cut"), st.just(0), st.just(0)),
    st.tuples(st.just("connect"), st.just(0), st.just(0)),
    st.tuples(st.just("wait"), st.just(0), st.integers(0, 3)),
)


@given(st.lists(steps, max_size=80))
@settings(max_examples=200)
def test_no_connection_that_breaks_loses_repeats_or_reorders_a_message(
    script: list[tuple[str, int, int]],
) -> None:
    pair, sent = Pair(), [[], []]  # type: tuple[Pair, list[list[bytes]]]
    up = False
    for act, side, size in script:
        match act:
            case "push":
                message = f"{side} {len(sent[side])}".encode()
                pair.links[side].push(message, False, pair.now_s)
                sent[side].append(message)
            case "flow" if up:
                pair.flow(side, size)
            case "cut":
                pair.cut()
                up = False
            case "connect":
                pair.connect()
                up = True
            case "wait":
                pair.now_s += size / 100
    pair.connect()
    pair.settle()
    assert pair.got == [sent[1], sent[0]]


@given(st.lists(st.tuples(steps, st.integers(0, 9)), max_size=60))
@settings(max_examples=200)
def test_a_process_that_starts_again_never_makes_a_message_arrive_twice_or_out_of_order(
    script: list[tuple[tuple[str, int, int], int]],
) -> None:
    pair, sent = Pair(), [[], []]  # type: tuple[Pair, list[list[bytes]]]
    up = False
    for (act, side, size), dice in script:
        pair.now_s += 0.001
        if dice == 0:  # the process dies, and with it the connection
            pair.cut()
            pair.links[side] = pair.new(side)
            up = False
        elif act == "push":
            message = f"{side} {len(sent[side]):04}".encode()
            pair.links[side].push(message, bool(size), pair.now_s)
            sent[side].append(message)
        elif act == "flow" and up:
            pair.flow(side, size)
        elif act == "connect":
            pair.connect()
            up = True
        elif act == "cut":
            pair.cut()
            up = False
    for link, words in ((pair.links[0], b"last 0"), (pair.links[1], b"last 1")):
        link.push(words, False, pair.now_s)
    pair.connect()
    pair.settle()
    for side in (0, 1):
        got = pair.got[1 - side]
        assert got[-1] == b"last %d" % side
        assert len(got) == len(set(got))
        assert set(got[:-1]) <= set(sent[side])


def test_what_waits_too_long_for_a_peer_is_dropped_and_the_peer_is_gone() -> None:
    pair = Pair()
    pair.links[0].push(b"old", False, 0.0)
    assert pair.links[0].due_s() == TEMPO.gone_after_s
    pair.now_s = TEMPO.gone_after_s
    assert pair.links[0].output(pair.now_s) == b""
    with pytest.raises(PeerGone):
        pair.links[0].push(b"new", False, pair.now_s)
    pair.connect()
    pair.settle()
    pair.links[0].push(b"back", False, pair.now_s)
    pair.settle()
    assert pair.got[1] == [b"back"]


def test_after_a_long_absence_both_ends_begin_anew_and_understand_each_other() -> None:
    pair = Pair()
    pair.connect()
    pair.settle()
    for side in (0, 1):
        pair.links[side].push(b"before", False, pair.now_s)
    pair.settle()
    pair.cut()
    pair.links[0].push(b"dropped", False, pair.now_s)
    pair.now_s += TEMPO.gone_after_s
    for link in pair.links:
        link.output(pair.now_s)
    pair.connect()
    pair.settle()
    for side in (0, 1):
        pair.links[side].push(b"after", False, pair.now_s)
    pair.settle()
    assert pair.got == [[b"before", b"after"], [b"before", b"after"]]


def test_silence_is_asked_about_and_then_ends_the_connection() -> None:
    pair = Pair()
    pair.connect()
    pair.settle()
    link = pair.links[0]
    pair.now_s = link.due_s()
    assert pair.now_s == TEMPO.ping_after_s
    assert link.output(pair.now_s) == encode(Kind.PING)
    assert link.output(pair.now_s) == b"", "asked once"
    assert not link.dead(pair.now_s)
    pair.now_s = link.due_s()
    assert link.dead(pair.now_s)


def test_a_ping_is_answered_and_keeps_the_connection() -> None:
    pair = Pair()
    pair.connect()
    pair.settle()
    for _ in range(20):
        pair.now_s += TEMPO.ping_after_s
        pair.settle()
        assert not any(link.dead(pair.now_s) for link in pair.links)


def test_a_metered_line_batches_what_is_not_urgent_and_nothing_waits_longer_than_it_may() -> None:
    pair = Pair(METERED)
    pair.connect()
    pair.settle()
    before = pair.bytes_sent[0]
    for number in range(5):
        pair.links[0].push(b"%d" % number, False, pair.now_s)
        pair.now_s += 1
        pair.flow(0)
    assert pair.bytes_sent[0] == before
    assert pair.links[0].due_s() == METERED.batch_s
    pair.now_s = METERED.batch_s
    pair.flow(0)
    assert pair.got[1] == [b"0", b"1", b"2", b"3", b"4"]

    pair.links[0].push(b"later", False, pair.now_s)
    pair.links[0].push(b"now", True, pair.now_s)
    pair.flow(0)
    assert pair.got[1][5:] == [b"now", b"later"]

    pair.links[0].push(bytes(METERED.batch_bytes), False, pair.now_s)
    pair.flow(0)
    assert len(pair.got[1]) == 8


def test_a_metered_line_acknowledges_many_messages_at_once() -> None:
    pair = Pair(METERED)
    pair.connect()
    pair.settle()
    before = pair.bytes_sent[1]
    for number in range(10):
        pair.links[0].push(b"%d" % number, True, pair.now_s)
        pair.flow(0)
        pair.flow(1)
    assert pair.bytes_sent[1] == before
    pair.now_s += METERED.taken_s
    pair.flow(1)
    assert pair.bytes_sent[1] - before == len(encode(Kind.TAKEN, bytes(4)))


def test_no_more_than_a_window_is_on_its_way_and_no_more_than_a_queue_waits() -> None:
    pair = Pair(BROAD)
    pair.connect()
    pair.settle()
    link = pair.links[0]
    for number in range(QUEUED_MAX):
        link.push(b"%03d" % number, False, 0.0)
    with pytest.raises(Overloaded):
        link.push(b"too many", False, 0.0)
    assert len(link.output(0.0)) == WINDOW * len(encode_message(1, b"000"))
    assert link.output(0.0) == b""
    assert link.due_s() > 0.0, "nothing can be done until something is taken"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([Kind.MESSAGE, Kind.TAKEN, Kind.OPEN]),
            st.integers(0, 70),
            st.binary(min_size=33, max_size=33),
        ),
        max_size=10,
    )
)
def test_frames_against_the_rules_raise_our_own_error_only(frames: list[tuple[Kind, int, bytes]]) -> None:
    pair = Pair()
    pair.connect()
    pair.settle()
    pair.links[0].push(b"x", False, 0.0)
    pair.links[0].output(0.0)
    for kind, number, rest in frames:
        body = number.to_bytes(4, "big")
        if kind is Kind.MESSAGE:
            body += rest
        elif kind is Kind.OPEN:
            body = b"\1" + rest[1:] + body
        try:
            pair.links[0].take(next(iter(FrameReader().feed(encode(kind, body)))), 0.0)
        except FrameBroken:
            return
