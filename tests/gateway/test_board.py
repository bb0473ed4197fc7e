"""Lines and devices of a gateway as data, and what is told to people."""

from collections.abc import Mapping

from campus_node.gateway.alarms import MEANINGS, SAME_AGAIN_AFTER_S, Alarms
from campus_node.gateway.board import SILENT_AFTER_MS, Board
from campus_node.lines.events import Event, What
from campus_node.lines.line import Peer
from campus_node.watch.alarms import Alarm, Severity
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire

ONE, TWO = bytes.fromhex("000000000001"), bytes.fromhex("000000000002")


class Told:
    """What people were told."""

    def __init__(self) -> None:
        self.alarms: list[tuple[str, Severity, str, Mapping[str, object]]] = []
        self.board = Board(Alarms(lambda *alarm: self.alarms.append(alarm)))
        self.board.line_is("can0", "can", 250_000)
        self.board.line_is("can1", "can", 250_000)

    def names(self) -> list[tuple[str, str]]:
        return [(name, subject) for name, _, subject, _ in self.alarms]


def test_every_event_of_a_line_has_a_meaning_that_makes_an_alarm_or_none() -> None:
    assert set(MEANINGS) == set(What)
    for meaning in MEANINGS.values():
        if meaning.alarm:
            Alarm(meaning.alarm, meaning.severity, "can0/1")


def test_a_babbling_node_is_isolated_and_named_with_its_terminal_until_it_is_let_on_again() -> None:
    told = Told()
    told.board.began("can0", 17, ONE, 0.0, 0)
    told.board.happened("can0", [Event(1.0, What.BABBLING, 17, 4_000)], 1.0)
    ((_, severity, subject, evidence),) = told.alarms
    assert (severity, subject) == (Severity.SERIOUS, "can0/17")
    assert (evidence["terminal"], evidence["address"], evidence["quarantined"]) == (
        ONE.hex().upper(),
        17,
        True,
    )
    (device,) = told.board.changes().devices
    assert (device.health, device.terminal_id) == (pb.HEALTH_ISOLATED, ONE)
    told.board.happened("can0", [Event(9.0, What.RELEASED, 17)], 9.0)
    (device,) = told.board.changes().devices
    assert device.health == pb.HEALTH_WELL
    assert len(told.alarms) == 1


def test_a_line_that_is_down_says_why_and_is_well_when_it_is_back() -> None:
    told = Told()
    told.board.changes()
    told.board.happened("can1", [Event(1.0, What.BUS_OFF, 0, 1)], 1.0)
    (line,) = told.board.changes().lines
    assert (line.line, line.health, line.reason) == ("can1", pb.HEALTH_FAILED, "this end left the bus")
    told.board.happened("can1", [Event(2.0, What.BUS_BACK, 0)], 2.0)
    (line,) = told.board.changes().lines
    assert (line.health, line.reason) == (pb.HEALTH_WELL, "")
    assert told.names() == [("line.bus_off", "can1")]


def test_a_hint_puts_nobody_on_the_map() -> None:
    told = Told()
    told.board.happened("can0", [Event(1.0, What.LOST, 99, hint=True)], 1.0)
    assert not told.board.changes().devices
    assert told.alarms[0][3]["hint"] is True


def test_an_exchanged_terminal_is_no_conflict_and_two_under_one_address_are() -> None:
    told = Told()
    told.board.began("can0", 5, ONE, 0.0, 0)
    told.board.began("can0", 5, TWO, 10.0, 0)
    assert not told.alarms
    told.board.began("can0", 5, ONE, 20.0, 0)
    assert told.names() == [("line.address_conflict", "can0/5")]
    assert told.alarms[0][3]["terminals"] == [TWO.hex().upper(), ONE.hex().upper()]


def test_a_terminal_that_moved_is_no_duplicate_and_one_in_two_places_is() -> None:
    told = Told()
    told.board.began("can0", 5, ONE, 0.0, 0)
    told.board.began("can1", 9, ONE, 10.0, 0)
    assert not told.alarms
    assert [(each.line, each.address) for each in told.board.changes().devices] == [("can1", 9)]
    told.board.began("can0", 5, ONE, 20.0, 0)
    ((name, severity, subject, evidence),) = told.alarms
    assert (name, severity, subject) == ("terminal.duplicate", Severity.CRITICAL, ONE.hex().upper())
    assert (evidence["line"], evidence["address"], evidence["elsewhere"]) == ("can0", 5, "can1/9")


def test_the_same_alarm_comes_once_a_minute_with_what_was_kept_back() -> None:
    told = Told()
    for second in range(30):
        told.board.stranger("can0", 9, TWO, "no key", float(second))
    told.board.stranger("can0", 9, TWO, "no key", SAME_AGAIN_AFTER_S)
    assert told.names() == [("terminal.stranger", "can0/9")] * 2
    assert told.alarms[1][3]["kept_back"] == 29


def test_only_what_changed_is_told_after_all_of_it() -> None:
    told = Told()
    told.board.began("can0", 5, ONE, 0.0, 1_000)
    complete = told.board.complete()
    assert complete.complete
    assert ([each.line for each in complete.lines], len(complete.devices)) == (["can0", "can1"], 1)
    told.board.heard("can0", {Peer(5): 2_000}, 2_000)
    assert told.board.changes() == pb.GatewayState()
    told.board.reported(ONE, wire.TerminalReport(selling=True, last_seq=7), behind=False)
    (device,) = told.board.changes().devices
    assert (device.report.last_seq, device.health, device.heard_at_unix_ms) == (7, pb.HEALTH_WELL, 2_000)
    told.board.reported(ONE, wire.TerminalReport(selling=True, last_seq=7), behind=True)
    assert told.board.changes().devices[0].health == pb.HEALTH_DEGRADED


def test_a_terminal_of_which_nothing_is_heard_is_silent_until_it_speaks() -> None:
    told = Told()
    told.board.began("can0", 5, ONE, 0.0, 1_000)
    told.board.heard("can0", {}, 1_000 + SILENT_AFTER_MS + 1)
    assert told.board.changes().devices[0].health == pb.HEALTH_SILENT
    told.board.heard("can0", {Peer(5): 2_000 + SILENT_AFTER_MS}, 2_000 + SILENT_AFTER_MS)
    assert told.board.changes().devices[0].health == pb.HEALTH_WELL
