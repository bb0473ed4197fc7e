"""The line in memory passes the suite of all lines, and what is planned to go wrong on it does."""

from contextlib import suppress

import pytest

from campus_node.lines.line import ALL, HEAD, MESSAGE_BYTES_MAX, Line, Peer
from campus_node.lines.memory_line import MemoryWire, Misfortune
from federation.errors import CampusCardError
from tests.lines.contract import TERMINALS, Ends, LineContract
from tests.lines.subject import TERMINAL
from tests.lines.subject import Ends as Sessions


class MemoryEnds:
    message_bytes_max = MESSAGE_BYTES_MAX
    patience_s = 1.0
    tells_gone = True

    def __init__(self) -> None:
        self.wire = MemoryWire()
        self.head: Line = self.wire.end(HEAD)
        self._terminals = {address: self.wire.end(address) for address in TERMINALS}

    def terminal(self, address: Peer) -> Line:
        return self._terminals[address]

    def pass_time(self, seconds: float) -> None:
        self.wire.step(self.wire.now_s + seconds)

    def cut(self, address: Peer) -> None:
        self.wire.cut(address)

    def mend(self, address: Peer) -> None:
        self.wire.mend(address)


class TestMemoryLine(LineContract):
    @pytest.fixture
    def ends(self) -> Ends:
        return MemoryEnds()


def run(seed: int, misfortune: Misfortune, count: int = 200) -> tuple[list[bytes], MemoryWire]:
    wire = MemoryWire(seed, misfortune)
    head, terminal = wire.end(HEAD), wire.end(Peer(1))
    for number in range(count):
        terminal.send(HEAD, number.to_bytes(4, "big"))
        wire.step(wire.now_s + 0.002)
    got = []
    while (received := head.receive(1.0)) is not None:
        got.append(received.message)
    return got, wire


@pytest.mark.parametrize("seed", range(3))
def test_each_misfortune_happens_as_planned_and_the_same_seed_repeats_it(seed: int) -> None:
    sent = [number.to_bytes(4, "big") for number in range(200)]
    got, wire = run(seed, Misfortune(lose=0.1))
    assert wire.fired.lost > 0
    assert len(got) == 200 - wire.fired.lost
    assert got == sorted(got)

    got, wire = run(seed, Misfortune(corrupt=0.1))
    assert 0 < sum(one != other for one, other in zip(got, sent, strict=True)) <= wire.fired.corrupted

    got, wire = run(seed, Misfortune(duplicate=0.1))
    assert len(got) == 200 + wire.fired.duplicated > 200

    got, wire = run(seed, Misfortune(reorder=0.1))
    assert wire.fired.reordered > 0
    assert got != sent
    assert sorted(got) == sent
    assert run(seed, Misfortune(reorder=0.1))[0] == got


def test_what_is_said_to_all_reaches_every_terminal() -> None:
    ends = MemoryEnds()
    ends.head.send(ALL, b"hear")
    ends.pass_time(1)
    assert [ends.terminal(address).receive(0) for address in TERMINALS] == [(HEAD, b"hear")] * 3


@pytest.mark.parametrize("seed", range(5))
def test_sessions_over_a_bad_line_lose_messages_and_never_take_one_twice_or_changed(seed: int) -> None:
    wire = MemoryWire(seed, Misfortune(lose=0.1, corrupt=0.1, duplicate=0.2, reorder=0.2))
    head_line, line = wire.end(HEAD), wire.end(Peer(0x11))
    sessions = Sessions(seed=f"bad line {seed}")
    said, taken, refused = set[bytes](), list[bytes](), 0
    for tick in range(4000):
        now_s = wire.now_s
        hello = sessions.terminal.step(now_s)
        if hello is not None:
            line.send(HEAD, hello)
        if sessions.terminal.ready and tick % 4 == 0:
            words = f"record {tick}".encode()
            said.add(words)
            line.send(HEAD, sessions.terminal.seal(words))
        while (at_head := head_line.receive(0)) is not None:
            try:
                outcome = sessions.head.take(at_head.peer, at_head.message, now_s)
            except CampusCardError:
                refused += 1
                continue
            if outcome.plaintext is not None:
                assert outcome.terminal_id == TERMINAL
                taken.append(outcome.plaintext)
            if outcome.reply is not None:
                head_line.send(at_head.peer, outcome.reply)
        while (at_terminal := line.receive(0)) is not None:
            with suppress(CampusCardError):
                reply = sessions.terminal.take(at_terminal.message, now_s).reply
                if reply is not None:
                    line.send(HEAD, reply)
        wire.step(now_s + 0.01)
    assert refused > 100, "nothing went wrong, so nothing is shown"
    assert len(taken) == len(set(taken))
    assert set(taken) <= said
    assert len(taken) > len(said) / 2
