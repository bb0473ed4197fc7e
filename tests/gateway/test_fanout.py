"""What each terminal lacks of hotlists and parameters."""

from campus_node.gateway.fanout import DELTAS_MAX, TOLD_AT_ONCE_MAX, Fanout
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire

NORTH, SOUTH = b"north   ", b"south   "
TILL, OTHER = b"till 1", b"till 2"


def delta(to: int, start: int | None = None, issuer: bytes = NORTH) -> wire.HotlistDelta:
    return wire.HotlistDelta(issuer=issuer, from_version=to - 1 if start is None else start, to_version=to)


def reports(version: int = 0, parameters: int = 0, issuer: bytes = NORTH) -> wire.TerminalReport:
    known = [wire.HotlistVersion(issuer=issuer, version=version)]
    return wire.TerminalReport(hotlists=known, parameters_version=parameters)


def versions(told: list[wire.FromGateway]) -> list[tuple[int, int]]:
    return [(each.hotlist.from_version, each.hotlist.to_version) for each in told if each.HasField("hotlist")]


def test_whoever_is_behind_gets_the_deltas_that_it_lacks_in_order() -> None:
    fanout = Fanout()
    for version in (3, 1, 2):
        assert fanout.take_delta(delta(version))
    assert not fanout.take_delta(delta(2))
    assert versions(fanout.lacking(TILL, reports(1))) == [(1, 2), (2, 3)]
    assert versions(fanout.lacking(TILL, reports(3))) == []


def test_a_whole_list_serves_whoever_is_too_far_behind() -> None:
    fanout = Fanout()
    for each in (delta(8), delta(20, 0), delta(21)):
        fanout.take_delta(each)
    assert versions(fanout.lacking(TILL, reports(2))) == [(0, 20), (20, 21)]
    assert versions(fanout.lacking(TILL, reports(20))) == [(20, 21)]


def test_hotlists_of_several_issuers_do_not_mix() -> None:
    fanout = Fanout()
    fanout.take_delta(delta(1))
    fanout.take_delta(delta(1, issuer=SOUTH))
    told = fanout.lacking(TILL, reports(1, issuer=SOUTH))
    assert [each.hotlist.issuer for each in told] == [NORTH]


def test_the_latest_parameters_win_and_those_for_one_terminal_are_its_own() -> None:
    fanout = Fanout()
    assert fanout.take_parameters(pb.ParametersFor(parameters=wire.Parameters(version=5)))
    assert not fanout.take_parameters(pb.ParametersFor(parameters=wire.Parameters(version=4)))
    fanout.take_parameters(pb.ParametersFor(terminal_ids=[TILL], parameters=wire.Parameters(version=6)))
    assert [each.parameters.version for each in fanout.lacking(TILL, reports(parameters=5))] == [6]
    assert fanout.lacking(OTHER, reports(parameters=5)) == []
    kept = Fanout()
    for each in fanout.parameters():
        kept.take_parameters(each)
    assert kept.parameters_of(TILL) == fanout.parameters_of(TILL)
    assert kept.parameters_of(OTHER) == fanout.parameters_of(OTHER)


def test_what_is_kept_and_what_is_told_at_once_is_bounded() -> None:
    fanout = Fanout()
    for version in range(1, DELTAS_MAX + 30):
        fanout.take_delta(delta(version))
    assert len(list(fanout.deltas())) == DELTAS_MAX
    assert len(fanout.lacking(TILL, reports(40))) == TOLD_AT_ONCE_MAX
    assert fanout.lacking(TILL, reports(2)) == []  # too far behind: its next list comes as a distribution
    assert fanout.behind(reports(2))
    assert not fanout.behind(reports(DELTAS_MAX + 29))
