"""Messages to requests and answers to messages: the only place of the server that knows both.

A batch of 256 comes through here many times a second: one tuple an item, no call an item, no await.
"""

from collections.abc import Iterable, Mapping, Sequence

from campus_node.ledger.books import Balance
from campus_node.ledger.history import StatementPage
from campuscard.v1 import ledger_pb2 as pb
from federation.errors import CampusCardError
from federation.grpc_status import number_of, retry_after_ms
from federation.transfer import Answer, Request


class NamesUnknown(KeyError):  # a fact that the service acts on
    """An originator's name has no number in the caller's map yet."""


def to_requests(transfers: Iterable[pb.Transfer], numbers: Mapping[str, int]) -> list[Request]:
    """Return what is asked.

    Args:
        transfers: the messages.
        numbers: of every originator that the caller may name and has named; "" = the caller itself.

    Raises:
        NamesUnknown: a name is missing in numbers; see `names_in`.
    """
    make = tuple.__new__  # the NamedTuple's own constructor costs twice as much
    try:
        return [
            make(
                Request,
                (
                    numbers[t.originator],
                    t.transfer_id,
                    t.verb,
                    t.fact,
                    t.kind,
                    t.debit,
                    t.credit,
                    t.amount_fen,
                    t.currency,
                    numbers[t.target_originator or t.originator] if t.target_id or t.target_originator else 0,
                    t.target_id,
                    t.made_at_unix_ms,
                    t.valid_for_ms,
                    t.origin,
                    t.window_id,
                ),
            )
            for t in transfers
        ]
    except KeyError as error:
        raise NamesUnknown from error


def names_in(transfers: Iterable[pb.Transfer]) -> set[str]:
    """Return all originators that a batch names; "" = the caller itself."""
    return {name for t in transfers for name in (t.originator, t.target_originator or t.originator)}


def to_answer(answer: Answer, now_unix_ms: int) -> pb.Answer:
    """Return the message; what is left of a reservation is counted from now_unix_ms, the ledger's clock."""
    refusal, seq, short_fen, expires_at_unix_ms = answer
    if not refusal and not expires_at_unix_ms:
        return pb.Answer(seq=seq)
    return pb.Answer(
        refusal=refusal,  # type: ignore[arg-type]  # enum fields take plain numbers
        seq=seq,
        short_fen=short_fen,
        valid_for_ms=max(0, expires_at_unix_ms - now_unix_ms) if expires_at_unix_ms else 0,
    )


def to_result(batch: int, answers: Sequence[Answer], now_unix_ms: int) -> pb.PostBatchResult:
    """Return the answers of one batch as a message."""
    result = pb.PostBatchResult(batch=batch)
    add = result.answers.add
    for refusal, seq, short_fen, expires_at_unix_ms in answers:
        message = add()
        message.seq = seq
        if refusal:
            message.refusal = refusal  # type: ignore[assignment]  # enum fields take plain numbers
            message.short_fen = short_fen
        elif expires_at_unix_ms > now_unix_ms:
            message.valid_for_ms = expires_at_unix_ms - now_unix_ms
    return result


def to_failed_result(batch: int, error: CampusCardError) -> pb.PostBatchResult:
    """Return why a batch has no answers as a message."""
    return pb.PostBatchResult(
        batch=batch,
        error=pb.BatchError(code=number_of(error), message=str(error), retry_after_ms=retry_after_ms(error)),
    )


def to_balance(account: int, balance: Balance) -> pb.GetBalanceResponse:
    """Return the message."""
    return pb.GetBalanceResponse(
        account=account,
        posted_fen=balance.posted_fen,
        reserved_fen=balance.reserved_fen,
        available_fen=balance.available_fen,
        floor_fen=balance.floor_fen,
        overdrawn_fen=balance.overdrawn_fen,
    )


def to_statement(page: StatementPage) -> pb.GetStatementResponse:
    """Return the message."""
    return pb.GetStatementResponse(
        lines=[
            pb.StatementLine(
                seq=line.seq,
                originator=line.originator,
                transfer_id=line.transfer_id,
                verb=line.verb,  # type: ignore[arg-type]  # enum fields take plain numbers
                fact=line.fact,
                kind=line.kind,  # type: ignore[arg-type]
                origin=line.origin,  # type: ignore[arg-type]
                counterpart=line.counterpart,
                posted_fen=line.posted_fen,
                reserved_fen=line.reserved_fen,
                target_id=line.target_id or b"",
                business_date=line.business_date,
                recorded_at_unix_ms=line.recorded_at_unix_ms,
                made_at_unix_ms=line.made_at_unix_ms,
            )
            for line in page.lines
        ],
        next_before_seq=page.next_before_seq or 0,
    )
