"""Delivers what waits in the outbox: at least once, again after failures; giving up raises an alarm."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine

from campus_node.database.connect import reading, writing
from campus_node.outbox import store
from campus_node.outbox.store import Message
from federation.clock import Clock
from federation.errors import Refused

# Returns = the receiver has it for good. Raises Refused = it never will; anything else = try again.
Deliver = Callable[[Message], None]
DeadLetter = Callable[[Connection, Message, str, int], None]  # tells people, in the transaction that gives up

_DIED_TRYING: Final = "the process ended while it delivered this message"


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Bounds of a relay. With these, a message is tried for about half a day before it is given up."""

    batch_items_max: int = 100  # messages a round
    attempts_max: int = 100
    first_delay_ms: int = 1_000
    delay_max_ms: int = 600_000
    claim_ms: int = 60_000  # longer than any delivery takes; so long a message rests after a crash
    keep_ms: int = 30 * 24 * 3_600_000  # delivered messages, and ids by which repeats are recognised
    forget_every_ms: int = 3_600_000
    forget_items_max: int = 10_000


@dataclass(frozen=True, slots=True)
class _Failure:
    error: str
    final: bool


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0

    @property
    def tried(self) -> int:
        return self.delivered + self.failed + self.dead


class OutboxRelay:
    """Hands messages to whoever delivers their topic. Several relays may share one database.

    Messages of a topic that nobody delivers wait; `store.backlog` shows them. No transaction is open while a
    message is being delivered.

    Args:
        deliverers: what delivers each topic.
        dead_letter: raises the alarm about a message that is given up.
        rng: where the jitter of the delays comes from.
    """

    def __init__(
        self,
        db: Engine,
        clock: Clock,
        deliverers: Mapping[str, Deliver],
        dead_letter: DeadLetter,
        rng: random.Random,
        limits: RelayLimits = RelayLimits(),  # immutable
    ) -> None:
        self._db = db
        self._clock = clock
        self._deliverers = dict(deliverers)
        self._dead_letter = dead_letter
        self._rng = rng
        self._limits = limits
        self._forget_at_unix_ms = 0

    def run_once(self, keep_going: Callable[[], bool] = lambda: True) -> Round:
        """Deliver what is due now, at most one batch; what fails in it waits for its next attempt.

        Args:
            keep_going: asked before each message; false ends the round.

        Raises:
            StoreDown, OutcomeUnknown: the outbox cannot be read or marked; what was delivered may come again.
        """
        started_unix_ms = self._clock.unix_ms()
        self._forget(started_unix_ms)
        with reading(self._db) as connection:
            if not store.anything_due(connection, self._deliverers, started_unix_ms, self._horizon_ms()):
                return Round()
        counts = {"delivered": 0, "failed": 0, "dead": 0}
        message = self._claim()
        for remaining in reversed(range(self._limits.batch_items_max)):
            if message is None:
                break
            failure = self._try(message)
            with writing(self._db) as connection:
                counts[self._mark(connection, message, failure)] += 1
                message = self._claim_next(connection) if remaining and keep_going() else None
        return Round(**counts)

    def _claim(self) -> Message | None:
        with writing(self._db) as connection:
            return self._claim_next(connection)

    def _claim_next(self, connection: Connection) -> Message | None:
        now_unix_ms = self._clock.unix_ms()
        return store.claim(
            connection, self._deliverers, now_unix_ms, self._horizon_ms(), now_unix_ms + self._limits.claim_ms
        )

    def _try(self, message: Message) -> _Failure | None:
        if message.attempts > self._limits.attempts_max:
            return _Failure(_DIED_TRYING, final=True)
        try:
            self._deliverers[message.topic](message)
        except Exception as error:  # whatever a deliverer raises, the others' messages go on
            final = isinstance(error, Refused) or message.attempts == self._limits.attempts_max
            return _Failure(f"{type(error).__name__}: {error}", final)
        return None

    def _mark(self, connection: Connection, message: Message, failure: _Failure | None) -> str:
        now_unix_ms = self._clock.unix_ms()
        if failure is None:
            store.mark_delivered(connection, message.message, now_unix_ms)
            return "delivered"
        if failure.final:
            store.mark_dead(connection, message.message, failure.error, now_unix_ms)
            self._dead_letter(connection, message, failure.error, now_unix_ms)
            return "dead"
        next_unix_ms = now_unix_ms + self._delay_ms(message.attempts)
        store.mark_failed(connection, message.message, failure.error, next_unix_ms)
        return "failed"

    def _horizon_ms(self) -> int:
        return max(self._limits.delay_max_ms, self._limits.claim_ms)

    def _delay_ms(self, attempts: int) -> int:
        """Doubles with each attempt; between half and the whole of it, so that failures spread out."""
        longest_ms = min(self._limits.delay_max_ms, self._limits.first_delay_ms << (attempts - 1))
        return self._rng.randint(longest_ms // 2, longest_ms)

    def _forget(self, now_unix_ms: int) -> None:
        if now_unix_ms < self._forget_at_unix_ms:
            return
        with writing(self._db) as connection:
            store.forget(connection, now_unix_ms - self._limits.keep_ms, self._limits.forget_items_max)
        self._forget_at_unix_ms = now_unix_ms + self._limits.forget_every_ms
