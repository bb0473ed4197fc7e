"""What a whole gateway does for its terminals: answers, fan-out, revocation, resume, strangers."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from campus_node.lines.notice import sign
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from hil_rig.senders.order import SegmentLine, SenderOrder
from hil_rig.virtual.can_broker import CanBroker
from tests.gateway.places import can_line, make_campus, make_gateway, roll_of
from tests.gateway.plain_node import PlainNode
from tests.gateway.running import WatchedGateway
from tests.gateway.till import Till
from tests.outage_lines.segments import terminal

pytestmark = pytest.mark.slow

BITRATE = 250_000
ISSUER = b"CUPA\0\0\0\1"
FAR_FUTURE_MS = 4_000_000_000_000


class House:
    """A campus, a node, a bus, a gateway on it, and tills."""

    def __init__(self, path: Path, socket: Path) -> None:
        self.path = path
        self.campus = make_campus(path)
        self.node = PlainNode(self.campus)
        self.node.start()
        self.socket = socket
        self.broker = CanBroker(socket, BITRATE)
        self.directory = make_gateway(self.campus, self.node.port, [can_line("can0", socket)])
        self.gateway = WatchedGateway(self.directory)

    def enrol(self, *tills: SenderOrder, version: int = 1) -> None:
        self.node.first = [roll_of(self.directory, tills, version)]

    def till(self, who: SenderOrder) -> Till:
        return Till(self.path / "tills", SegmentLine("can", str(self.socket), BITRATE), who)

    def alarm(self, name: str) -> pb.GatewayAlarm:
        self.node.wait_until(lambda: any(each.name == name for each in self.node.alarms))
        return next(each for each in self.node.alarms if each.name == name)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with tempfile.TemporaryDirectory() as directory:  # a short path: sockets have 108 bytes
        made = House(tmp_path, Path(directory) / "can0")
        with made.broker, made.gateway:
            yield made
        made.node.stop()


def yes(asked: pb.ForwardedAuthorization) -> pb.AnsweredAuthorization:
    answered = wire.AuthorizationAnswered(
        transfer_id=asked.asked.transfer_id, amount_fen=asked.asked.amount_fen, available_fen=4_100
    )
    return pb.AnsweredAuthorization(
        terminal_id=asked.terminal_id, transfer_id=asked.asked.transfer_id, answered=answered
    )


def test_a_question_is_answered_once_and_without_a_node_nothing_is_decided(house: House) -> None:
    house.enrol(terminal(1, 1))
    house.node.answers = yes
    house.gateway.start()
    with house.till(terminal(1, 1)) as till:
        first = till.ask(1)
        assert isinstance(first.answer, wire.AuthorizationAnswered)
        assert (first.answer.amount_fen, first.answer.available_fen) == (900, 4_100)
        assert till.ask(1).answer == first.answer
        assert len(house.node.asked) == 1
        house.node.answers = lambda _: None
        silent = till.ask(2, valid_for_ms=1_500)
        assert isinstance(silent.answer, wire.Unable)
        assert silent.answer.reason == wire.UNABLE_REASON_NODE_AWAY
        house.node.stop()
        house.gateway.wait_until(lambda: not house.gateway.status()["link"]["up"])
        away = till.ask(3)
        assert isinstance(away.answer, wire.Unable)
        assert till.ask(1).answer == first.answer


def test_hotlists_and_parameters_go_on_with_the_node_away_and_the_gateway_restarted(house: House) -> None:
    key = Ed25519PrivateKey.generate()
    deltas = [
        wire.HotlistDelta(issuer=ISSUER, from_version=version, to_version=version + 1) for version in (0, 1)
    ]
    for number, delta in enumerate(deltas, start=1):
        notice = wire.Notice(number=number, expires_at_unix_ms=FAR_FUTURE_MS, hotlist=delta)
        house.node.first.append(pb.NodeToGateway(notice=sign(key, notice)))
    parameters = wire.Parameters(version=4, parameters=[wire.Parameter(name="limit_fen", value="2000")])
    house.node.first.append(pb.NodeToGateway(parameters=pb.ParametersFor(parameters=parameters)))
    house.node.first.append(roll_of(house.directory, [terminal(1, 1), terminal(2, 2)]))
    house.gateway.start()
    house.gateway.wait_until(lambda: house.gateway.status()["roll_version"] == 1)
    house.node.stop()
    house.gateway.kill()
    house.gateway.start()
    with house.till(terminal(1, 1)) as new, house.till(terminal(2, 2)) as old:
        old.report.hotlists.add(issuer=ISSUER, version=1)
        old.report.parameters_version = 4
        new.wait_until(lambda: len(new.heard("hotlist")) >= 2 and bool(new.heard("parameters")))
        assert [each.hotlist for each in new.heard("hotlist")][:2] == deltas
        assert new.heard("parameters")[0].parameters == parameters
        old.wait_until(lambda: bool(old.heard("hotlist")))
        assert old.heard("hotlist")[0].hotlist == deltas[1]
        assert not old.heard("parameters")
        assert new.heard("time")


def test_a_revocation_reaches_every_terminal_of_the_bus_at_once(house: House) -> None:
    house.enrol(terminal(1, 1), terminal(2, 2))
    house.gateway.start()
    delta = wire.HotlistDelta(issuer=ISSUER, to_version=1)
    notice = wire.Notice(number=1, expires_at_unix_ms=FAR_FUTURE_MS, hotlist=delta)
    signed = sign(Ed25519PrivateKey.generate(), notice)
    with house.till(terminal(1, 1)) as one, house.till(terminal(2, 2)) as two:
        for till in (one, two):
            till.wait_until(lambda till=till: bool(till.heard("time")))
        house.node.say(pb.NodeToGateway(notice=signed))
        for till in (one, two):
            till.wait_until(lambda till=till: signed in till.notices)


def test_whoever_is_revoked_or_isolated_is_heard_no_more_and_strangers_are_named(house: House) -> None:
    house.enrol(terminal(1, 1), terminal(2, 2))
    house.gateway.start()
    with (
        house.till(terminal(1, 1)) as one,
        house.till(terminal(2, 2)) as two,
        house.till(terminal(9, 9)) as stranger,
    ):
        for till in (one, two):
            till.sell(2)
            till.wait_until(lambda till=till: till.journal.durable_through == 2)
        alarm = house.alarm("terminal.stranger")
        assert alarm.subject == "can0/9"
        assert terminal(9, 9).terminal_id in alarm.evidence
        assert not stranger.said
        isolated = pb.Isolation(terminal_id=bytes.fromhex(two.who.terminal_id), isolated=True)
        house.node.say(pb.NodeToGateway(isolation=isolated))
        house.node.say(roll_of(house.directory, [terminal(2, 2)], version=2))
        house.gateway.wait_until(lambda: house.gateway.status()["lines"][0]["sessions"] <= 1)
        one.sell(1)
        told = terminal(1, 1).terminal_id
        house.node.wait_until(lambda: any(told in each.evidence for each in house.node.alarms))
        assert one.journal.durable_through == 2
        assert len(house.node.all_records()) == 4


def test_after_the_node_was_restored_it_gets_again_what_it_lost(house: House) -> None:
    house.enrol(terminal(1, 1))
    house.gateway.start()
    with house.till(terminal(1, 1)) as till:
        till.sell(30)
        house.node.wait_until(lambda: len(house.node.all_records()) == 30)
        spool_id = house.node.hellos[0].spool_id
        house.node.stop()
        house.node.restore(spool_id, 12)
        assert len(house.node.all_records()) == 12
        house.node.start()
        house.node.wait_until(lambda: len(house.node.all_records()) == 30)
        till.sell(1)
        house.node.wait_until(lambda: len(house.node.all_records()) == 31)


def test_a_spool_that_was_put_back_from_a_copy_loses_nothing_and_hides_nothing(house: House) -> None:
    house.enrol(terminal(1, 1))
    house.gateway.start()
    with house.till(terminal(1, 1)) as till:
        till.sell(5)
        house.node.wait_until(lambda: len(house.node.all_records()) == 5)
        assert house.gateway.terminate() == 0
        shutil.copytree(house.directory / "spool", house.path / "copy")
        house.gateway.start()
        till.sell(5)
        till.wait_until(lambda: till.journal.durable_through == 10)
        house.node.wait_until(lambda: len(house.node.all_records()) == 10)
        house.gateway.kill()
        shutil.rmtree(house.directory / "spool")
        shutil.copytree(house.path / "copy", house.directory / "spool")
        house.gateway.start()
        house.alarm("spool.put_back")
        till.sell(5)
        house.node.wait_until(lambda: {each.seq for each in house.node.all_records()} == set(range(1, 16)))
        assert len({hello.spool_id for hello in house.node.hellos}) == 2


def test_one_psam_in_two_places_is_named_with_both(house: House) -> None:
    house.enrol(terminal(1, 1))
    house.gateway.start()
    clone = terminal(1, 2, prefix="clone")
    with house.till(terminal(1, 1)) as honest:
        honest.wait_until(lambda: honest.uplink.counts["sessions"] == 1)
        with house.till(clone) as copied:
            copied.wait_until(lambda: copied.uplink.counts["sessions"] == 1)
            for till in (honest, copied):  # who speaks again finds that its session is over
                till.sell(1)
                till.wait_until(lambda till=till: till.uplink.counts["sessions"] == 2)
            alarm = house.alarm("terminal.duplicate")
    assert alarm.subject == terminal(1, 1).terminal_id
    assert "can0/1" in alarm.evidence or "can0/2" in alarm.evidence


def test_alarms_wait_for_the_node_and_are_told_until_it_has_them(house: House) -> None:
    house.enrol(terminal(1, 1))
    house.gateway.start()
    house.gateway.wait_until(lambda: house.gateway.status()["roll_version"] == 1)
    house.node.stop()
    with house.till(terminal(9, 9)):
        house.gateway.wait_until(lambda: "terminal.stranger" in house.gateway.log_tail())
    house.gateway.kill()
    house.gateway.start()
    house.node.start()
    number = house.alarm("terminal.stranger").number
    house.node.alarms_through = number
    house.node.alarms.clear()
    house.gateway.kill()
    house.gateway.start()
    house.node.wait_until(lambda: len(house.node.hellos) == 3 and bool(house.node.states))
    house.node.stop()
    assert not [each for each in house.node.alarms if each.number <= number]
