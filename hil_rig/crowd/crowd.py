"""A crowd at the tills of one campus: everybody pays, one after the other, and asks until there is an answer.

Before a question is sent it is durable, with every answer before it. A question without answer is repeated
with the same id for as long as the crowd's patience lasts.
"""

import asyncio
import random
from dataclasses import dataclass
from typing import Final

from campus_node.ledger.client import PostAnswer, Transfer
from federation.clock import Clock
from federation.errors import Unavailable
from federation.transfer import Verb
from hil_rig.crowd.outing import Shopper
from hil_rig.crowd.receipts import Event, Receipts
from hil_rig.crowd.tills import Till

REPEAT_AFTER_S: Final = (0.05, 0.4)  # a question without an answer, with jitter


@dataclass(slots=True)
class Progress:
    """How far a crowd is; counts only grow, except `waiting`."""

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    unanswered: int = 0  # attempts
    given_up: int = 0
    waiting: int = 0  # attempts that are under way now

    @property
    def answered(self) -> int:
        return self.acknowledged + self.refused


class Crowd:
    """The people of one client process.

    Args:
        patience_s: how long one question is repeated before its outcome stays unknown.
    """

    def __init__(self, receipts: Receipts, clock: Clock, seed: int, patience_s: float) -> None:
        self.progress = Progress()
        self._receipts = receipts
        self._clock = clock
        self._jitter = random.Random(f"repeats {seed}")  # noqa: S311 - repeatable, not secret
        self._patience_s = patience_s
        self._stopped = False

    def stop(self) -> None:
        """Begin nothing new; what was asked is still asked to its end."""
        self._stopped = True

    async def visit(self, shopper: Shopper, till: Till, payments: int | None) -> None:
        """Let one person pay until so many transfers are asked (None = until stopped)."""
        asked = 0
        while not self._stopped and (payments is None or asked < payments):
            outing = shopper.outing()
            transfer = next(outing)
            while True:
                asked += 1
                answer = await self._settle(till, transfer)
                if answer is None:
                    return
                try:
                    transfer = outing.send(answer)
                except StopIteration:
                    break
        await self._receipts.flush()

    async def _settle(self, till: Till, transfer: Transfer) -> PostAnswer | None:
        identity = transfer.transfer_id.hex().upper()
        await self._receipts.keep(sent_event(identity, till.originator, transfer))
        self.progress.sent += 1
        first_s = self._clock.monotonic_s()
        while True:
            from_unix_ms, from_s = self._clock.unix_ms(), self._clock.monotonic_s()
            self.progress.waiting += 1
            try:
                answer = await till.ask(transfer)
            except Unavailable:
                self.progress.unanswered += 1
                self._receipts.note(
                    {
                        "unanswered": identity,
                        "by": till.originator,
                        "from_unix_ms": from_unix_ms,
                        "to_unix_ms": self._clock.unix_ms(),
                    }
                )
            else:
                now_s = self._clock.monotonic_s()
                self._receipts.note(
                    answered_event(identity, till.originator, answer)
                    | {
                        "from_unix_ms": from_unix_ms,
                        "to_unix_ms": self._clock.unix_ms(),
                        "took_us": round((now_s - from_s) * 1e6),
                        "waited_us": round((now_s - first_s) * 1e6),
                    }
                )
                self.progress.acknowledged += answer.done
                self.progress.refused += not answer.done
                return answer
            finally:
                self.progress.waiting -= 1
            if self._clock.monotonic_s() - first_s > self._patience_s:
                self.progress.given_up += 1
                return None
            await asyncio.sleep(self._jitter.uniform(*REPEAT_AFTER_S))


def sent_event(identity: str, originator: str, transfer: Transfer) -> Event:
    """Return the line that a client keeps before it asks."""
    return {
        "sent": identity,
        "by": originator,
        "verb": Verb(transfer.verb).name,
        "debit": transfer.debit,
        "credit": transfer.credit,
        "amount_fen": transfer.amount_fen,
        "target": transfer.target_id.hex().upper(),
    }


def answered_event(identity: str, originator: str, answer: PostAnswer) -> Event:
    """Return the line that a client keeps before it asks anything else."""
    return {
        "answered": identity,
        "by": originator,
        "refusal": answer.refusal_name,
        "seq": answer.seq,
        "short_fen": answer.short_fen,
    }
