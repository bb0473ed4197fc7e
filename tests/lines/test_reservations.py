"""Numbers are never given out twice, whatever write is torn and whenever the process dies."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_node.lines import reservations
from campus_node.lines.reservations import (
    BLOCK,
    NUMBER_MAX,
    PAGE_BYTES,
    PAGES,
    FileReservation,
    NumbersSpent,
    ReservationDamaged,
    ReservationLost,
)
from federation.errors import Misconfigured


class Torn(OSError):
    """The power went."""


class MemoryDisk:
    """A disk of bytes which loses power within a chosen write: its first bytes are there, the rest is not."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.synced = bytes(content)
        self.tear_at: int | None = None

    def size(self) -> int:
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.content[offset : offset + length])

    def write(self, offset: int, content: bytes) -> None:
        if self.tear_at is not None:
            kept = self.tear_at % (len(content) + 1)
            self.content[offset : offset + kept] = content[:kept]
            raise Torn
        self.content[offset : offset + len(content)] = content

    def sync(self) -> None:
        self.synced = bytes(self.content)

    def close(self) -> None:
        pass


def fresh(tmp_path: Path) -> bytes:
    path = tmp_path / "fresh"
    FileReservation.open(path).close()
    return path.read_bytes()


@given(lives=st.lists(st.tuples(st.integers(0, 3 * BLOCK), st.integers(0, 10_000)), max_size=12))
def test_no_number_comes_twice_whatever_write_is_torn(
    tmp_path_factory: pytest.TempPathFactory, lives: list[tuple[int, int]]
) -> None:
    content, last = fresh(tmp_path_factory.mktemp("numbers")), 0
    for count, tear_at in lives:
        disk = MemoryDisk(content)
        numbers = FileReservation(disk)
        for _ in range(count):
            number = numbers.take()
            assert number > last
            last = number
        disk.tear_at = tear_at
        for _ in range(BLOCK + 1):
            try:
                number = numbers.take()
            except ReservationLost:
                break
            assert number > last
            last = number
        else:
            pytest.fail("a block was given out that was never written")
        content = bytes(disk.content)


def test_a_number_is_durable_before_it_is_used(tmp_path: Path) -> None:
    disk = MemoryDisk(fresh(tmp_path))
    numbers = FileReservation(disk)
    for _ in range(2 * BLOCK + 1):
        number = numbers.take()
        assert FileReservation(MemoryDisk(disk.synced)).take() > number, "the power may go here"


def test_a_restart_begins_behind_what_was_reserved(tmp_path: Path) -> None:
    first = FileReservation.open(tmp_path / "numbers")
    assert [first.take() for _ in range(3)] == [1, 2, 3]
    first.close()
    second = FileReservation.open(tmp_path / "numbers")
    assert second.take() == BLOCK + 1
    second.close()


def test_two_processes_never_take_from_one_file(tmp_path: Path) -> None:
    first = FileReservation.open(tmp_path / "numbers")
    with pytest.raises(Misconfigured):
        FileReservation.open(tmp_path / "numbers")
    first.close()


def test_the_last_number_is_given_out_once(tmp_path: Path) -> None:
    page = reservations._page(9, NUMBER_MAX - 1)
    numbers = FileReservation(MemoryDisk(page + page))
    assert numbers.take() == NUMBER_MAX
    with pytest.raises(NumbersSpent):
        numbers.take()


@given(st.binary(max_size=3 * PAGE_BYTES))
def test_garbage_is_called_damaged(garbage: bytes) -> None:
    with pytest.raises(ReservationDamaged):
        FileReservation(MemoryDisk(garbage))


@given(
    st.integers(0, 3 * BLOCK),
    st.integers(0, PAGES - 1),
    st.lists(st.tuples(st.integers(0, PAGE_BYTES - 1), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_a_page_that_decays_gives_no_number_twice(
    tmp_path_factory: pytest.TempPathFactory, count: int, page: int, changes: list[tuple[int, int]]
) -> None:
    disk = MemoryDisk(fresh(tmp_path_factory.mktemp("numbers")))
    numbers = FileReservation(disk)
    last = max([numbers.take() for _ in range(count)], default=0)
    for place, change in changes:
        disk.content[page * PAGE_BYTES + place] ^= change
    assert FileReservation(disk).take() > last
