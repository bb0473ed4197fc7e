"""A campus's books under load: the product's engine on one database, and callers that keep it busy."""

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from bench.harness import BenchBroken
from campus_node.ledger.chart import FLOOR_NONE, AccountClass, Kind, account_number
from campus_node.ledger.engine import Engine, EngineLimits
from campus_node.ledger.observer import Unobserved
from campus_node.ledger.store import AccountOpening, Store
from federation.business_date import BusinessCalendar
from federation.clock import SystemClock
from federation.errors import Misconfigured
from federation.transfer import CURRENCY_CNY, Answer, Origin, Request, Verb

GROUP_ITEMS: Final = 256
OUTSTANDING: Final = 6  # groups under way: the engine never waits for its callers
MERCHANTS: Final = 200
FUNDED_FEN: Final = 500_000
_OPENINGS_PER_CALL: Final = 10_000
_ANSWER_TIMEOUT_S: Final = 120.0
_LOCK_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.05

CLOCK: Final = SystemClock()

Group = Sequence[Request]


class Posted(NamedTuple):
    """What was posted in one run, and in which time."""

    groups: list[Group]
    answers: list[Sequence[Answer]]  # one for each group
    seconds: float
    commits: int

    @property
    def items(self) -> int:
        return sum(map(len, self.groups))

    @property
    def per_s(self) -> float:
        return self.items / self.seconds


class Population:
    """Who pays and who sells on the benchmark's campus.

    Args:
        cards: number of holders.
        seed: what is drawn at random depends on nothing else.
    """

    def __init__(self, cards: int, seed: int = 1) -> None:
        self.cards = [account_number(AccountClass.ONLINE, 20_260_000_000 + i) for i in range(cards)]
        self.merchants = [account_number(AccountClass.MERCHANT_PAYABLE, 1 + i) for i in range(MERCHANTS)]
        self.bank = account_number(AccountClass.BANK, 1)
        self._random = random.Random(seed)
        self._amounts = range(300, 2_500)

    def openings(self) -> Iterator[list[AccountOpening]]:
        """Return all accounts, some at a time."""
        first = [AccountOpening(self.bank, "bank", FLOOR_NONE)]
        first += [AccountOpening(merchant, f"merchant {merchant}", 0) for merchant in self.merchants]
        yield first
        for start in range(0, len(self.cards), _OPENINGS_PER_CALL):
            some = self.cards[start : start + _OPENINGS_PER_CALL]
            yield [AccountOpening(card, f"holder {card}", 0) for card in some]

    def loads(self) -> Iterator[Group]:
        """Return the groups that put money on every card."""
        for start in range(0, len(self.cards), GROUP_ITEMS):
            cards = self.cards[start : start + GROUP_ITEMS]
            ids = self._ids(len(cards))
            made_at = CLOCK.unix_ms()
            yield [
                Request(
                    1, transfer_id, Verb.POST, False, Kind.LOAD, self.bank, card, FUNDED_FEN, CURRENCY_CNY,
                    0, b"", made_at, 0, Origin.ONLINE, 0,
                )
                for transfer_id, card in zip(ids, cards, strict=True)
            ]  # fmt: skip

    def purchases(self, *, hot: bool = False) -> Group:
        """Return a group of purchases, made now: any card at any merchant, or all at one."""
        merchants = self.merchants[:1] if hot else self.merchants
        draw = self._random.choices
        made_at = CLOCK.unix_ms()
        post, purchase, origin = int(Verb.POST), int(Kind.PURCHASE), int(Origin.ONLINE)
        return [
            Request(
                1, transfer_id, post, False, purchase, card, merchant, amount_fen, CURRENCY_CNY,
                0, b"", made_at, 0, origin, 0,
            )
            for transfer_id, card, merchant, amount_fen in zip(
                self._ids(GROUP_ITEMS),
                draw(self.cards, k=GROUP_ITEMS),
                draw(merchants, k=GROUP_ITEMS),
                draw(self._amounts, k=GROUP_ITEMS),
                strict=True,
            )
        ]  # fmt: skip

    def _ids(self, count: int) -> list[bytes]:
        """Return UUIDv7s of this instant, in order (RFC 9562, 5.7), cheaper by the group than one by one."""
        head = CLOCK.unix_ms().to_bytes(6, "big")
        tails = self._random.randbytes(8 * count)
        return [
            head
            + (0x7000 | i).to_bytes(2, "big")
            + bytes((tails[8 * i] & 0x3F | 0x80,))
            + tails[8 * i + 1 : 8 * i + 8]
            for i in range(count)
        ]


def as_recollected(group: Group) -> Group:
    """Return the same records as a terminal's second delivery brings them."""
    return [request._replace(origin=Origin.RECOLLECTED) for request in group]


class Commits(Unobserved):
    """Counts what the engine committed, to tell how many items share a commit."""

    def __init__(self) -> None:
        self.commits = 0
        self.items = 0

    def batch_committed(
        self, items: int, rows: int, refusals: Mapping[int, int], commit_s: float, queued_items: int
    ) -> None:
        """Count one commit."""
        del rows, refusals, commit_s, queued_items
        self.commits += 1
        self.items += items


class Books:
    """The product's engine on one database; a commit holds one group, everything else is as it comes.

    Args:
        store: makes the store; called again for every restart.
        population: who has accounts.
    """

    def __init__(self, store: Callable[[], Store], population: Population) -> None:
        self._store = store
        self.population = population
        self.commits = Commits()
        self.rows = 0  # that must stand in the journal
        self.engine = self._started()

    def fill(self) -> None:
        """Open all accounts and put money on every card, through the engine."""
        for openings in self.population.openings():
            opened: list[object] = []
            done = threading.Event()

            def reply(outcome: object, opened: list[object] = opened, done: threading.Event = done) -> None:
                opened.append(outcome)
                done.set()

            self.engine.open_accounts(openings, reply)
            if not done.wait(_ANSWER_TIMEOUT_S) or opened != [[True] * len(openings)]:
                raise BenchBroken(f"accounts were not opened: {str(opened)[:200]}")
        self.post(self.population.loads())

    def restart(self) -> None:
        """Stop the engine and start another: it remembers no recent id."""
        self.close()
        self.engine = self._started()

    def close(self) -> None:
        """Stop the engine."""
        self.engine.stop(drain_s=30)

    def post_purchases(self, seconds: float, *, hot: bool = False) -> Posted:
        """Post purchases for some time."""
        stop_at_s = CLOCK.monotonic_s() + seconds

        def groups() -> Iterator[Group]:
            while CLOCK.monotonic_s() < stop_at_s:
                yield self.population.purchases(hot=hot)

        return self.post(groups())

    def post(self, groups: Iterator[Group] | Sequence[Group], *, new: bool = True) -> Posted:
        """Post groups as fast as the engine takes them, until all are answered.

        Args:
            groups: what to post.
            new: whether every item must become a row of the journal.

        Raises:
            BenchBroken: an item was refused, or an answer did not come.
        """
        slots = threading.Semaphore(OUTSTANDING)
        outcomes: list[object] = []
        sent: list[Group] = []

        def reply(outcome: object) -> None:
            outcomes.append(outcome)
            slots.release()

        began_s, commits_before = CLOCK.monotonic_s(), self.commits.commits
        for group in groups:
            self._wait(slots)
            sent.append(group)
            self.engine.submit(group, reply)
        for _ in range(OUTSTANDING):
            self._wait(slots)
        seconds = CLOCK.monotonic_s() - began_s

        answers: list[Sequence[Answer]] = []
        for outcome in outcomes:
            if not isinstance(outcome, Sequence) or any(answer.refusal for answer in outcome):
                raise BenchBroken(f"not everything was posted: {str(outcome)[:200]}")
            answers.append(outcome)
        posted = Posted(sent, answers, seconds, self.commits.commits - commits_before)
        if new:
            self.rows += posted.items
        return posted

    def _wait(self, slots: threading.Semaphore) -> None:
        if not slots.acquire(timeout=_ANSWER_TIMEOUT_S):
            raise BenchBroken(f"no answer within {_ANSWER_TIMEOUT_S} s: the engine is {self.engine.state}")

    def _started(self) -> Engine:
        """Start an engine; the server frees the lock of the one before a moment after it was stopped."""
        give_up_s = CLOCK.monotonic_s() + _LOCK_TIMEOUT_S
        while True:
            engine = Engine(
                self._store(),
                CLOCK,
                BusinessCalendar(),
                holder="bench",
                limits=EngineLimits(batch_items_max=GROUP_ITEMS),
                observer=self.commits,
            )
            try:
                engine.start()
                return engine
            except Misconfigured:
                if CLOCK.monotonic_s() > give_up_s:
                    raise
                CLOCK.sleep(_POLL_S)
