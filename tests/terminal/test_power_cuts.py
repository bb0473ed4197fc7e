"""Power cuts and decay of the journal, at every byte of every kind of write."""

from pathlib import Path

import pytest

from campus_node.terminal import journal_format as form
from campus_node.terminal.journal import Journal, JournalDamaged, new_content
from hil_rig.torn_storage import Cut, TornStorage
from hil_rig.virtual.memory import PowerLost
from tests.terminal.disks import CAPACITY, acknowledged, after, body, empty, full_turn, kept


def tears(length: int) -> list[Cut]:
    """Return every cut of the next write: any number of first bytes landed, any number of last bytes."""
    front = [Cut(1, 0, landed) for landed in range(length + 1)]
    back = [Cut(1, length - landed, length) for landed in range(1, length)]
    return front + back


@pytest.mark.parametrize(
    "before", [empty(), after(empty(), body(1), body(2)), full_turn()], ids=["new", "some", "round"]
)
def test_a_cut_at_any_byte_of_an_append_leaves_it_whole_or_not_there(before: bytes) -> None:
    whole = kept(before)
    first_kept = Journal(TornStorage(before)).backed_up_through
    last = whole[-1].seq if whole else 0
    seen = set()
    for cut in tears(form.SLOT_BYTES):
        storage = TornStorage(before, cut)
        with pytest.raises(PowerLost):
            Journal(storage).append(b"the last")
        disk = storage.after_the_cut()
        journal = Journal(TornStorage(disk))
        there = {entry.seq: entry.body for entry in journal.entries()}
        assert all(there[entry.seq] == entry.body for entry in whole if entry.seq > first_kept), cut
        assert there.get(last + 1) in {None, b"the last"}, cut
        given = journal.append(b"the next")
        torn = last + 1 in there and there[last + 1] is None
        assert given == (last + 1 if last + 1 not in there else last + 2), cut
        seen.add("torn" if torn else "whole" if last + 1 in there else "nothing")
        again = Journal(TornStorage(disk))
        assert again.append(b"the next") == given, "opening twice is the same as once"
    assert seen == {"torn", "whole", "nothing"}


def test_a_cut_of_the_file_at_any_byte_of_the_last_write_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    whole = after(empty(), *map(body, range(1, 5)))
    begins = form.offset_of(3)
    for length in range(begins, begins + form.SLOT_BYTES + 1):
        path.write_bytes(whole[:length])
        journal = Journal.open(path, CAPACITY)
        there = {entry.seq: entry.body for entry in journal.entries()}
        assert {seq: there[seq] for seq in (1, 2, 3)} == {seq: body(seq) for seq in (1, 2, 3)}
        assert there.get(4) in {None, body(4)}
        assert journal.shortened_bytes == len(whole) - length
        last = journal.append(b"the next")
        assert last == (4 if 4 not in there else 5)
        journal.close()
        again = Journal.open(path, CAPACITY)
        assert {entry.seq: entry.body for entry in again.entries()}[last] == b"the next"
        again.close()


def test_a_cut_at_any_byte_of_an_acknowledgement_leaves_the_old_one_or_the_new_one() -> None:
    before = acknowledged(after(empty(), *map(body, range(1, 6))), 2, 1)
    seen = set()
    for cut in tears(form.PAGE_BYTES):
        storage = TornStorage(before, cut)
        with pytest.raises(PowerLost):
            Journal(storage).acknowledge(4, 3)
        journal = Journal(TornStorage(storage.after_the_cut()))
        pointers = journal.durable_through, journal.backed_up_through
        assert pointers in {(2, 1), (4, 3)}, cut
        seen.add(pointers)
        assert [entry.seq for entry in journal.entries()] == [1, 2, 3, 4, 5]
        journal.acknowledge(5, 5)
        assert journal.append(b"the next") == 6
    assert seen == {(2, 1), (4, 3)}


@pytest.mark.parametrize("seq", range(5, 12))
def test_a_flipped_bit_in_a_record_is_noticed_and_its_number_is_not_used_again(
    seq: int,
) -> None:
    whole = full_turn()
    begins = form.offset_of(form.index_of(seq, CAPACITY))
    for offset in range(form.SLOT_BYTES):
        flipped = bytearray(whole)
        flipped[begins + offset] ^= 1 << offset % 8
        journal = Journal(TornStorage(bytes(flipped)))
        there = {entry.seq: entry.body for entry in journal.entries()}
        assert there[seq] is None, offset
        assert all(there[other] == body(other) for other in range(4, 12) if other != seq), offset
        assert journal.damaged() == ([seq] if seq > journal.backed_up_through else []), offset
        assert journal.append(b"the next") == 12, offset


def test_a_flipped_bit_in_one_pointer_page_falls_back_to_the_other() -> None:
    before = acknowledged(acknowledged(after(empty(), *map(body, range(1, 6))), 2, 1), 4, 3)
    pages = {0: form.decode_page(before[: form.PAGE_BYTES]), 1: form.decode_page(before[form.PAGE_BYTES :])}
    known = {page: (found.durable_through, found.backed_up_through) for page, found in pages.items() if found}
    assert sorted(known.values()) == [(2, 1), (4, 3)]
    for page, other in ((0, 1), (1, 0)):
        for offset in range(94):
            flipped = bytearray(before)
            flipped[page * form.PAGE_BYTES + offset] ^= 1 << offset % 8
            journal = Journal(TornStorage(bytes(flipped)))
            assert (journal.durable_through, journal.backed_up_through) == known[other], (page, offset)
            assert journal.append(b"the next") == 6


def test_two_damaged_pointer_pages_are_an_alarm() -> None:
    flipped = bytearray(full_turn())
    flipped[20] ^= 1
    flipped[form.PAGE_BYTES + 20] ^= 1
    with pytest.raises(JournalDamaged):
        Journal(TornStorage(bytes(flipped)))


def test_a_slot_copied_to_another_place_or_from_another_journal_is_no_record() -> None:
    content = after(empty(), *map(body, range(1, 4)))
    slot = content[form.offset_of(1) : form.offset_of(2)]
    moved = content[: form.offset_of(4)] + slot + content[form.offset_of(5) :]
    assert [entry.seq for entry in kept(moved)] == [1, 2, 3]
    other = b"".join(new_content(CAPACITY, bytes(16)))
    foreign = other[: form.offset_of(1)] + slot + other[form.offset_of(2) :]
    assert [entry.body for entry in kept(foreign)] == []
