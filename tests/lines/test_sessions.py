"""How sessions begin, go on and end, against golden bytes, a PSAM in software, and a stranger on the wire."""

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.lines import handshake as shake
from campus_node.lines.counterpart import LeasedKeys, lend
from campus_node.lines.envelope import Direction, label
from campus_node.lines.errors import Forged, FrameBroken, Replayed, SessionMissing, SessionSpent
from campus_node.lines.head_sessions import BEGUN_S_MAX, HELLOS_PER_S_MAX, HeadSessions
from campus_node.lines.line import Peer
from campus_node.lines.reservations import FileReservation, ReservationLost
from campus_node.lines.sessions import RENEW_COUNTER, SESSION_S_MAX, Channel, Taken, TerminalSession
from campus_node.purse.algorithm import Algorithm
from federation.clock import VirtualClock
from federation.errors import CampusCardError, NotIdentified
from tests.lines.subject import (
    PEER,
    SERIAL,
    TERMINAL,
    Counting,
    Ends,
    lease,
    leased,
    names,
    psam_secret_source,
    random_bytes,
)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_psam_and_its_counterpart_begin_a_session_and_talk_both_ways(algorithm: Algorithm) -> None:
    ends = Ends(algorithm, psam_secret_source())
    ends.begin()
    assert ends.to_head(ends.terminal.seal(b"records")) == Taken(b"records", terminal_id=TERMINAL)
    assert ends.to_terminal(ends.head.seal(TERMINAL, b"durable")).plaintext == b"durable"
    assert ends.head.terminals() == {TERMINAL: PEER}
    assert not any(b"records" in message or b"durable" in message for message in ends.tapped)


def test_the_key_lent_to_a_gateway_is_the_campus_key_diversified_with_the_serial() -> None:
    campus = bytes(range(16))
    lent = lend(Algorithm.TDES, campus, bytes.fromhex("0000") + bytes(range(8)))
    assert lent == lend(Algorithm.TDES, campus, bytes.fromhex("FFFF") + bytes(range(8)))
    assert lent != lend(Algorithm.TDES, campus, bytes(10))


@given(draws=st.data())
def test_a_stranger_with_the_wire_gets_nothing_accepted(draws: st.DataObject) -> None:
    ends = Ends(seed="stranger")
    ends.begin()
    said = [ends.terminal.seal(f"record {n}".encode()) for n in range(4)]
    for n, message in enumerate(said):
        assert ends.to_head(message).plaintext == f"record {n}".encode()
    told = [ends.head.seal(TERMINAL, b"ack") for _ in range(2)]
    for message in told:
        ends.to_terminal(message)
    for _ in range(8):
        tapped = draws.draw(st.sampled_from(ends.tapped))
        cut = draws.draw(st.integers(0, len(tapped)))
        message = draws.draw(
            st.sampled_from([tapped, tapped[:cut], tapped[:cut] + b"\x55" + tapped[cut + 1 :]])
        )
        peer = draws.draw(st.sampled_from([PEER, Peer(0x12)]))
        with suppress(CampusCardError):
            assert ends.head.take(peer, message, ends.now_s).plaintext is None
        with suppress(CampusCardError):
            assert ends.terminal.take(message, ends.now_s).plaintext is None
    assert ends.head.terminals() == {TERMINAL: PEER}, "the honest session stands where it was"
    assert ends.to_head(ends.terminal.seal(b"still here")).plaintext == b"still here"
    assert ends.to_terminal(ends.head.seal(TERMINAL, b"so am I")).plaintext == b"so am I"


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x01", b"\x11", b"\x12", b"\x13", b"\x14", b"\x21"]))
def test_garbage_raises_our_own_errors_only(garbage: bytes, start: bytes) -> None:
    ends = Ends(seed="garbage")
    ends.begin()
    for _ in range(2):
        with suppress(CampusCardError):
            assert ends.to_head(start + garbage).plaintext is None
        with suppress(CampusCardError):
            assert ends.to_terminal(start + garbage).plaintext is None
    assert ends.to_head(ends.terminal.seal(b"x")).plaintext == b"x"


@given(st.binary(min_size=1, max_size=60))
@settings(max_examples=300)
def test_what_parses_is_what_was_encoded(message: bytes) -> None:
    for kind in (shake.Hello, shake.Challenge, shake.Proof, shake.Renew):
        for candidate in (message, bytes((0x11,)) + message.ljust(32, b"\1")[:32]):
            with suppress(FrameBroken):
                assert kind.parse(candidate).encode() == candidate


def test_a_recorded_session_cannot_be_played_again_to_either_end() -> None:
    ends = Ends()
    ends.begin()
    record = ends.terminal.seal(b"10 yuan")
    ends.to_head(record)
    recorded = list(ends.tapped)
    for message in recorded:
        with suppress(Replayed, FrameBroken, Forged):
            assert ends.to_head(message).plaintext is None
        with suppress(FrameBroken, SessionMissing, Forged):
            assert ends.to_terminal(message).plaintext is None
    with pytest.raises(Replayed):
        ends.to_head(record)


def test_a_session_is_good_at_the_address_where_it_began_only() -> None:
    ends = Ends()
    ends.begin()
    envelope = ends.terminal.seal(b"x")
    with pytest.raises(Forged):
        ends.to_head(envelope, Peer(0x12))
    assert ends.to_head(envelope).plaintext == b"x"


def test_a_hello_for_another_address_is_refused() -> None:
    ends = Ends()
    hello = ends.terminal.step(ends.now_s)
    assert hello is not None
    with pytest.raises(FrameBroken):
        ends.to_head(hello, Peer(0x12))


def test_a_head_without_the_key_gets_no_proof_and_the_true_one_still_does() -> None:
    ends = Ends()
    hello = ends.terminal.step(ends.now_s)
    assert hello is not None
    false = shake.Challenge(9, bytes(8), bytes(8)).encode()
    with pytest.raises(Forged):
        ends.to_terminal(false)
    assert not ends.terminal.ready
    challenge = ends.to_head(hello).reply
    assert challenge is not None
    assert ends.to_terminal(challenge).reply is not None
    assert ends.terminal.ready


def test_a_stranger_cannot_make_the_psam_work_for_ever() -> None:
    ends = Ends()
    assert ends.terminal.step(ends.now_s)
    false = shake.Challenge(9, bytes(8), bytes(8)).encode()
    answers: list[Taken | None] = []
    for _ in range(20):
        try:
            answers.append(ends.to_terminal(false))
        except Forged:
            answers.append(None)
    assert answers.count(None) == 8
    assert answers[8:] == [Taken()] * 12


def test_an_unknown_terminal_another_key_and_an_expired_lease_are_refused() -> None:
    clock = VirtualClock()
    hello = names().hello(1, bytes(8))
    for keys, named in (
        (LeasedKeys({}, clock), "no key for"),
        (LeasedKeys({SERIAL: lease(Algorithm.SM4)}, clock), "names another key"),
        (LeasedKeys({SERIAL: lease(expires_at_unix_ms=clock.unix_ms())}, clock), "expired"),
    ):
        with pytest.raises(NotIdentified, match=named):
            keys.secret(hello, bytes(8), bytes(32))


def test_a_lost_proof_is_made_good_by_the_first_envelope() -> None:
    ends = Ends()
    hello = ends.terminal.step(ends.now_s)
    assert hello is not None
    challenge = ends.to_head(hello).reply
    assert challenge is not None
    assert ends.to_terminal(challenge).reply
    with pytest.raises(SessionMissing):
        ends.head.seal(TERMINAL, b"too early")
    assert ends.to_head(ends.terminal.seal(b"first")) == Taken(b"first", terminal_id=TERMINAL)
    assert ends.to_terminal(ends.head.seal(TERMINAL, b"now")).plaintext == b"now"


def test_lost_hellos_are_repeated_later_and_later_and_never_under_the_same_number() -> None:
    ends = Ends()
    numbers, instants = [], []
    for _ in range(12):
        hello = ends.terminal.step(ends.now_s)
        assert hello is not None
        assert ends.terminal.step(ends.now_s) is None, "nothing is due yet"
        numbers.append(shake.Hello.parse(hello).number)
        instants.append(ends.now_s)
        ends.now_s = ends.terminal.due_s
    waits = [after - before for before, after in pairwise(instants)]
    assert numbers == list(range(1, 13))
    assert 0.375 <= waits[0] <= 0.625
    assert all(22.5 <= wait <= 37.5 for wait in waits[7:])


def test_a_head_that_restarted_says_so_and_the_terminal_begins_again() -> None:
    ends = Ends()
    ends.begin()
    ends.head = HeadSessions(leased(), Counting(1000), random_bytes("restarted"))
    lost = ends.terminal.seal(b"lost")
    ends.now_s += 5
    hint = ends.to_head(lost).reply
    assert hint is not None
    assert ends.to_head(ends.terminal.seal(b"lost too")) == Taken(), "one hint in two seconds is enough"
    assert ends.to_terminal(hint) == Taken()
    assert ends.terminal.seal(b"a hint alone ends nothing")
    ends.begin()
    assert ends.to_head(ends.terminal.seal(b"again")).plaintext == b"again"


def test_a_session_is_renewed_after_a_day_without_being_asked() -> None:
    ends = Ends()
    ends.begin()
    begun_at_s = ends.now_s
    assert ends.terminal.due_s == begun_at_s + SESSION_S_MAX
    ends.now_s = ends.terminal.due_s - 1
    assert ends.terminal.step(ends.now_s) is None
    assert ends.head.renewals_due(ends.now_s) == []
    ends.now_s += 1
    number = label(ends.terminal.seal(b"x")).session
    assert ends.head.renewals_due(ends.now_s) == [(PEER, shake.Renew(number).encode())]
    ends.begin()
    assert label(ends.terminal.seal(b"x")).session > number


def test_a_terminal_whose_numbers_cannot_be_had_tries_again_later_and_not_at_once() -> None:
    class Lost(Counting):
        def take(self) -> int:
            raise ReservationLost("no disk")

    ends = Ends(numbers=Lost())
    with pytest.raises(ReservationLost):
        ends.terminal.step(ends.now_s)
    assert ends.terminal.step(ends.now_s) is None
    assert ends.terminal.due_s > ends.now_s


def test_a_forged_hint_changes_nothing_but_the_moment_of_the_next_hello() -> None:
    ends = Ends()
    ends.begin()
    number = label(ends.terminal.seal(b"x")).session
    hellos = 0
    for _ in range(100):
        ends.to_terminal(shake.Renew(number).encode())
        ends.to_terminal(shake.Renew(number + 1).encode())
        hellos += ends.terminal.step(ends.now_s) is not None
        ends.now_s += 0.01
    assert hellos <= 1
    assert ends.to_head(ends.terminal.seal(b"the session goes on")).plaintext


def test_the_old_session_serves_until_the_new_one_is_proven_and_what_was_on_its_way_arrives() -> None:
    ends = Ends()
    ends.begin()
    ends.now_s += SESSION_S_MAX
    hello = ends.terminal.step(ends.now_s)
    assert hello is not None
    challenge = ends.to_head(hello).reply
    assert challenge is not None
    assert ends.to_head(ends.terminal.seal(b"old")).plaintext == b"old"
    on_its_way = ends.head.seal(TERMINAL, b"sealed before")
    proof = ends.to_terminal(challenge).reply
    assert proof is not None
    assert ends.to_head(proof).terminal_id == TERMINAL
    assert ends.to_terminal(on_its_way).plaintext == b"sealed before"
    assert ends.to_head(ends.terminal.seal(b"new")).plaintext == b"new"


def test_a_begun_session_lapses_and_hellos_are_answered_so_many_times_a_second() -> None:
    ends = Ends()
    hello = ends.terminal.step(ends.now_s)
    assert hello is not None
    answers = [ends.to_head(hello).reply for _ in range(HELLOS_PER_S_MAX + 5)]
    assert [answer is not None for answer in answers] == [True] * HELLOS_PER_S_MAX + [False] * 5
    challenge = answers[HELLOS_PER_S_MAX - 1]
    assert challenge is not None
    proof = ends.to_terminal(challenge).reply
    assert proof is not None
    ends.now_s += BEGUN_S_MAX + 0.1
    late = ends.to_head(proof)
    assert late.terminal_id is None
    assert late.reply == shake.Renew(shake.Proof.parse(proof).session).encode()


def test_a_revoked_terminal_has_no_session_and_begins_none() -> None:
    keys = {SERIAL: lease()}
    ends = Ends()
    ends.head = HeadSessions(LeasedKeys(keys, VirtualClock()), Counting(), random_bytes("head"))
    ends.begin()
    del keys[SERIAL]
    ends.head.close(TERMINAL)
    assert ends.to_head(ends.terminal.seal(b"x")).plaintext is None
    ends.now_s += SESSION_S_MAX
    hello = ends.terminal.step(ends.now_s)
    assert hello is not None
    with pytest.raises(NotIdentified):
        ends.to_head(hello)


def test_two_terminals_at_one_address_are_both_seen() -> None:
    ends = Ends()
    other_id, other_serial = bytes.fromhex("112233445577"), bytes(9) + b"\2"
    first = lease()
    second = type(first)(other_id, 0x28, 1, Algorithm.TDES, bytes(16), first.expires_at_unix_ms)
    keys = LeasedKeys({SERIAL: first, other_serial: second}, VirtualClock())
    ends.head = HeadSessions(keys, Counting(), random_bytes("head"))
    ends.begin()
    twin = type(names())(other_id, other_serial, 0x28, 1, 0, PEER)
    ends.terminal = TerminalSession(twin, keys, Counting(), random_bytes("twin"))
    hello = ends.terminal.step(ends.now_s)
    assert hello is not None
    challenge = ends.to_head(hello).reply
    assert challenge is not None
    proof = ends.to_terminal(challenge).reply
    assert proof is not None
    ends.to_head(proof)
    assert ends.head.terminals() == {TERMINAL: PEER, other_id: PEER}


def test_a_spent_counter_asks_for_the_next_session_in_time_and_is_never_used_twice() -> None:
    channel = Channel(1, shake.SessionKeys(bytes(16), bytes(32)), Direction.FROM_TERMINAL, 0.0)
    assert not channel.renewal_due(SESSION_S_MAX - 1)
    channel._sealed = RENEW_COUNTER
    assert channel.renewal_due(0.0)
    channel._sealed = 0xFFFF_FFFE
    assert label(channel.seal(b"the last")).counter == 0xFFFF_FFFF
    with pytest.raises(SessionSpent):
        channel.seal(b"one too many")


@given(lives=st.lists(st.integers(1, 3), min_size=2, max_size=6))
@settings(max_examples=20, deadline=None)
def test_no_key_and_nonce_come_twice_though_the_random_source_repeats_itself(
    tmp_path_factory: pytest.TempPathFactory, lives: list[int]
) -> None:
    folder, used = tmp_path_factory.mktemp("lives"), set[tuple[bytes, bytes]]()
    for messages in lives:  # each life begins as a snapshot was restored: same random bytes
        hello_numbers, session_numbers = _open(folder / "terminal"), _open(folder / "head")
        terminal = TerminalSession(names(), leased(), hello_numbers, bytes)
        head = HeadSessions(leased(), session_numbers, bytes)
        hello = terminal.step(0.0)
        assert hello is not None
        challenge = head.take(PEER, hello, 0.0).reply
        assert challenge is not None
        proof = terminal.take(challenge, 0.0).reply
        assert proof is not None
        head.take(PEER, proof, 0.0)
        assert terminal._current is not None
        key = terminal._current.keys.traffic
        for _ in range(messages):
            for envelope, direction in ((terminal.seal(b"t"), b"\0"), (head.seal(TERMINAL, b"h"), b"\1")):
                pair = key, direction + envelope[1:9]
                assert pair not in used
                used.add(pair)
        hello_numbers.close()
        session_numbers.close()


def _open(path: Path) -> FileReservation:
    return FileReservation.open(path)
