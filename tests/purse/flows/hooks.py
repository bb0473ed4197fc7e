"""Interruptions: a card channel, a reader and the way to the issuer, at whose calls something may happen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from campus_node.purse.channel import CardChannel, Reader
from campus_node.purse.issuer import LoadApproval, LoadAuthority, LoadRequest

Answer = TypeVar("Answer")


class Died(BaseException):
    """The terminal's process ends here."""


@dataclass(slots=True)
class Hook:
    """Acts at the nth call from now, before it or after it; calls count from 1.

    Args:
        error: what is raised; None = nothing is planned.
        lasting: from then on, not only once.
    """

    calls: int = 0
    nth: int = 0
    after: bool = False
    lasting: bool = False
    error: type[BaseException] | None = None
    fired: bool = False

    def plan(self, nth: int, error: type[BaseException], *, after: bool, lasting: bool = False) -> None:
        self.nth, self.error, self.after, self.lasting = self.calls + nth, error, after, lasting

    def around(self, call: Callable[[], Answer]) -> Answer:
        self.calls += 1
        due = self.error is not None and (self.calls == self.nth or (self.lasting and self.calls > self.nth))
        if due and not self.after:
            self.fired = True
            assert self.error is not None
            raise self.error("planned")
        answer = call()
        if due:
            self.fired = True
            assert self.error is not None
            raise self.error("planned")
        return answer


class HookedChannel:
    """A card channel at whose commands something may happen to the process."""

    def __init__(self, inner: CardChannel, hook: Hook, seen: list[tuple[bytes, int]]) -> None:
        self._inner = inner
        self._hook = hook
        self._seen = seen

    @property
    def reader(self) -> str:
        return self._inner.reader

    def power_on(self) -> bytes:
        return self._inner.power_on()

    def reset(self) -> bytes:
        return self._inner.reset()

    def transmit(self, command: bytes) -> bytes:
        def send() -> bytes:
            answer = self._inner.transmit(command)
            self._seen.append((command, len(answer)))
            return answer

        return self._hook.around(send)

    def close(self) -> None:
        self._inner.close()


class HookedReader:
    """A reader whose channels are hooked."""

    def __init__(self, inner: Reader, hook: Hook, seen: list[tuple[bytes, int]]) -> None:
        self.name = inner.name
        self._inner = inner
        self._hook = hook
        self._seen = seen

    def wait_for_card(self, timeout_s: float) -> CardChannel | None:
        channel = self._inner.wait_for_card(timeout_s)
        return None if channel is None else HookedChannel(channel, self._hook, self._seen)

    def wait_for_removal(self, timeout_s: float) -> bool:
        return self._inner.wait_for_removal(timeout_s)


class Line:
    """The way to the issuer, on which questions and answers can be lost."""

    def __init__(self, issuer: LoadAuthority, hook: Hook) -> None:
        self._issuer = issuer
        self._hook = hook
        self.approved: set[bytes] = set()  # by the card's random numbers

    def authorise(self, request: LoadRequest) -> LoadApproval:
        def ask() -> LoadApproval:
            approval = self._issuer.authorise(request)
            self.approved.add(request.card_random)
            return approval

        return self._hook.around(ask)

    def complete(self, request: LoadRequest, proof: bytes) -> None:
        self._hook.around(lambda: self._issuer.complete(request, proof))

    def ask_proof(self, request: LoadRequest) -> bytes:
        return self._hook.around(lambda: self._issuer.ask_proof(request))

    def settle(self, request: LoadRequest, fresh: LoadRequest) -> bool:
        return self._hook.around(lambda: self._issuer.settle(request, fresh))
