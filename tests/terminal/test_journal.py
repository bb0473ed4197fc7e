"""The terminal's journal: what was appended is there, whatever happens to the power and to the file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from campus_node.terminal import journal_format as form
from campus_node.terminal.journal import (
    Entry,
    Journal,
    JournalDamaged,
    JournalFull,
    JournalUnwritable,
    new_content,
)
from campus_node.terminal.storage import create_file
from federation.errors import Misconfigured, Unreadable
from hil_rig.torn_storage import TornStorage
from tests.terminal.disks import CAPACITY, acknowledged, after, body, empty, full_turn, kept


def test_what_was_appended_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal.open(path, CAPACITY)
    assert [journal.append(body(n)) for n in (1, 2, 3)] == [1, 2, 3]
    journal.close()
    again = Journal.open(path, CAPACITY)
    assert list(again.entries()) == [Entry(n, body(n)) for n in (1, 2, 3)]
    assert again.append(body(4)) == 4
    assert again.journal_id == journal.journal_id


def test_two_journals_have_different_ids(tmp_path: Path) -> None:
    ids = {Journal.open(tmp_path / str(n), CAPACITY).journal_id for n in range(3)}
    assert len(ids) == 3


def test_a_second_process_cannot_open_it(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal", CAPACITY)
    with pytest.raises(Misconfigured):
        Journal.open(tmp_path / "journal", CAPACITY)
    journal.close()
    Journal.open(tmp_path / "journal", CAPACITY)


def test_another_capacity_is_refused_and_the_file_stays_usable(tmp_path: Path) -> None:
    Journal.open(tmp_path / "journal", CAPACITY).close()
    with pytest.raises(Misconfigured):
        Journal.open(tmp_path / "journal", CAPACITY + 1)
    assert Journal.open(tmp_path / "journal", CAPACITY).append(b"1") == 1


@pytest.mark.parametrize("capacity", [0, 7, 4_000_001])
def test_a_senseless_capacity_is_refused(tmp_path: Path, capacity: int) -> None:
    with pytest.raises(Misconfigured):
        Journal.open(tmp_path / "journal", capacity)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_journal_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"letters" * 2000)
    with pytest.raises(JournalDamaged):
        Journal.open(path, CAPACITY)
    assert path.read_bytes() == b"letters" * 2000


def test_a_journal_is_its_owners_alone(tmp_path: Path) -> None:
    Journal.open(tmp_path / "journal", CAPACITY)
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600


def test_a_journal_that_somebody_made_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal.open(path, CAPACITY)
    journal.append(b"first")
    create_file(path, new_content(CAPACITY, bytes(16)))
    journal.append(b"second")
    journal.close()
    assert [entry.body for entry in Journal.open(path, CAPACITY).entries()] == [b"first", b"second"]


def test_processes_that_find_it_missing_at_once_make_one_and_one_of_them_has_it(tmp_path: Path) -> None:
    program = [sys.executable, "-c", FIRST, str(tmp_path / "journal")]
    processes = [
        subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = []
    for process in processes:
        assert process.stdout is not None
        said.append(process.stdout.readline())
    for process in processes:
        process.communicate("\n", timeout=30)
    assert sorted(said) == ["has it\n", *["is refused\n"] * 3]
    journal = Journal.open(tmp_path / "journal", CAPACITY)
    assert [entry.body for entry in journal.entries()] == [b"record"]


FIRST = """
import sys
from pathlib import Path
from campus_node.terminal.journal import Journal
from campus_node.terminal.storage import create_file
from federation.errors import Misconfigured

print("ready", flush=True)
sys.stdin.readline()
try:
    journal = Journal.open(Path(sys.argv[1]), 8)
    journal.append(b"record")
    print("has it", flush=True)
    sys.stdin.readline()
except Misconfigured:
    print("is refused", flush=True)
"""


def test_a_half_made_file_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "journal.new").write_bytes(b"half")
    assert Journal.open(tmp_path / "journal", CAPACITY).append(b"1") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]


@pytest.mark.parametrize("length", [0, form.BODY_BYTES_MAX + 1])
def test_a_record_of_no_length_or_too_long_is_a_mistake(length: int) -> None:
    journal = Journal(TornStorage(empty()))
    with pytest.raises(ValueError, match="1 to 486"):
        journal.append(bytes(length))
    assert journal.append(bytes(form.BODY_BYTES_MAX)) == 1
    assert next(journal.entries()).body == bytes(form.BODY_BYTES_MAX)


# Room.


def test_a_full_journal_says_so_and_overwrites_nothing() -> None:
    content = after(empty(), *map(body, range(1, CAPACITY + 1)))
    journal = Journal(TornStorage(content))
    assert (journal.full, journal.free) == (True, 0)
    with pytest.raises(JournalFull):
        journal.append(b"one too many")
    assert list(journal.entries()) == [Entry(n, body(n)) for n in range(1, CAPACITY + 1)]


def test_what_is_committed_but_not_backed_up_is_kept() -> None:
    content = acknowledged(after(empty(), *map(body, range(1, CAPACITY + 1))), CAPACITY, 0)
    journal = Journal(TornStorage(content))
    with pytest.raises(JournalFull):
        journal.append(b"one too many")


def test_only_what_is_backed_up_is_overwritten_and_only_when_the_ring_comes_round() -> None:
    content = acknowledged(after(empty(), *map(body, range(1, CAPACITY + 1))), 6, 3)
    assert [entry.seq for entry in kept(content)] == [1, 2, 3, 4, 5, 6, 7, 8]
    journal = Journal(TornStorage(content))
    assert [journal.append(body(n)) for n in (9, 10, 11)] == [9, 10, 11]
    assert [entry for entry in journal.entries() if entry.seq > 3] == [
        Entry(n, body(n)) for n in range(4, 12)
    ]
    with pytest.raises(JournalFull):
        journal.append(body(12))


def test_an_acknowledgement_never_goes_back() -> None:
    content = acknowledged(after(empty(), *map(body, range(1, 6))), 5, 4)
    journal = Journal(TornStorage(acknowledged(content, 2, 1)))
    assert (journal.durable_through, journal.backed_up_through) == (5, 4)


@pytest.mark.parametrize(("durable", "backed_up"), [(6, 0), (3, 4), (5, -1), (-1, -1)])
def test_an_acknowledgement_that_cannot_be_is_refused(durable: int, backed_up: int) -> None:
    journal = Journal(TornStorage(after(empty(), *map(body, range(1, 6)))))
    with pytest.raises(Unreadable):
        journal.acknowledge(durable, backed_up)
    assert (journal.durable_through, journal.backed_up_through) == (0, 0)


def test_numbers_go_on_when_everything_was_acknowledged() -> None:
    content = acknowledged(after(empty(), *map(body, range(1, 6))), 5, 5)
    assert Journal(TornStorage(content)).append(b"next") == 6


def test_numbers_do_not_go_back_even_if_the_ring_is_wiped() -> None:
    content = acknowledged(after(empty(), *map(body, range(1, 6))), 5, 5)
    wiped = content[: form.RING_OFFSET] + bytes(len(content) - form.RING_OFFSET)
    assert Journal(TornStorage(wiped)).append(b"next") == 6


# Pointers.


def test_upload_goes_on_where_it_was_and_starts_again_with_what_is_not_acknowledged() -> None:
    content = acknowledged(after(empty(), *map(body, range(1, 7))), 2, 1)
    journal = Journal(TornStorage(content))
    assert [entry.seq for entry in journal.to_upload(3)] == [3, 4, 5]
    journal.uploaded(5)
    assert [entry.seq for entry in journal.to_upload(3)] == [6]
    again = Journal(TornStorage(content))
    assert [entry.seq for entry in again.to_upload(100)] == [3, 4, 5, 6]


def test_what_was_asked_for_again_has_a_pointer_of_its_own_that_survives() -> None:
    storage = TornStorage(acknowledged(after(empty(), *map(body, range(1, 7))), 4, 3))
    journal = Journal(storage)
    assert journal.recollect(2, 4) == 3
    assert [entry.seq for entry in journal.to_recollect(2)] == [2, 3]
    journal.recollected(3)
    assert [entry.seq for entry in journal.to_upload(10)] == [5, 6]
    again = Journal(TornStorage(storage.after_the_cut()))
    assert again.to_recollect(10) == [Entry(4, body(4))]
    again.recollected(4)
    assert again.to_recollect(10) == []


def test_acknowledged_records_can_be_had_again_until_they_are_overwritten() -> None:
    journal = Journal(TornStorage(full_turn()))
    assert journal.recollect(1, 99) == CAPACITY
    assert [entry.seq for entry in journal.to_recollect(99)] == list(range(4, 12))


@pytest.mark.parametrize(("first", "through"), [(0, 3), (4, 3), (-1, -1)])
def test_a_range_that_is_none_is_refused(first: int, through: int) -> None:
    with pytest.raises(Unreadable):
        Journal(TornStorage(full_turn())).recollect(first, through)


def test_after_a_failed_sync_nothing_more_is_written() -> None:
    class FullDisk(TornStorage):
        fails = False

        def sync(self) -> None:
            if self.fails:
                raise OSError(28, "No space left on device")
            super().sync()

    storage = FullDisk(empty())
    journal = Journal(storage)
    journal.append(body(1))
    storage.fails = True
    with pytest.raises(JournalUnwritable):
        journal.append(body(2))
    storage.fails = False
    with pytest.raises(JournalUnwritable):
        journal.append(body(3))
    assert Journal(TornStorage(storage.after_the_cut())).append(body(2)) == 2
    assert Journal(TornStorage(storage.after_a_kill())).append(body(3)) == 3


def test_a_record_is_on_the_disk_before_its_number_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    journal = Journal.open(path, CAPACITY)
    synced: list[bytes] = []
    real = os.fdatasync

    def watched(file: int) -> None:
        real(file)
        synced.append(path.read_bytes())

    monkeypatch.setattr(os, "fdatasync", watched)
    journal.append(b"a record")
    journal.acknowledge(1, 1)
    assert [b"a record" in content for content in synced] == [True, True]
    assert synced[-1] == path.read_bytes()


KILLED = """
import sys
from pathlib import Path
from campus_node.terminal.journal import Journal

journal = Journal.open(Path(sys.argv[1]), 4096)
while True:
    print(journal.append(b"record"), flush=True)
"""


def test_a_killed_process_leaves_every_record_whose_append_returned(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    last = 0
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            first = int(process.stdout.readline())
            assert first > last, "numbers go on"
            for _ in range(200):
                last = int(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            last = max([last, *map(int, process.stdout.read().splitlines()[:-1])])
        journal = Journal.open(path, 4096)
        assert {entry.body for entry in journal.entries()} == {b"record"}
        assert journal.last_seq >= last
        journal.close()
