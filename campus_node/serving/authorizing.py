"""May this card pay? A terminal's question becomes a RESERVE on the card's account, under the terminal's id.

The ledger gives the same question the same answer for ever. What is refused before it (a card that is unknown
or blocked) is not journalled: nothing was set aside, and the terminal heard no.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

import sqlalchemy

from campus_node.ledger.chart import Kind
from campus_node.ledger.engine import Engine
from campus_node.registry.cards import ASN_BYTES
from campus_node.registry.terminals import Terminal, TerminalState
from campus_node.serving.bridge import answer_into
from campus_node.serving.posting import Posting
from campus_node.serving.standing import Asked, Standing, Standings
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock
from federation.errors import Overloaded, Unavailable
from federation.transfer import (
    AMOUNT_MAX_FEN,
    CURRENCY_CNY,
    TRANSFER_ID_BYTES,
    Origin,
    Refusal,
    Request,
    Verb,
)

WAIT_DEFAULT_MS: Final = 5_000  # where a gateway does not say how long it waits
WAIT_MAX_MS: Final = 60_000
SHARE_OF_WAIT: Final = 0.9  # the rest is for the answer's way back
REMEMBERED_MAX: Final = 8_192
RETRY_AFTER_MS: Final = 1_000
_TERMINAL_ID_BYTES: Final = 6
_INT64_MAX: Final = (1 << 63) - 1

Alarm = Callable[[str, str, str, dict[str, object]], None]


class Authorizing:
    """Answers terminals' questions.

    Args:
        db: where the registry is.
        engine, posting: the ledger.
        clock: wall time.
        threads: where the database is asked.
        reservation_ms: for how long an approved amount stays set aside.
        alarm: told of a gateway that asks for a terminal which it does not serve.
    """

    def __init__(
        self,
        db: sqlalchemy.Engine,
        engine: Engine,
        posting: Posting,
        clock: Clock,
        threads: Executor,
        reservation_ms: int,
        alarm: Alarm,
    ) -> None:
        self._engine = engine
        self._posting = posting
        self._standings = Standings(db, clock, threads)
        self._reservation_ms = reservation_ms
        self._alarm = alarm
        self._numbers: dict[str, int] = {}
        self._names: dict[bytes, str] = {}
        self._answers: OrderedDict[tuple[bytes, bytes], wire.AuthorizationAnswered] = OrderedDict()

    async def answer(self, gateway: str, question: pb.ForwardedAuthorization) -> pb.AnsweredAuthorization:
        """Return the answer within what the gateway waits, or that nothing was decided.

        What was not decided in time may be decided afterwards: the same question again gets that answer.
        """
        wait_ms = min(question.wait_ms or WAIT_DEFAULT_MS, WAIT_MAX_MS)
        answered = pb.AnsweredAuthorization(
            terminal_id=question.terminal_id, transfer_id=question.asked.transfer_id
        )
        try:
            async with asyncio.timeout(wait_ms * SHARE_OF_WAIT / 1000):
                decided = await self._decide(gateway, question.terminal_id, question.asked)
        except Overloaded as error:
            decided = _unable(wire.UNABLE_REASON_NODE_AWAY, error.retry_after_ms)
        except (Unavailable, TimeoutError):
            decided = _unable(wire.UNABLE_REASON_NODE_AWAY)
        if isinstance(decided, wire.Unable):
            answered.unable.CopyFrom(decided)
        else:
            answered.answered.CopyFrom(decided)
        return answered

    async def _decide(
        self, gateway: str, terminal_id: bytes, asked: wire.AuthorizationAsked
    ) -> wire.AuthorizationAnswered | wire.Unable:
        if not _is_sane(terminal_id, asked):
            return _refused(asked, Refusal.MALFORMED)
        remembered = (terminal_id, _question(asked))
        if remembered in self._answers:
            return self._answers[remembered]
        name = self._names.get(terminal_id)
        number = None if name is None else self._numbers.get(name)
        key = None if number is None else (number, asked.transfer_id)
        standing = await self._standings.of(Asked(terminal_id, asked.asn, key))
        terminal = standing.terminal
        if terminal is None or terminal.gateway != gateway or terminal.state is not TerminalState.ACTIVE:
            self._stray(gateway, terminal_id, terminal)
            return _unable(wire.UNABLE_REASON_ISOLATED)
        if number is None or terminal.originator_name != name:
            number = await self._number_of(terminal)
            self._names[terminal_id] = terminal.originator_name
            if standing.blocked_by is not None:  # only now can be told whether it was answered before
                standing = await self._standings.of(
                    Asked(terminal_id, asked.asn, (number, asked.transfer_id))
                )
        decided = await self._ask_ledger(number, terminal, standing, asked)
        decided = self._answers.setdefault(remembered, decided)
        if len(self._answers) > REMEMBERED_MAX:
            self._answers.popitem(last=False)
        return decided

    async def _ask_ledger(
        self, number: int, terminal: Terminal, standing: Standing, asked: wire.AuthorizationAsked
    ) -> wire.AuthorizationAnswered:
        card = standing.card
        if card is None:
            return _refused(asked, Refusal.CARD_UNKNOWN)
        if standing.blocked_by is not None and not standing.answered:
            return _refused(asked, Refusal.CARD_BLOCKED)
        request = Request(
            originator=number,
            transfer_id=asked.transfer_id,
            verb=Verb.RESERVE,
            fact=False,
            kind=Kind.PURCHASE,
            debit=card.account,
            credit=terminal.merchant_account,
            amount_fen=asked.amount_fen,
            currency=CURRENCY_CNY,
            target_originator=0,
            target_id=b"",
            made_at_unix_ms=asked.made_at_unix_ms,
            valid_for_ms=self._reservation_ms,
            origin=Origin.ONLINE,
            window_id=0,
        )
        answer = await self._posting.ask(request)
        balance = self._engine.balance(card.account)
        available_fen = 0 if balance is None else max(0, balance.available_fen)
        if answer.refusal:
            return _refused(asked, answer.refusal, available_fen)
        return wire.AuthorizationAnswered(
            transfer_id=asked.transfer_id, amount_fen=asked.amount_fen, available_fen=available_fen
        )

    async def _number_of(self, terminal: Terminal) -> int:
        name = terminal.originator_name
        if name not in self._numbers:
            found: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()
            self._engine.originator_numbers({name}, answer_into(found))
            self._numbers |= await found
        return self._numbers[name]

    def _stray(self, gateway: str, terminal_id: bytes, terminal: Terminal | None) -> None:
        if terminal is not None and terminal.gateway == gateway:
            return  # isolated or revoked by us; its gateway hears so from the roll
        evidence: dict[str, object] = {
            "gateway": gateway,
            "served_by": None if terminal is None else terminal.gateway,
        }
        self._alarm("terminal.foreign", "serious", f"terminal/{terminal_id.hex().upper()}", evidence)


def _question(asked: wire.AuthorizationAsked) -> bytes:
    """Return what makes it the same question; a repeat has less time left to wait for its answer."""
    same = wire.AuthorizationAsked()
    same.CopyFrom(asked)
    same.ClearField("valid_for_ms")
    content: bytes = same.SerializeToString(deterministic=True)
    return content


def _is_sane(terminal_id: bytes, asked: wire.AuthorizationAsked) -> bool:
    return (
        len(terminal_id) == _TERMINAL_ID_BYTES
        and len(asked.transfer_id) == TRANSFER_ID_BYTES
        and len(asked.asn) == ASN_BYTES
        and not asked.pay_code
        and 0 < asked.amount_fen <= AMOUNT_MAX_FEN
        and 0 <= asked.made_at_unix_ms <= _INT64_MAX
    )


def _refused(
    asked: wire.AuthorizationAsked, refusal: int, available_fen: int = 0
) -> wire.AuthorizationAnswered:
    answered = wire.AuthorizationAnswered(transfer_id=asked.transfer_id, available_fen=available_fen)
    answered.refusal = refusal  # type: ignore[assignment]  # the numbers of the wire are the scheme's
    return answered


def _unable(reason: wire.UnableReason.ValueType, retry_after_ms: int = RETRY_AFTER_MS) -> wire.Unable:
    return wire.Unable(reason=reason, retry_after_ms=retry_after_ms)
