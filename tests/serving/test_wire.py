"""Messages and records say the same, and the numbers of the wire are the scheme's."""

import pytest

from campus_node.ledger.chart import Kind
from campus_node.ledger.client_messages import Transfer, answer_from_wire, transfer_to_wire
from campus_node.serving.wire import (
    NamesUnknown,
    names_in,
    to_answer,
    to_failed_result,
    to_requests,
    to_result,
)
from campuscard.v1 import common_pb2, ledger_pb2
from federation.errors import Overloaded
from federation.transfer import Answer, Origin, Refusal, Request, Verb

NUMBERS = {"": 7, "terminal/0001": 8, "node/2": 9}
FULL = Transfer(
    transfer_id=bytes(range(16)), verb=Verb.REFUND, kind=Kind.LOAD, debit=11, credit=12, amount_fen=13,
    made_at_unix_ms=14, valid_for_ms=15, target_id=bytes(16), target_originator="node/2", fact=True,
    origin=Origin.PAPER, window_id=16, originator="terminal/0001", currency=17,
)  # fmt: skip


def test_every_field_of_a_transfer_arrives() -> None:
    sent = ledger_pb2.Transfer.FromString(transfer_to_wire(FULL).SerializeToString())
    assert all(field.name in {f.name for f, _ in sent.ListFields()} for field in sent.DESCRIPTOR.fields)
    (request,) = to_requests([sent], NUMBERS)
    assert request == Request(
        originator=8, transfer_id=bytes(range(16)), verb=Verb.REFUND, fact=True, kind=Kind.LOAD, debit=11,
        credit=12, amount_fen=13, currency=17, target_originator=9, target_id=bytes(16), made_at_unix_ms=14,
        valid_for_ms=15, origin=Origin.PAPER, window_id=16,
    )  # fmt: skip
    assert isinstance(request, Request)


def test_empty_names_mean_the_caller_and_the_same_originator() -> None:
    own = transfer_to_wire(FULL._replace(originator="", target_originator=""))
    others = transfer_to_wire(FULL._replace(target_originator=""))
    plain = transfer_to_wire(FULL._replace(target_originator="", target_id=b"", originator=""))
    found = [(r.originator, r.target_originator) for r in to_requests([own, others, plain], NUMBERS)]
    assert found == [(7, 7), (8, 8), (7, 0)]


def test_a_name_without_a_number_is_asked_for() -> None:
    unknown = transfer_to_wire(FULL._replace(originator="terminal/new"))
    with pytest.raises(NamesUnknown):
        to_requests([unknown], NUMBERS)
    assert names_in([unknown]) == {"terminal/new", "node/2"}
    assert names_in([transfer_to_wire(Transfer(bytes(16), Verb.POST))]) == {""}


def test_answers_arrive_alone_and_in_a_batch_as_they_were_given() -> None:
    answers = [
        Answer(Refusal.NONE, 5, 0, 0),
        Answer(Refusal.NONE, 6, 0, 2_000),
        Answer(Refusal.NONE, 7, 0, 500),
        Answer(Refusal.INSUFFICIENT_FUNDS, 8, 42, 0),
        Answer(Refusal.MALFORMED, 0, 0, 0),
    ]
    expected = [(0, 5, 0, 0), (0, 6, 0, 1_000), (0, 7, 0, 0), (19, 8, 42, 0), (2, 0, 0, 0)]
    alone = [to_answer(answer, now_unix_ms=1_000) for answer in answers]
    batch = to_result(3, answers, now_unix_ms=1_000)
    assert [tuple(answer_from_wire(answer)) for answer in alone] == expected
    assert [tuple(answer_from_wire(answer)) for answer in batch.answers] == expected
    assert batch.batch == 3
    assert not batch.HasField("error")


def test_a_batch_without_answers_says_why_and_when_to_repeat() -> None:
    failed = to_failed_result(4, Overloaded(250))
    assert (failed.batch, len(failed.answers)) == (4, 0)
    assert (failed.error.code, failed.error.retry_after_ms) == (8, 250)


@pytest.mark.parametrize(
    ("wire", "ours"),
    [
        (common_pb2.Verb, Verb),
        (common_pb2.Origin, Origin),
        (common_pb2.Refusal, Refusal),
        (ledger_pb2.Kind, Kind),
    ],
)
def test_the_wire_has_the_same_names_and_numbers(wire: object, ours: type[Verb]) -> None:
    prefix = ours.__name__.upper() + "_"
    numbers = {name.removeprefix(prefix): number for name, number in wire.items()}  # type: ignore[attr-defined]
    numbers.pop("UNSPECIFIED", None)
    assert numbers == {each.name: each.value for each in ours}
