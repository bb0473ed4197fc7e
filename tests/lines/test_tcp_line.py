"""The TCP line over TLS passes the suite of all lines; what only TCP has: cuts, strangers, metered lines."""

import random
import socket
import ssl
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from campus_node.lines.driver import Drive
from campus_node.lines.errors import PeerGone
from campus_node.lines.line import HEAD, MESSAGE_BYTES_MAX, Line, Peer
from campus_node.lines.tcp_frames import FrameReader
from campus_node.lines.tcp_head import STRANGERS_MAX, TcpHeadLine
from campus_node.lines.tcp_line import TcpTerminalLine
from campus_node.lines.tcp_link import METERED, Tempo
from campus_node.lines.tcp_tls import admission, client_context, server_context
from campus_node.pki.campus_pki import CampusPki, Reason, make_root_directory
from campus_node.pki.trust import CampusTrust, make_trust
from federation.clock import SystemClock
from federation.identity import Identity, Role
from tests.lines.contract import TERMINALS, Ends, LineContract, take
from tests.lines.tcp_relay import Relay

TEMPO = Tempo(ping_after_s=0.5, dead_after_s=1.0, gone_after_s=2.0)
DAY_MS = 86_400_000
GATEWAY = Identity("north", Role.GATEWAY, "canteen")
SERVER_NAME = "canteen.gateway.north.campus.test"


def terminal_identity(address: int) -> Identity:
    return Identity("north", Role.TERMINAL, f"{address:04}")


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> CampusPki:
    """A campus with a gateway and five terminals."""
    folder, now = tmp_path_factory.mktemp("lines-pki"), SystemClock().unix_ms()
    make_root_directory(folder / "root", "test scheme", now - 60 * DAY_MS)
    pki = CampusPki(folder / "north", "north", "north.campus.test")
    pki.make_authority(folder / "root", 1, now - 50 * DAY_MS)
    for identity in (GATEWAY, *(terminal_identity(address) for address in range(1, 6))):
        pki.issue(identity, now)
    return pki


def context(pki: CampusPki, identity: Identity) -> ssl.SSLContext:
    make = server_context if identity.role is Role.GATEWAY else client_context
    return make(pki.directory / "campus.pem", *pki.leaf_paths(identity))


class TcpEnds:
    """Sockets are real; the instants that the lines are told are not, so that nothing waits."""

    message_bytes_max = MESSAGE_BYTES_MAX
    patience_s = 4.0
    tells_gone = True

    def __init__(self, pki: CampusPki, tempo: Tempo = TEMPO, seed: int = 1) -> None:
        self.now_s = 0.0
        self.pki = pki
        luck = random.Random(f"tcp ends {seed}")
        self.head: TcpHeadLine = TcpHeadLine(
            "building 1",
            socket.create_server(("127.0.0.1", 0)),
            context(pki, GATEWAY),
            admission(self.trust, SystemClock(), lambda identity: Peer(int(identity.name))),
            random_bytes=luck.randbytes,
            tempo=tempo,
        )
        self.relays = {address: Relay(self.head.port()) for address in TERMINALS}
        self.lines = {
            address: self.line(context(pki, terminal_identity(address)), self.relays[address].port, tempo)
            for address in TERMINALS
        }
        for _ in range(1000):
            if len(self.head.connected()) == len(TERMINALS):
                break
            self.pass_time(0.02)
        assert self.head.connected() == list(TERMINALS), list(self.head.refused)

    def trust(self) -> CampusTrust:
        return make_trust("north", self.pki.authority_certificate(), self.pki.crl())

    def line(self, secure: ssl.SSLContext, port: int, tempo: Tempo = TEMPO) -> TcpTerminalLine:
        return TcpTerminalLine(
            f"to {port}",
            ("127.0.0.1", port),
            SERVER_NAME,
            secure,
            random_bytes=random.Random(f"line {port}").randbytes,
            now_s=self.now_s,
            tempo=tempo,
        )

    def terminal(self, address: Peer) -> Line:
        return self.lines[address]

    def pass_time(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        self.head.wait(0.001)  # this machine's own time to carry bytes from socket to socket
        while self.now_s < until_s:
            self.now_s = min(self.now_s + 0.02, until_s)
            for line in (*self.lines.values(), self.head):
                line.step(self.now_s)
            for relay in self.relays.values():
                relay.step()

    def cut(self, address: Peer) -> None:
        self.relays[address].cut = True

    def mend(self, address: Peer) -> None:
        self.relays[address].break_off()
        self.relays[address].cut = False

    def close(self) -> None:
        for line in (*self.lines.values(), self.head):
            line.close()
        for relay in self.relays.values():
            relay.close()


class TestTcpLine(LineContract):
    @pytest.fixture
    def ends(self, pki: CampusPki) -> Iterator[Ends]:
        ends = TcpEnds(pki)
        yield ends
        ends.close()


@pytest.fixture
def tcp(pki: CampusPki) -> Iterator[TcpEnds]:
    ends = TcpEnds(pki)
    yield ends
    ends.close()


@pytest.mark.parametrize("seed", range(3))
def test_no_broken_connection_loses_or_repeats_a_message(pki: CampusPki, seed: int) -> None:
    patient = Tempo(ping_after_s=0.5, dead_after_s=1.0, gone_after_s=100.0)
    ends, luck = TcpEnds(pki, patient, seed), random.Random(f"broken {seed}")
    try:
        line, got, said = ends.lines[TERMINALS[0]], [], []
        for number in range(150):
            message = b"%d " % number + luck.randbytes(luck.randrange(500))
            line.send(HEAD, message)
            said.append(message)
            if luck.random() < 0.06:
                ends.relays[TERMINALS[0]].break_off()
            ends.pass_time(luck.choice((0.02, 0.2)))
            while (received := ends.head.receive(0)) is not None:
                got.append(received.message)
        while len(got) < len(said) and (received := take(ends, ends.head, 100.0)) is not None:
            got.append(received.message)
        assert take(ends, ends.head, 1.0) is None
        assert ends.relays[TERMINALS[0]].calls > 3, "no connection broke"
        assert got == said
    finally:
        ends.close()


def test_a_cable_that_is_cut_without_a_word_is_noticed_on_both_sides_and_what_waits_arrives(
    tcp: TcpEnds,
) -> None:
    address = TERMINALS[1]
    tcp.cut(address)
    tcp.lines[address].send(HEAD, b"said into the dark")
    tcp.pass_time(TEMPO.dead_after_s + 0.1)
    assert address not in tcp.head.connected()
    assert not tcp.lines[address].connected()
    tcp.mend(address)
    assert take(tcp, tcp.head) == (address, b"said into the dark")


def test_a_wrong_bit_ends_the_connection_and_what_was_said_arrives_over_the_next_one(tcp: TcpEnds) -> None:
    line, relay = tcp.lines[TERMINALS[0]], tcp.relays[TERMINALS[0]]
    for number in range(5):
        calls = relay.calls
        relay.spoil = True
        line.send(HEAD, b"%d" % number)
        assert take(tcp, tcp.head, 20.0) == (TERMINALS[0], b"%d" % number)
        assert not relay.spoil
        assert relay.calls == calls + 1, "nothing that was changed on the way is believed"
    assert take(tcp, tcp.head, 1.0) is None
    assert set(tcp.head.connected()) == set(TERMINALS)


def test_a_cable_that_holds_everything_back_for_a_while_costs_time_and_no_connection(tcp: TcpEnds) -> None:
    line, relay = tcp.lines[TERMINALS[0]], tcp.relays[TERMINALS[0]]
    calls = relay.calls
    for number in range(10):
        relay.cut = True
        line.send(HEAD, b"%d" % number)
        tcp.head.send(TERMINALS[0], b"%d" % number)
        tcp.pass_time(TEMPO.ping_after_s / 2)
        assert tcp.head.receive(0) is None
        relay.cut = False
        assert take(tcp, tcp.head) == (TERMINALS[0], b"%d" % number)
        assert take(tcp, line) == (HEAD, b"%d" % number)
    assert relay.calls == calls


def test_a_terminal_calls_later_and_later_while_nobody_answers(tcp: TcpEnds) -> None:
    port = tcp.head.port()
    tcp.head.close()
    for relay in tcp.relays.values():
        relay.close()
    line = tcp.lines[TERMINALS[0]]
    failures = []
    known = len(line.refused)
    for _ in range(15_000):
        tcp.now_s += 0.02
        line.step(tcp.now_s)
        if len(line.refused) > known:
            known = len(line.refused)
            failures.append(tcp.now_s)
    waits = [after - before for before, after in pairwise(failures[1:])]
    assert 6 <= len(waits) <= 20, (port, failures)
    assert waits[0] < 2.0
    assert all(44.0 <= wait <= 76.0 for wait in waits[7:]), waits
    tcp.relays.clear()


def test_a_second_connection_of_one_terminal_takes_the_place_of_the_first(tcp: TcpEnds) -> None:
    address = TERMINALS[0]
    first = tcp.lines[address]
    first.send(HEAD, b"first")
    assert take(tcp, tcp.head) == (address, b"first")
    tcp.lines[address] = tcp.line(context(tcp.pki, terminal_identity(address)), tcp.head.port())
    tcp.lines[address].send(HEAD, b"second")
    assert take(tcp, tcp.head) == (address, b"second")
    first.step(tcp.now_s)
    assert not first.connected()
    first.close()


def test_a_caller_without_a_certificate_of_this_campus_gets_no_address(tcp: TcpEnds, tmp_path: Path) -> None:
    now = SystemClock().unix_ms()
    make_root_directory(tmp_path / "root", "another scheme", now - 60 * DAY_MS)
    south = CampusPki(tmp_path / "south", "north", "north.campus.test")  # it even claims our names
    south.make_authority(tmp_path / "root", 1, now - 50 * DAY_MS)
    south.issue(terminal_identity(4), now)
    trusting = context(south, terminal_identity(4))
    trusting.load_verify_locations(cafile=tcp.pki.directory / "campus.pem")
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    bare.load_verify_locations(cafile=tcp.pki.directory / "campus.pem")
    for secure in (trusting, bare):
        line = tcp.line(secure, tcp.head.port())
        tcp.lines[Peer(9)] = line
        line.send(HEAD, b"let me in")
        assert take(tcp, tcp.head) is None
        assert not line.connected()
        assert tcp.head.connected() == list(TERMINALS)
        line.close()
        del tcp.lines[Peer(9)]
    assert tcp.head.refused


def test_a_false_head_is_not_spoken_to(tcp: TcpEnds, tmp_path: Path) -> None:
    line = TcpTerminalLine(
        "mistaken",
        ("127.0.0.1", tcp.head.port()),
        "other.gateway.north.campus.test",
        context(tcp.pki, terminal_identity(4)),
        random_bytes=random.Random(1).randbytes,
        now_s=tcp.now_s,
    )
    tcp.lines[Peer(4)] = line
    line.send(HEAD, b"are you the other one?")
    assert take(tcp, tcp.head) is None
    assert line.refused


def test_a_revoked_terminal_is_turned_away_and_cut_off(tcp: TcpEnds) -> None:
    identity = terminal_identity(5)
    tcp.lines[Peer(5)] = tcp.line(context(tcp.pki, identity), tcp.head.port())
    tcp.lines[Peer(5)].send(HEAD, b"still good")
    assert take(tcp, tcp.head) == (Peer(5), b"still good")
    tcp.pki.revoke(identity, Reason.KEY_COMPROMISE, SystemClock().unix_ms())
    tcp.head.drop(Peer(5))
    tcp.lines[Peer(5)].send(HEAD, b"no more")
    assert take(tcp, tcp.head) is None
    assert Peer(5) not in tcp.head.connected()


def test_a_flood_of_strangers_does_not_lock_the_door(tcp: TcpEnds) -> None:
    strangers = []
    try:
        for _ in range(STRANGERS_MAX + 40):
            strangers.append(socket.create_connection(("127.0.0.1", tcp.head.port())))
            strangers[-1].sendall(random.Random(len(strangers)).randbytes(100))
            tcp.pass_time(0.02)
        tcp.relays[TERMINALS[2]].break_off()
        tcp.lines[TERMINALS[2]].send(HEAD, b"me too")
        assert take(tcp, tcp.head) == (TERMINALS[2], b"me too")
    finally:
        for stranger in strangers:
            stranger.close()


def test_garbage_inside_tls_ends_that_connection_and_no_other(tcp: TcpEnds) -> None:
    luck = random.Random("garbage inside")
    port = tcp.head.port()
    for _ in range(20):
        raw = socket.create_connection(("127.0.0.1", port))
        raw.setblocking(False)
        secure = context(tcp.pki, terminal_identity(4)).wrap_socket(
            raw, do_handshake_on_connect=False, server_hostname=SERVER_NAME
        )
        for _ in range(200):
            tcp.pass_time(0.02)
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        secure.send(bytes((luck.randrange(9),)) + luck.randbytes(60))
        tcp.pass_time(0.1)
        secure.close()
    tcp.pass_time(0.1)
    assert tcp.head.connected() == list(TERMINALS)
    tcp.lines[TERMINALS[0]].send(HEAD, b"undisturbed")
    assert take(tcp, tcp.head) == (TERMINALS[0], b"undisturbed")


def test_a_metered_line_sends_its_batch_in_one_go(pki: CampusPki) -> None:
    ends = TcpEnds(pki, METERED)
    try:
        line = ends.lines[TERMINALS[0]]
        for number in range(5):
            line.send(HEAD, b"%d" % number)
            ends.pass_time(1.0)
        assert ends.head.receive(0) is None
        ends.pass_time(METERED.batch_s - 4.0)
        assert [take(ends, ends.head) for _ in range(5)] == [(TERMINALS[0], b"%d" % n) for n in range(5)]
        line.send(HEAD, b"urgent", urgent=True)
        assert take(ends, ends.head, METERED.batch_s / 10) == (TERMINALS[0], b"urgent")
    finally:
        ends.close()


def test_a_terminal_that_was_never_here_is_not_spoken_to(tcp: TcpEnds) -> None:
    with pytest.raises(PeerGone):
        tcp.head.send(Peer(200), b"anybody?")


def test_threads_drive_the_lines_in_real_time(pki: CampusPki) -> None:
    clock = SystemClock()
    head = TcpHeadLine(
        "threads",
        socket.create_server(("127.0.0.1", 0)),
        context(pki, GATEWAY),
        lambda _: Peer(1),
        random_bytes=random.Random("head").randbytes,
    )
    line = TcpTerminalLine(
        "threads",
        ("127.0.0.1", head.port()),
        SERVER_NAME,
        context(pki, terminal_identity(1)),
        random_bytes=random.Random("terminal").randbytes,
        now_s=clock.monotonic_s(),
    )
    drives = [Drive(head, clock=clock), Drive(line, clock=clock)]
    try:
        for number in range(300):
            message = b"%d" % number
            line.send(HEAD, message)
            assert head.receive(20.0) == (Peer(1), message)
            head.send(Peer(1), message)
            assert line.receive(20.0) == (HEAD, message)
        assert all(drive.alive for drive in drives)
    finally:
        line.close()
        head.close()
        for drive in drives:
            drive.close()
    assert FrameReader().feed(b"") == []
