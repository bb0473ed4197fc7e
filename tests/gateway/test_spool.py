"""The durable spool of a gateway."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from campus_node.gateway.spool_file import SpoolDamaged
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import Misconfigured, StoreDown
from tests.gateway.spools import JOURNAL, OTHER, TILL, begun, body, brought, marks, open_spool, take

CONFLICT = int(wire.RECORD_OUTCOME_CONFLICT)


def test_what_many_terminals_brought_is_durable_and_marked_in_one_turn(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    settled = take(spool, brought(1, 3), brought(1, 2, OTHER), brought(4, 4))
    assert [marks(each) for each in settled] == [(4, 0), (2, 0), (4, 0)]
    spool.close()
    again = open_spool(tmp_path)
    assert [(row.position, row.journal_id, row.seq) for row in again.read(0, 100)] == [
        (1, JOURNAL, 1), (2, JOURNAL, 2), (3, JOURNAL, 3), (4, OTHER, 1), (5, OTHER, 2), (6, JOURNAL, 4),
    ]  # fmt: skip
    assert again.state.waiting == 6


def test_a_repeated_record_takes_no_place_and_gets_its_first_answer(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    take(spool, brought(1, 3))
    refused = int(wire.RECORD_OUTCOME_REFUSED)
    spool.taken(3, 0, [(2, refused)])
    spool.taken(3, 0, [(2, CONFLICT)])
    (again,) = take(spool, brought(1, 3))
    assert again.verdicts == ((2, refused),)
    assert spool.state.last_position == 3


def test_other_content_under_the_same_number_is_kept_too_and_told(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    take(spool, brought(1, 2))
    (settled,) = take(spool, brought(2, 3, what="forged sale"))
    assert settled.conflicts == (2,)
    assert settled.verdicts == ((2, CONFLICT),)
    assert marks(settled) == (3, 0)
    assert [row.body for row in spool.read(2, 10)] == [body(2, "forged sale"), body(3, "forged sale")]
    (again,) = take(spool, brought(2, 2, what="forged sale"))
    assert again.verdicts == ((2, CONFLICT),)
    assert not again.conflicts
    assert spool.state.last_position == 4


def test_a_gap_holds_the_mark_back_until_it_is_filled(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    assert marks(take(spool, brought(1, 2))[0]) == (2, 0)
    assert marks(take(spool, brought(5, 6))[0]) == (2, 0)
    spool.close()
    spool = open_spool(tmp_path)
    assert marks(take(spool, brought(3, 4))[0]) == (6, 0)


def test_a_journal_of_unknown_beginning_is_kept_and_not_acknowledged(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    (settled,) = take(spool, brought(41, 42))
    assert settled.marks is None
    assert spool.state.last_position == 2
    assert spool.safe_through(TILL, JOURNAL, 40) == (JOURNAL, 42, 40)


def test_a_new_spool_never_vouches_for_what_only_another_one_had(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)  # the one before, with records 31 to 40, burned with its gateway
    spool.safe_through(TILL, JOURNAL, 30)
    (settled,) = take(spool, brought(41, 45))
    assert marks(settled) == (30, 30)  # so the terminal sends 31 to 40 again


def test_only_what_is_covered_is_overwritten_and_only_when_there_is_no_room(tmp_path: Path) -> None:
    spool = begun(tmp_path, records_max=64)
    take(spool, brought(1, 60))
    spool.taken(50, 40)
    assert spool.state.oldest_position == 1
    take(spool, brought(61, 64))
    assert spool.state.oldest_position == 1
    take(spool, brought(65, 66))
    assert 2 < spool.state.oldest_position <= 41
    assert len(spool.read(0, 1_000)) == spool.state.last_position - spool.state.oldest_position + 1
    full = take(spool, brought(67, 67 + 40))
    assert full[0].full
    assert marks_after(spool) == 66
    assert [row.seq for row in spool.read(40, 1_000)] == list(range(41, 67))


def marks_after(spool: object) -> int:
    found = spool.marks_of(JOURNAL)  # type: ignore[attr-defined]
    return int(found.durable_through)


def test_a_message_that_does_not_fit_leaves_no_trace_and_others_are_taken(tmp_path: Path) -> None:
    spool = begun(tmp_path, records_max=64)
    settled = take(spool, brought(1, 60), brought(1, 10, OTHER), brought(61, 62))
    assert [each.full for each in settled] == [False, True, False]
    assert spool.state.last_position == 62
    assert spool.marks_of(OTHER) == (OTHER, 0, 0)


def test_the_second_mark_follows_the_backup_without_gaps(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    take(spool, brought(1, 2), brought(1, 1, OTHER), brought(4, 5), brought(3, 3))
    assert spool.taken(6, 3) == [(JOURNAL, 5, 2), (OTHER, 1, 1)]
    assert spool.taken(6, 5) == []  # 4 and 5 are covered, 3 is not
    assert spool.taken(6, 6) == [(JOURNAL, 5, 5)]


def test_marks_go_back_when_the_node_was_restored(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    take(spool, brought(1, 9))
    spool.taken(9, 9)
    assert spool.taken(4, 3) == [(JOURNAL, 9, 3)]
    assert spool.state.waiting == 5
    spool.close()
    assert open_spool(tmp_path).state.committed_through == 4


def test_a_record_that_the_node_wants_again_is_sent_again_once(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    take(spool, brought(1, 3))
    take(spool, brought(2, 2, recollected=True))
    assert spool.state.last_position == 3  # it waits for the node anyway
    spool.taken(3, 3)
    take(spool, brought(2, 2, recollected=True))
    assert [(row.position, row.seq, row.recollected) for row in spool.read(3, 9)] == [(4, 2, 1)]
    take(spool, brought(2, 2, recollected=True))
    assert spool.state.last_position == 4
    assert spool.marks_of(JOURNAL) == (JOURNAL, 3, 3)


def test_a_spool_that_was_put_back_from_a_copy_begins_anew_with_all_it_has(tmp_path: Path) -> None:
    spool = begun(tmp_path, records_max=64)
    take(spool, brought(1, 60))
    spool.taken(60, 60)
    take(spool, brought(61, 70))
    before = spool.state
    assert before.oldest_position > 1
    spool.renumber()
    after = spool.state
    assert after.spool_id != before.spool_id
    assert (after.oldest_position, after.committed_through, after.covered_through) == (1, 0, 0)
    assert [row.seq for row in spool.read(0, 100)] == list(range(before.oldest_position, 71))
    take(spool, brought(71, 71))
    assert spool.read(after.last_position, 9)[0].position == after.last_position + 1


def test_two_gateways_never_share_a_spool(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    with pytest.raises(Misconfigured, match="another gateway"):
        open_spool(tmp_path)
    spool.close()
    open_spool(tmp_path).close()


def test_a_damaged_spool_is_left_as_it_is(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    take(spool, *(brought(first, first + 63) for first in range(1, 641, 64)))
    spool.close()
    path = tmp_path / "spool.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:12288] = bytes(8192)
    path.write_bytes(content)
    with pytest.raises(SpoolDamaged):
        open_spool(tmp_path)
    assert path.read_bytes() == bytes(content)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool.sqlite").write_bytes(b"no database at all, but a letter" * 99)
    with pytest.raises(SpoolDamaged):
        open_spool(tmp_path)
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("PRAGMA user_version = 7")
    other.close()
    (tmp_path / "other.sqlite").rename(tmp_path / "spool.sqlite")
    with pytest.raises(Misconfigured, match="version"):
        open_spool(tmp_path)


FILLING = """
import resource, sys
from pathlib import Path
from federation.errors import StoreDown
from tests.gateway.spools import JOURNAL, begun, brought, marks, take

spool = begun(Path(sys.argv[1]), records_max=100_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
first = 1
try:
    while first < 50_000:
        through, _ = marks(take(spool, brought(first, first + 63))[0])
        first += 64
        assert through == first - 1
except StoreDown:
    assert spool.marks_of(JOURNAL).durable_through == first - 1
    assert spool.state.last_position == first - 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    through, _ = marks(take(spool, brought(first, first))[0])
    assert through == first
    print("refused at", first)
"""


def test_a_full_disk_is_refused_without_a_promise_and_forgotten_when_there_is_room(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLING, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    refused_at = int(done.stdout.split()[-1])
    spool = open_spool(tmp_path, records_max=100_000)
    assert [row.seq for row in spool.read(0, 100_000)] == list(range(1, refused_at + 1))


def test_nothing_is_taken_once_the_file_cannot_be_used(tmp_path: Path) -> None:
    spool = begun(tmp_path)
    take(spool, brought(1, 1))
    spool.close()
    with pytest.raises(StoreDown):
        take(spool, brought(2, 2))
