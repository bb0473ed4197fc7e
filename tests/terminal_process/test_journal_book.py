"""What people see of a journal: states in words, masked numbers, filters; also while it is written (B2.1)."""

import json
from pathlib import Path

import pytest

from campus_node.cli import main
from campus_node.terminal.directory import TerminalDirectory
from campus_node.terminal.journal import Journal
from campus_node.terminal.journal_book import LookedAt, is_grey, look_at, masked, newest_unix_ms, written_in
from campus_node.terminal.pos.journal_records import Hit, Tries, encode
from tests.terminal_process.movements import ASN, paid, torn
from tests.terminal_process.running import make_terminal

AT_MS = 1_790_000_000_000


@pytest.fixture
def place(tmp_path: Path) -> TerminalDirectory:
    return make_terminal(tmp_path / "till-1", {"journal": {"capacity": 64}})


def filled(place: TerminalDirectory) -> Journal:
    """Return the open journal: a sale, a torn one, a hit, tries; the first two are committed."""
    journal = Journal.open(place.path / "journal" / "journal", 64)
    paid(journal, 1250, AT_MS)
    journal.acknowledge(2, 1)
    torn(journal, 700, AT_MS + 1)
    journal.append(encode(Hit(1, ASN, bytes(8), 900, bytes(6), 4, AT_MS + 2)))
    journal.append(encode(Tries(3, bytes(6), AT_MS + 3)))
    return journal


def test_a_journal_is_read_while_its_terminal_writes(place: TerminalDirectory) -> None:
    journal = filled(place)
    looked = look_at(place.path / "journal" / "journal")
    written = written_in(looked)
    assert [each.seq for each in written] == list(range(1, journal.last_seq + 1))
    assert [each.uploaded for each in written] == [each.seq <= 2 for each in written]
    assert [each.newest for each in written[:2]] == [False, True]
    assert [each.seq for each in written if is_grey(each)] == [4]
    assert newest_unix_ms(looked) == AT_MS + 3
    looked.close()
    journal.append(b"\x01 goes on")
    journal.close()


def test_looking_writes_nothing(place: TerminalDirectory) -> None:
    filled(place).close()
    path = place.path / "journal" / "journal"
    before = path.read_bytes()
    storage = LookedAt(path)
    with pytest.raises(PermissionError):
        storage.write(0, b"x")
    storage.close()
    assert main(["terminal", "journal", str(place.path), "--json"]) == 0
    assert path.read_bytes() == before


def shown(capsys: pytest.CaptureFixture[str], place: TerminalDirectory, *options: str) -> str:
    assert main(["terminal", "journal", str(place.path), *options]) == 0
    return capsys.readouterr().out


def test_states_are_words_and_card_numbers_are_masked(
    place: TerminalDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(place).close()
    table = shown(capsys, place)
    assert all(text in table for text in ("paid", "12.50", "grey: present the same card", "listed card"))
    assert "3 wrong answers of cards" in table
    assert masked(ASN) in table
    assert ASN.hex() not in table
    chinese = shown(capsys, place, "--lang", "zh")
    assert all(text in chinese for text in ("已付款", "灰记录: 请出示原卡", "黑名单卡"))
    assert ASN.hex() not in shown(capsys, place, "--json")


def test_filters_leave_what_is_asked_for(
    place: TerminalDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(place).close()

    def numbers(*options: str) -> list[int]:
        return [each["seq"] for each in json.loads(shown(capsys, place, "--json", *options))["records"]]

    assert numbers() == [1, 2, 3, 4, 5, 6]
    assert numbers("--grey") == [4]
    assert numbers("--unsent") == [3, 4, 5, 6]
    assert numbers("--limit", "2") == [5, 6]


def test_a_terminal_that_never_ran_says_how_to_start_it(
    place: TerminalDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["terminal", "status", str(place.path)]) == 1
    assert f"campus terminal run {place.path}" in capsys.readouterr().err.replace("\n", "")


def test_what_cannot_be_read_is_shown_as_such(
    place: TerminalDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal.open(place.path / "journal" / "journal", 64)
    journal.append(b"\x01 no movement at all")
    journal.close()
    assert "nothing whole" in shown(capsys, place)
