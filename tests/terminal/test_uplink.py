"""A terminal's conversation: whatever is lost, doubled, overtaken or killed, each record is kept once."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.lines.line import HEAD
from campus_node.lines.memory_line import NONE, Misfortune
from campus_node.lines.messages import RECORDS_MAX
from campus_node.terminal.uplink import REPORT_EVERY_S
from campuscard.v1 import terminal_pb2 as wire
from tests.lines.subject import PEER
from tests.terminal.disks import CAPACITY, body
from tests.terminal.plain_gateway import Scene

BAD = Misfortune(lose=0.2, corrupt=0.1, duplicate=0.2, reorder=0.2)
ACTIONS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 12)),
    st.tuples(st.just("run"), st.integers(1, 90)),
    st.tuples(
        st.sampled_from(["power cut", "kill gateway", "restore", "back up", "cut", "mend", "bad", "good"])
    ),
)


def transfer_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def asked(number: int = 1, valid_for_ms: int = 3000) -> wire.AuthorizationAsked:
    return wire.AuthorizationAsked(
        transfer_id=transfer_id(number), asn=bytes(10), amount_fen=850, valid_for_ms=valid_for_ms
    )


def approved(question: wire.FromTerminal) -> wire.FromGateway | None:
    if question.WhichOneof("body") != "authorization":
        return None
    named = question.authorization.transfer_id
    return wire.FromGateway(authorization=wire.AuthorizationAnswered(transfer_id=named, amount_fen=850))


def demand_nothing_overwritten(scene: Scene) -> None:
    """Everything above the highest mark that the terminal ever had still stands in its ring."""
    journal = scene.journal
    kept = {entry.seq: entry.body for entry in journal.entries(journal.backed_up_through + 1)}
    expected = scene.appended[journal.backed_up_through :]
    assert kept == dict(enumerate(expected, journal.backed_up_through + 1))


@given(actions=st.lists(ACTIONS, max_size=25), seed=st.integers(0, 2**16))
@settings(max_examples=200, deadline=None)
def test_whatever_happens_to_line_terminal_and_gateway_each_record_is_durable_exactly_once(
    actions: list[tuple[str, int] | tuple[str]], seed: int
) -> None:
    scene = Scene(f"life {seed}")
    for action in actions:
        match action:
            case ("append", int(count)):
                for _ in range(count):
                    scene.append(body(len(scene.appended) + 1))
            case ("run", int(seconds)):
                scene.run(seconds)
            case ("power cut",):
                scene.power_cut()
            case ("kill gateway",):
                scene.gateway.restart()
            case ("restore",):
                scene.gateway.restore()
            case ("back up",):
                scene.gateway.back_up()
            case ("cut",):
                scene.wire.cut(PEER)
            case ("mend",):
                scene.wire.mend(PEER)
            case ("bad",):
                scene.wire.misfortune = BAD
            case ("good",):
                scene.wire.misfortune = NONE
        demand_nothing_overwritten(scene)
        assert scene.journal.last_seq - scene.journal.backed_up_through <= CAPACITY
    scene.wire.misfortune = NONE
    scene.wire.mend(PEER)
    count = len(scene.appended)
    scene.run_until(lambda: scene.gateway.durable_through >= count)
    assert [scene.gateway.records[seq] for seq in range(1, count + 1)] == scene.appended
    assert len(scene.gateway.records) == count
    assert scene.gateway.conflicts == 0
    scene.gateway.back_up()
    scene.run(200.0)
    assert scene.journal.durable_through == count
    assert scene.uplink.upload.waiting_count == 0


def test_records_go_up_oldest_first_in_messages_of_many_and_never_more_than_64_wait() -> None:
    scene = Scene()
    scene.gateway.backed_up_through = 0
    most = 0
    for number in range(1, 61):
        while not scene.append(body(number)):
            scene.gateway.back_up()
            scene.run(1.0)
        most = max(most, scene.uplink.upload.under_way_count)
    scene.run_until(lambda: scene.gateway.durable_through == 60)
    assert most <= RECORDS_MAX
    firsts = [records.first_seq for records in scene.gateway.deliveries]
    assert firsts == sorted(firsts)
    assert max(len(records.bodies) for records in scene.gateway.deliveries) > 1
    assert scene.uplink.upload.repeated_count == 0


def test_a_full_ring_waits_for_the_backup_and_goes_on_behind_it() -> None:
    scene = Scene()
    for number in range(1, CAPACITY + 1):
        assert scene.append(body(number))
    scene.run_until(lambda: scene.gateway.durable_through == CAPACITY)
    scene.run(5.0)
    assert scene.journal.durable_through == CAPACITY
    assert not scene.append(b"durable is not yet backed up")
    scene.gateway.back_up()
    scene.run(1.0)
    assert scene.append(body(CAPACITY + 1))
    scene.run_until(lambda: scene.gateway.durable_through == CAPACITY + 1)


def test_no_answer_is_waited_for_longer_and_longer_and_the_message_keeps_its_id() -> None:
    scene = Scene()
    scene.run(5.0)
    sent: list[tuple[float, int]] = []
    scene.gateway.deaf = True
    scene.append(body(1))
    for _ in range(1500):
        before = scene.uplink.upload.repeated_count
        scene.run(0.25)
        if scene.uplink.upload.repeated_count > before:
            sent.append((scene.now_s, scene.uplink.upload.repeated_count))
    waits = [later - earlier for (earlier, _), (later, _) in pairwise(sent)]
    assert 3.0 <= waits[0] <= 5.3
    assert all(44.0 <= wait <= 76.0 for wait in waits[5:])
    scene.gateway.deaf = False
    scene.run_until(lambda: scene.gateway.durable_through == 1)
    assert scene.uplink.upload.repeated_count == len(sent) + 1


def test_a_gateway_that_was_killed_gets_everything_again_when_its_session_stands() -> None:
    scene = Scene()
    scene.run(2.0)
    scene.gateway.restart()
    scene.append(body(1))
    scene.run_until(lambda: scene.gateway.durable_through == 1, most_s=10.0)
    assert scene.uplink.counts["sessions"] == 2


def test_marks_that_go_back_make_the_terminal_send_again_what_is_above_them() -> None:
    scene = Scene()
    for number in range(1, 6):
        scene.append(body(number))
    scene.run_until(lambda: scene.journal.durable_through == 5)
    scene.gateway.restore()
    assert scene.gateway.durable_through == 0
    scene.append(body(6))
    scene.run_until(lambda: scene.gateway.durable_through == 6, most_s=30.0)
    assert scene.uplink.upload.went_back_count == 1
    scene.run(1.0)
    assert scene.journal.durable_through == 6


def test_a_gateway_whose_mark_cannot_move_does_not_get_the_same_records_for_ever() -> None:
    scene = Scene()
    for number in range(1, 6):
        scene.append(body(number))
    scene.run_until(lambda: scene.journal.durable_through == 5)
    scene.append(body(6))
    deliveries = len(scene.gateway.deliveries)
    scene.gateway.records = _Forgetting()
    scene.run(120.0)
    assert len(scene.gateway.deliveries) - deliveries < 20


class _Forgetting(dict[int, bytes]):
    def __setitem__(self, seq: int, content: bytes) -> None:
        """Keep nothing."""

    def setdefault(self, _seq: int, content: bytes = b"") -> bytes:
        return content


def test_a_gateway_that_is_full_is_left_alone_for_as_long_as_it_says() -> None:
    scene = Scene()
    scene.run(2.0)
    full = wire.UnableReason.UNABLE_REASON_FULL
    scene.gateway.unable = wire.Unable(reason=full, retry_after_ms=20_000)
    scene.append(body(1))
    scene.run(1.0)
    scene.gateway.unable = None
    scene.run(18.0)
    assert scene.gateway.durable_through == 0
    scene.run(2.0)
    assert scene.gateway.durable_through == 1
    assert [said.unable.reason for said in scene.said if said.WhichOneof("body") == "unable"] == [full]


def test_what_the_campus_wants_once_more_goes_again_and_the_rest_goes_on() -> None:
    scene = Scene()
    for number in range(1, 7):
        scene.append(body(number))
    scene.run_until(lambda: scene.journal.durable_through == 6)
    wanted = wire.Recollect(journal_id=scene.journal.journal_id, first_seq=2, through_seq=4)
    scene.wire.misfortune = Misfortune(lose=0.4)
    scene.run_until(lambda: _recollected(scene, wanted), most_s=300.0)
    scene.wire.misfortune = NONE
    scene.append(body(7))
    scene.run_until(lambda: scene.gateway.durable_through == 7)
    again = [records for records in scene.gateway.deliveries if records.recollected]
    assert {seq for one in again for seq in range(one.first_seq, one.first_seq + len(one.bodies))} == {
        2,
        3,
        4,
    }
    scene.run(30.0)
    count = len(scene.gateway.deliveries)
    scene.run(300.0)
    assert len(scene.gateway.deliveries) == count, "acknowledged is acknowledged"


def _recollected(scene: Scene, wanted: wire.Recollect) -> bool:
    if int(scene.now_s) % 20 == 0:
        scene.gateway.tell(wire.FromGateway(recollect=wanted))
    return any(records.recollected for records in scene.gateway.deliveries)


def test_a_power_cut_in_the_middle_of_a_recollection_does_not_end_it() -> None:
    scene = Scene()
    for number in range(1, 7):
        scene.append(body(number))
    scene.run_until(lambda: scene.journal.durable_through == 6)
    scene.journal.recollect(1, 6)
    scene.power_cut()
    scene.run(10.0)
    again = [records for records in scene.gateway.deliveries if records.recollected]
    assert sum(len(records.bodies) for records in again) == 6


def test_the_terminal_reports_at_the_start_when_asked_on_change_and_every_minute() -> None:
    scene = Scene()
    scene.append(body(1))
    scene.run(1.0)
    assert [report.free_records for report in _reports(scene)] == [CAPACITY - 1]
    assert _reports(scene)[0].journal_id == scene.journal.journal_id
    scene.gateway.tell(wire.FromGateway(report=wire.ReportAsked()))
    scene.run(1.0)
    assert len(_reports(scene)) == 2
    scene.uplink.report_changed()
    scene.run(1.0)
    assert len(_reports(scene)) == 3
    scene.run(REPORT_EVERY_S * 3)
    assert len(_reports(scene)) == 6


def _reports(scene: Scene) -> list[wire.TerminalReport]:
    return [said.report for said in scene.gateway.others if said.WhichOneof("body") == "report"]


def test_time_is_asked_for_at_the_start_and_the_way_is_taken_into_account() -> None:
    scene = Scene()
    scene.wire.misfortune = Misfortune(delay_s=0.2)

    def tell_time(said: wire.FromTerminal) -> wire.FromGateway | None:
        if said.WhichOneof("body") != "time":
            return None
        told = wire.TimeTold(sent_at_unix_ms=5_000, asked_at_ms=said.time.asked_at_ms, uncertainty_ms=10)
        return wire.FromGateway(time=told)

    scene.gateway.answer = tell_time
    scene.run(5.0)
    assert [(told.unix_ms, told.asked) for told in scene.times] == [(5_200, True)]
    assert scene.times[0].uncertainty_ms == 210
    scene.gateway.tell(wire.FromGateway(time=wire.TimeTold(sent_at_unix_ms=9_000)))
    scene.gateway.tell(wire.FromGateway(time=wire.TimeTold(sent_at_unix_ms=9_000, asked_at_ms=77)))
    scene.run(1.0)
    assert [(told.unix_ms, told.asked) for told in scene.times[1:]] == [(9_000, False)]


def test_a_question_is_repeated_until_it_is_answered_under_one_id() -> None:
    scene = Scene()
    scene.run(1.0)
    scene.gateway.answer = approved
    scene.gateway.deaf = True
    question = scene.uplink.ask(asked(), scene.now_s)
    scene.run(1.0)
    scene.gateway.deaf = False
    scene.run(1.5)
    assert isinstance(question.answer, wire.AuthorizationAnswered)
    assert question.over
    assert not question.lapsed
    questions = [said for said in scene.gateway.others if said.WhichOneof("body") == "authorization"]
    assert {said.message_id for said in questions} == {question.message_id}
    assert all(0 < said.authorization.valid_for_ms <= 2500 for said in questions)


def test_a_question_that_nobody_answers_lapses_at_its_deadline_and_a_late_answer_decides_nothing() -> None:
    scene = Scene()
    scene.run(1.0)
    question = scene.uplink.ask(asked(valid_for_ms=2000), scene.now_s)
    scene.run(1.9)
    assert not question.over
    scene.run(0.2)
    assert question.lapsed
    late = wire.AuthorizationAnswered(transfer_id=transfer_id(1), amount_fen=850)
    scene.gateway.tell(wire.FromGateway(authorization=late))
    scene.run(1.0)
    assert question.lapsed
    assert scene.said[-1].authorization.transfer_id == transfer_id(1), "who must give it back is told"


def test_a_gateway_that_cannot_answer_says_so_and_the_question_is_over() -> None:
    scene = Scene()
    scene.run(1.0)
    away = wire.UnableReason.UNABLE_REASON_NODE_AWAY
    scene.gateway.answer = lambda said: (
        wire.FromGateway(unable=wire.Unable(reason=away))
        if said.WhichOneof("body") == "authorization"
        else None
    )
    question = scene.uplink.ask(asked(), scene.now_s)
    scene.run(1.0)
    assert isinstance(question.answer, wire.Unable)
    assert question.answer.reason == away


def test_a_notice_is_handed_on_as_it_came_whichever_way_it_came() -> None:
    scene = Scene()
    scene.run(1.0)
    scene.gateway.line.send(PEER, b"\x21in the open")
    scene.gateway.tell(wire.FromGateway(notice=b"\x21sealed"))
    scene.run(1.0)
    assert scene.notices == [b"\x21in the open", b"\x21sealed"]


def test_marks_of_another_journal_and_marks_beyond_the_last_record_change_nothing() -> None:
    scene = Scene()
    scene.append(body(1))
    scene.run(2.0)
    beyond = wire.RecordsTaken(journal_id=scene.journal.journal_id, durable_through=9, backed_up_through=9)
    other = wire.RecordsTaken(journal_id=b"x" * 16, durable_through=1, backed_up_through=1)
    for marks in (beyond, other):
        scene.gateway.tell(wire.FromGateway(records=marks))
    scene.run(1.0)
    assert (scene.journal.durable_through, scene.journal.backed_up_through) == (1, 0)
    assert (scene.uplink.counts["refused"], scene.uplink.counts["other journal"]) == (1, 1)


@given(
    garbage=st.lists(st.binary(max_size=60), max_size=20),
    start=st.sampled_from([b"", b"\x01", b"\x12", b"\x13", b"\x14", b"\x21"]),
)
@settings(max_examples=100, deadline=None)
def test_no_bytes_of_a_stranger_end_the_conversation(garbage: list[bytes], start: bytes) -> None:
    scene = Scene()
    scene.run(1.0)
    for each in garbage:
        scene.wire.inject(HEAD, PEER, start + each or b"\0")
    scene.append(body(1))
    scene.run_until(lambda: scene.journal.durable_through == 1, most_s=20.0)


@given(garbage=st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_no_words_of_a_gateway_that_is_out_of_its_mind_end_the_conversation(garbage: list[bytes]) -> None:
    scene = Scene()
    scene.run(1.0)
    for each in garbage:
        scene.gateway.line.send(PEER, scene.gateway.sessions.seal(_only_terminal(scene), each))
    scene.append(body(1))
    scene.run_until(lambda: scene.gateway.durable_through >= 1, most_s=200.0)


def _only_terminal(scene: Scene) -> bytes:
    (terminal_id,) = scene.gateway.sessions.terminals()
    return terminal_id


def test_replayed_and_forged_envelopes_are_counted_and_not_believed() -> None:
    scene = Scene()
    recorded: list[bytes] = []
    scene.wire.tap = lambda _source, target, message: recorded.append(message) if target == PEER else None
    scene.append(body(1))
    scene.run(2.0)
    scene.wire.tap = None
    envelopes = [message for message in recorded if message[0] == 1]
    for message in envelopes:
        scene.wire.inject(HEAD, PEER, message)
        scene.wire.inject(HEAD, PEER, message[:-1] + bytes((message[-1] ^ 1,)))
    said = len(scene.said)
    scene.run(1.0)
    assert scene.uplink.counts["replayed"] == scene.uplink.counts["forged"] == len(envelopes) > 0
    assert len(scene.said) == said
