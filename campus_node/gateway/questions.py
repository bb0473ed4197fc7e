"""Online authorisations on their way: to the node, back before the deadline, once (B3). Pure.

A question that is repeated gets the first answer; one whose answer is still out waits on for it. What the
gateway forgot, because it was restarted or much was asked since, the node answers again as it did first.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, TypeVar

from campus_node.gateway.attendant import unable
from campuscard.v1 import common_pb2 as common
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire

MARGIN_MS: Final = 150  # of the terminal's deadline: the way back over its line
WAIT_MS_MIN: Final = 50  # less than that is not worth asking for
WAIT_MS_MAX: Final = 30_000
RETRY_AWAY_MS: Final = 5_000
WAITING_MAX: Final = 1_024
REMEMBERED_MAX: Final = 4_096

_Key = tuple[bytes, bytes]
V = TypeVar("V")


@dataclass(slots=True)
class _Waiting:
    content: bytes
    message_id: int
    until_s: float


@dataclass(frozen=True, slots=True)
class _Answered:
    content: bytes
    message: wire.FromGateway


class Questions:
    """What was asked by the terminals of one gateway."""

    def __init__(self) -> None:
        self._waiting: dict[_Key, _Waiting] = {}
        self._late: OrderedDict[_Key, bytes] = OrderedDict()
        self._answered: OrderedDict[_Key, _Answered] = OrderedDict()

    def ask(
        self,
        terminal_id: bytes,
        asked: wire.AuthorizationAsked,
        message_id: int,
        now_s: float,
        node_there: bool,
    ) -> pb.ForwardedAuthorization | wire.FromGateway | None:
        """Return what is to be sent: to the node, or at once to the terminal; None = the answer is under way.

        Args:
            terminal_id: 6 bytes.
            asked: the question.
            message_id: of the message that brought it.
            now_s: monotonic seconds.
            node_there: whether the stream to the node stands.
        """
        key = terminal_id, asked.transfer_id
        content = _content(asked)
        first = self._answered.get(key)
        if first is not None and first.content == content:
            again = wire.FromGateway()
            again.CopyFrom(first.message)
            again.answers = message_id
            return again
        wait_ms = min(asked.valid_for_ms, WAIT_MS_MAX) - MARGIN_MS
        until_s = now_s + wait_ms / 1000
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.content == content:
            waiting.message_id, waiting.until_s = message_id, max(until_s, now_s)
            return None
        if not node_there or wait_ms < WAIT_MS_MIN or len(self._waiting) >= WAITING_MAX:
            return unable(message_id, wire.UNABLE_REASON_NODE_AWAY, RETRY_AWAY_MS)
        if waiting is not None:  # another question under the id of one that is out
            conflict = wire.AuthorizationAnswered(
                transfer_id=asked.transfer_id, refusal=common.REFUSAL_TRANSFER_CONFLICT
            )
            return wire.FromGateway(answers=message_id, authorization=conflict)
        self._waiting[key] = _Waiting(content, message_id, until_s)
        return pb.ForwardedAuthorization(terminal_id=terminal_id, asked=asked, wait_ms=wait_ms)

    def answered(self, answer: pb.AnsweredAuthorization) -> wire.FromGateway | None:
        """Take the node's answer and return it for the terminal; None = it has been told something already.

        What comes after the deadline is remembered for the repeat.
        """
        key = answer.terminal_id, answer.transfer_id
        waiting = self._waiting.pop(key, None)
        late = self._late.pop(key, None)
        if answer.WhichOneof("result") != "answered":
            if waiting is None:
                return None
            return wire.FromGateway(answers=waiting.message_id, unable=answer.unable)
        message = wire.FromGateway(
            answers=0 if waiting is None else waiting.message_id, authorization=answer.answered
        )
        content = late if waiting is None else waiting.content
        if content is not None and key not in self._answered:
            self._answered[key] = _Answered(content, message)
            _forget_oldest(self._answered)
        return None if waiting is None else message

    def overdue(self, now_s: float) -> list[tuple[bytes, wire.FromGateway]]:
        """Return (terminal, answer) for those whose deadline is over: nothing is decided."""
        late = [key for key, waiting in self._waiting.items() if waiting.until_s <= now_s]
        return [self._give_up(key) for key in late]

    def node_lost(self) -> list[tuple[bytes, wire.FromGateway]]:
        """Return the same for all that wait: the stream broke, and with it their way back."""
        return [self._give_up(key) for key in list(self._waiting)]

    def due_s(self) -> float:
        """When `overdue` ought to be called; infinite = nothing waits."""
        return min((waiting.until_s for waiting in self._waiting.values()), default=float("inf"))

    def _give_up(self, key: _Key) -> tuple[bytes, wire.FromGateway]:
        waiting = self._waiting.pop(key)
        self._late[key] = waiting.content
        _forget_oldest(self._late)
        return key[0], unable(waiting.message_id, wire.UNABLE_REASON_NODE_AWAY, RETRY_AWAY_MS)


def _forget_oldest(remembered: OrderedDict[_Key, V]) -> None:
    while len(remembered) > REMEMBERED_MAX:
        remembered.popitem(last=False)


def _content(asked: wire.AuthorizationAsked) -> bytes:
    """Return what makes a question the same one: all but when it was asked and for how long."""
    same = wire.AuthorizationAsked()
    same.CopyFrom(asked)
    same.ClearField("valid_for_ms")
    same.ClearField("made_at_unix_ms")
    content: bytes = same.SerializeToString(deterministic=True)
    return content
