"""After any sales, tears and deliveries the books say what the cards say (rules 1, 4, 9, 15)."""

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campus_node.database.connect import connect, reading
from campus_node.purse.movement_log import Unsettled
from campus_node.records import grey, projection
from campus_node.records.spooled import Outcome
from federation.clock import VirtualClock
from hil_rig.sales import JournalRecord, SoftTill, card_number
from tests.records.build import FOURTEEN, SEVEN
from tests.records.counter import NOON, Canteen
from tests.records.test_grey import tear

ACT = st.one_of(
    st.tuples(
        st.just("sell"), st.integers(0, 1), st.integers(0, 1), st.integers(1, 900), st.sampled_from("ndb")
    ),
    st.tuples(st.just("bring"), st.integers(0, 2**16)),
    st.tuples(st.just("work")),
    st.tuples(st.just("wait")),
)


class World:
    """Two cards, two tills, a node; and the truth: what the cards were charged."""

    def __init__(self, directory: Path, template: Path) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        shutil.copy(template, directory / "campus.sqlite")
        url = f"sqlite:///{directory / 'campus.sqlite'}"
        self.clock = VirtualClock()
        self.db = connect(url)
        self.canteen = Canteen(self.db, url, self.clock, directory)
        self.charged: dict[int, list[int]] = {1001: [], 1002: []}
        self.tills = [self.canteen.seven, self.canteen.fourteen]

    def close(self) -> None:
        self.canteen.close()
        self.db.dispose()

    def sell(self, till: SoftTill, card: int, fen: int, how: str) -> None:
        holder = self.canteen.li if card == 1001 else self.canteen.wang
        try:
            if how == "n":
                till.sell(holder, fen, NOON)
            else:
                tear(till, holder, fen, charged=how == "d")
        except Unsettled:
            return  # this till wants the card to settle an older sale first
        if how != "b":
            self.charged[card].append(fen)

    def bring(self, seed: int) -> None:
        """Bring some records, some of them twice, in any order."""
        rng = random.Random(seed)
        held: list[tuple[JournalRecord, bytes]] = [
            (each, terminal)
            for till, terminal in zip(self.tills, (SEVEN.terminal_id, FOURTEEN.terminal_id), strict=True)
            for each in till.records()
        ]
        chosen = rng.choices(held, k=len(held)) if held else []
        for each, terminal in chosen:
            self.canteen.deliver([each], terminal)

    def settle(self) -> None:
        """Everything comes, and each card buys once more, at a third till."""
        third = SoftTill(SEVEN.terminal_id, b"3" * 16, self.clock, first_seq=10_000)
        for card in self.charged:
            self.sell(third, card, 7, "n")
        self.bring_all()
        self.canteen.deliver(third.records())
        self.canteen.work()
        self.clock.advance(601_000)
        self.canteen.bookkeeper.end_begun(600_000)

    def bring_all(self) -> None:
        self.canteen.bring()
        self.canteen.work()


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACT, max_size=10))
def test_in_the_end_each_purse_is_booked_as_its_card_says(
    tmp_path: Path, sqlite_template: Path, acts: list[tuple[object, ...]]
) -> None:
    world = World(tmp_path / "world", sqlite_template)
    try:
        for act in acts:
            match act:
                case ("sell", int(till), int(card), int(fen), str(how)):
                    world.sell(world.tills[till], 1001 + card, fen, how)
                case ("bring", int(seed)):
                    world.bring(seed)
                case ("work",):
                    world.canteen.work()
                case ("wait",):
                    world.clock.advance(601_000)
                    world.canteen.bookkeeper.end_begun(600_000)
            require_never_too_much(world)
        world.settle()
        require_books_as_cards(world)
    finally:
        world.close()


def require_never_too_much(world: World) -> None:
    for card, charged in world.charged.items():
        assert world.canteen.spent_fen(card) <= sum(charged)


def require_books_as_cards(world: World) -> None:
    canteen = world.canteen
    for card, charged in world.charged.items():
        assert canteen.spent_fen(card) == sum(charged)
        with reading(canteen.db) as connection:
            found = projection.of_card(connection, card_number(card), 2)
        assert found is not None
        assert found.missing == ()
        assert found.projected_fen == found.last_fen == 50_000 - sum(charged)
    assert canteen.movements() == canteen.postings() == sum(map(len, world.charged.values()))
    with reading(canteen.db) as connection:
        assert grey.listed(connection, 10) == []
    assert not {Outcome.PENDING, Outcome.CONFLICT, Outcome.REFUSED} & {o for o, _ in canteen.outcomes()}
    canteen.require_balanced()
