"""Who asks and who pays: terminal and card as the registry has them, looked up for many questions at once."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import sqlalchemy
from sqlalchemy import select

from campus_node.database.connect import reading
from campus_node.ledger.tables import transfers
from campus_node.registry import cards, terminals
from campus_node.registry.cards import Card, CardFlag
from campus_node.registry.terminals import Terminal
from federation.clock import Clock


class Asked(NamedTuple):
    """What is to be looked up.

    Args:
        terminal_id: 6 bytes.
        asn: 10 bytes, or empty.
        key: originator and transfer id of the question; None = its originator has no number yet.
    """

    terminal_id: bytes
    asn: bytes
    key: tuple[int, bytes] | None


class Standing(NamedTuple):
    """What the registry says.

    Args:
        terminal, card: None = not registered.
        blocked_by: why the card may not pay now.
        answered: the ledger has answered this question before: its first answer holds.
    """

    terminal: Terminal | None
    card: Card | None
    blocked_by: CardFlag | None
    answered: bool


class Standings:
    """Looks up; all questions that come while one look-up is under way share the next one.

    Args:
        db: where the registry and the journal are.
        clock: wall time.
        threads: where the database is asked.
    """

    def __init__(self, db: sqlalchemy.Engine, clock: Clock, threads: Executor) -> None:
        self._db = db
        self._clock = clock
        self._threads = threads
        self._waiting: list[tuple[Asked, asyncio.Future[Standing]]] = []
        self._working: asyncio.Task[None] | None = None

    async def of(self, asked: Asked) -> Standing:
        """Return how a question stands; raise StoreDown."""
        future: asyncio.Future[Standing] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            questions = [asked for asked, _ in waiting]
            try:
                found = await loop.run_in_executor(self._threads, self._look_up, questions)
            except BaseException as error:
                for _, future in waiting:
                    if not future.done():
                        future.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                continue
            for (_, future), standing in zip(waiting, found, strict=True):
                if not future.done():
                    future.set_result(standing)

    def _look_up(self, questions: Sequence[Asked]) -> list[Standing]:
        now_unix_ms = self._clock.unix_ms()
        with reading(self._db) as connection:
            known = terminals.known(connection, {asked.terminal_id for asked in questions})
            found = cards.find(connection, {asked.asn for asked in questions})
            standings = []
            for asked in questions:
                card = found.get(asked.asn)
                blocked_by = None if card is None else card.blocked_by(now_unix_ms)
                answered = (
                    blocked_by is not None and asked.key is not None and _is_answered(connection, asked.key)
                )
                standings.append(Standing(known.get(asked.terminal_id), card, blocked_by, answered))
        return standings


def _is_answered(connection: sqlalchemy.Connection, key: tuple[int, bytes]) -> bool:
    originator, transfer_id = key
    given: object = transfer_id.hex() if connection.dialect.name == "postgresql" else transfer_id
    query = select(transfers.c.seq).where(
        transfers.c.originator == originator, transfers.c.transfer_id == given
    )
    return connection.execute(query.limit(1)).first() is not None
