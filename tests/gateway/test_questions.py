"""Online authorisations on their way through the gateway."""

import pytest

from campus_node.gateway.questions import MARGIN_MS, Questions
from campuscard.v1 import common_pb2 as common
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire

TILL = bytes(6)


def question(number: int = 1, amount_fen: int = 900, valid_for_ms: int = 2_000) -> wire.AuthorizationAsked:
    return wire.AuthorizationAsked(
        transfer_id=bytes([number]) * 16, asn=bytes(10), amount_fen=amount_fen, valid_for_ms=valid_for_ms
    )


def yes(number: int = 1, amount_fen: int = 900) -> pb.AnsweredAuthorization:
    answered = wire.AuthorizationAnswered(transfer_id=bytes([number]) * 16, amount_fen=amount_fen)
    return pb.AnsweredAuthorization(terminal_id=TILL, transfer_id=bytes([number]) * 16, answered=answered)


def test_a_question_goes_to_the_node_with_less_than_the_terminals_deadline() -> None:
    sent = Questions().ask(TILL, question(), 5, 0.0, node_there=True)
    assert isinstance(sent, pb.ForwardedAuthorization)
    assert sent.wait_ms == 2_000 - MARGIN_MS
    assert sent.asked == question()


def test_a_repeat_gets_the_first_answer_under_its_own_number() -> None:
    questions = Questions()
    questions.ask(TILL, question(), 5, 0.0, node_there=True)
    first = questions.answered(yes())
    assert first is not None
    assert (first.answers, first.authorization.amount_fen) == (5, 900)
    again = questions.ask(TILL, question(valid_for_ms=700), 6, 1.0, node_there=False)
    assert isinstance(again, wire.FromGateway)
    assert (again.answers, again.authorization) == (6, first.authorization)


def test_a_repeat_of_one_that_is_out_waits_for_its_answer() -> None:
    questions = Questions()
    questions.ask(TILL, question(), 5, 0.0, node_there=True)
    assert questions.ask(TILL, question(), 6, 1.0, node_there=True) is None
    assert questions.overdue(1.9) == []
    answer = questions.answered(yes())
    assert answer is not None
    assert answer.answers == 6


@pytest.mark.parametrize(("node_there", "valid_for_ms"), [(False, 2_000), (True, 180)])
def test_without_a_node_or_without_time_nothing_is_decided_at_once(
    node_there: bool, valid_for_ms: int
) -> None:
    told = Questions().ask(TILL, question(valid_for_ms=valid_for_ms), 5, 0.0, node_there=node_there)
    assert isinstance(told, wire.FromGateway)
    assert (told.answers, told.unable.reason) == (5, wire.UNABLE_REASON_NODE_AWAY)


def test_before_the_deadline_it_says_that_nothing_is_decided_and_a_late_answer_waits_for_the_repeat() -> None:
    questions = Questions()
    questions.ask(TILL, question(), 5, 0.0, node_there=True)
    assert questions.due_s() < 2.0
    ((terminal_id, told),) = questions.overdue(questions.due_s())
    assert (terminal_id, told.answers, told.unable.reason) == (TILL, 5, wire.UNABLE_REASON_NODE_AWAY)
    assert questions.answered(yes()) is None
    again = questions.ask(TILL, question(), 6, 3.0, node_there=True)
    assert isinstance(again, wire.FromGateway)
    assert again.authorization.amount_fen == 900


def test_when_the_stream_breaks_all_who_wait_are_told() -> None:
    questions = Questions()
    for number in (1, 2):
        questions.ask(TILL, question(number), number, 0.0, node_there=True)
    assert sorted(told.answers for _, told in questions.node_lost()) == [1, 2]
    assert questions.due_s() == float("inf")


def test_another_question_under_the_same_id_is_never_taken_for_the_first() -> None:
    questions = Questions()
    questions.ask(TILL, question(), 5, 0.0, node_there=True)
    told = questions.ask(TILL, question(amount_fen=1_900), 6, 0.1, node_there=True)
    assert isinstance(told, wire.FromGateway)
    assert told.authorization.refusal == common.REFUSAL_TRANSFER_CONFLICT
    first = questions.answered(yes())
    assert first is not None
    assert first.answers == 5
    sent = questions.ask(TILL, question(amount_fen=1_900), 7, 0.2, node_there=True)
    assert isinstance(sent, pb.ForwardedAuthorization)  # the node refuses it; the first answer stays
    questions.answered(yes(amount_fen=1))
    again = questions.ask(TILL, question(), 8, 0.3, node_there=True)
    assert isinstance(again, wire.FromGateway)
    assert again.authorization.amount_fen == 900


@pytest.mark.parametrize("left_ms", [1_200, 100, 0])
def test_the_less_time_a_repeat_has_left_the_same_question_it_is(left_ms: int) -> None:
    questions = Questions()
    questions.ask(TILL, question(), 5, 0.0, node_there=True)
    assert questions.ask(TILL, question(valid_for_ms=left_ms), 6, 0.8, node_there=True) is None
    first = questions.answered(yes())
    assert first is not None
    assert (first.answers, first.authorization.amount_fen) == (6, 900)
    again = questions.ask(TILL, question(valid_for_ms=left_ms), 7, 0.9, node_there=True)
    assert isinstance(again, wire.FromGateway)
    assert (again.answers, again.authorization) == (7, first.authorization)
