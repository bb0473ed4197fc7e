"""What the benchmarks post is what a campus posts: checked on a small one, on SQLite."""

from pathlib import Path

import pytest

from bench.harness import BenchBroken
from bench.load import GROUP_ITEMS, Books, Population, as_recollected
from bench.soundness import require_sound
from campus_node.database.connect import connect
from campus_node.database.migrate import upgrade
from campus_node.ledger.sqlite_store import SqliteStore


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    upgrade(address)
    return address


@pytest.fixture
def books(tmp_path: Path, url: str) -> Books:
    del url
    books = Books(lambda: SqliteStore(tmp_path / "ledger.sqlite"), Population(cards=50, seed=3))
    books.fill()
    return books


def test_what_was_acknowledged_is_in_the_journal_and_sound(books: Books, url: str) -> None:
    posted = books.post([books.population.purchases() for _ in range(3)])
    books.close()
    assert posted.items == 3 * GROUP_ITEMS
    assert books.rows == 50 + posted.items
    require_sound("books", connect(url), books.rows)


def test_a_row_too_few_is_found(books: Books, url: str) -> None:
    books.close()
    with pytest.raises(BenchBroken, match="50 rows"):
        require_sound("books", connect(url), books.rows + 1)


def test_a_repeat_after_a_restart_gets_the_first_answers_and_adds_no_row(books: Books, url: str) -> None:
    posted = books.post([books.population.purchases()])
    books.restart()
    again = books.post([as_recollected(group) for group in posted.groups], new=False)
    books.close()
    assert [list(answers) for answers in again.answers] == [list(answers) for answers in posted.answers]
    require_sound("books", connect(url), books.rows)


def test_a_refusal_breaks_the_bench_instead_of_counting_as_speed(books: Books) -> None:
    too_much = [request._replace(amount_fen=99_999_999) for request in books.population.purchases()]
    with pytest.raises(BenchBroken, match="not everything was posted"):
        books.post([too_much])
    books.close()


def test_a_hot_group_has_one_merchant_and_ids_are_all_different() -> None:
    population = Population(cards=50, seed=3)
    groups = [population.purchases(hot=True) for _ in range(8)]
    assert {request.credit for group in groups for request in group} == {population.merchants[0]}
    assert len({request.transfer_id for group in groups for request in group}) == 8 * GROUP_ITEMS
    assert {request.transfer_id[6] >> 4 for group in groups for request in group} == {7}
