"""The book of approvals keeps what it once came to know, whoever looked before."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from campus_node.purse.commands import TransactionType
from campus_node.purse.issuer import LoadRequest
from campus_node.purse.load_book import LoadBook, LoadRow, LoadState

MADE_AT, MAC2, TAC = bytes(7), bytes(4), b"TAC!"


def request(online_seq: int = 3) -> LoadRequest:
    return LoadRequest(
        asn=bytes.fromhex("00000001000000000123"),
        transaction_type=TransactionType.EP_LOAD,
        amount_fen=1_000,
        terminal_id=bytes.fromhex("112233445566"),
        balance_fen=0,
        online_seq=online_seq,
        key_version=1,
        algorithm_byte=4,
        card_random=online_seq.to_bytes(4),
        mac1=bytes(4),
    )


def row_of(book: LoadBook, asked: LoadRequest) -> LoadRow:
    row = book.find(asked)
    assert row is not None
    return row


@pytest.fixture
def book(tmp_path: Path) -> LoadBook:
    return LoadBook(tmp_path / "loads.sqlite")


def test_a_load_that_is_written_never_becomes_void(book: LoadBook) -> None:
    assert book.approve(request(), MADE_AT, MAC2)
    assert book.mark_written(request(), TAC)
    assert not book.mark_void(request())
    assert (row_of(book, request()).state, row_of(book, request()).proof) == (LoadState.WRITTEN, TAC)


def test_a_load_that_is_void_never_becomes_written(book: LoadBook) -> None:
    assert book.approve(request(), MADE_AT, MAC2)
    seen_while_open = row_of(book, request())
    assert book.mark_void(request())
    assert not book.mark_written(request(), TAC)
    book.mark_row_written(seen_while_open)
    assert (row_of(book, request()).state, row_of(book, request()).proof) == (LoadState.VOID, b"")


def test_what_is_burnt_is_void_from_its_first_commit_and_blocks_nothing(book: LoadBook) -> None:
    assert book.burn(request())
    assert row_of(book, request()).state is LoadState.VOID
    assert not book.open_of(request())
    assert book.approve(request(online_seq=4), MADE_AT, MAC2)


def test_an_open_load_lets_nothing_be_burnt_or_approved_beside_it(book: LoadBook) -> None:
    assert book.approve(request(), MADE_AT, MAC2)
    assert not book.burn(request(online_seq=4))
    assert not book.approve(request(online_seq=4), MADE_AT, MAC2)


def test_of_two_callers_who_know_the_opposite_one_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "loads.sqlite"
    with ThreadPoolExecutor(2) as callers:
        for online_seq in range(50):
            one, other, asked = LoadBook(path), LoadBook(path), request(online_seq)
            assert one.approve(asked, MADE_AT, MAC2)
            acts: list[Callable[[], bool]] = [
                lambda book=one, asked=asked: book.mark_written(asked, TAC),
                lambda book=other, asked=asked: book.mark_void(asked),
            ]
            written, void = [each.result() for each in [callers.submit(act) for act in acts]]
            assert written != void
            assert row_of(one, asked).state is (LoadState.WRITTEN if written else LoadState.VOID)
            one.close()
            other.close()
