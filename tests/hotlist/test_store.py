"""The terminal's store of a hotlist: the old list or the new one, wherever the power goes."""

from pathlib import Path

import pytest

from campus_node.terminal.hotlist_store import HotlistStore
from campus_node.terminal.two_slots import (
    PAGE_BYTES,
    SLOT_BYTES_MIN,
    SlotsUnwritable,
    SlotTooSmall,
    TwoSlots,
    new_content,
)
from federation.errors import Misconfigured
from federation.hotlist import IssuedRange
from federation.hotlist_delta import SignedHotlist
from federation.hotlist_form import encode
from hil_rig.torn_storage import Cut, TornStorage
from hil_rig.virtual.memory import PowerLost
from tests.hotlist.lists import FIRST, FROZEN, LOST, listed

ONE = listed(1, {0: LOST, 50: FROZEN})
TWO = listed(2, {1: LOST})
THREE = listed(3, {2: LOST, 50: FROZEN, 51: LOST})
BIG = 1024


def disk(*lists: SignedHotlist) -> bytes:
    storage = TornStorage(new_content(BIG))
    store = HotlistStore(storage)
    for each in lists:
        store.save(each)
    return storage.after_the_cut()


@pytest.mark.parametrize("before", [(), (ONE,), (ONE, TWO)], ids=["new", "one", "two"])
def test_a_cut_at_any_byte_of_any_write_leaves_the_old_list_or_the_new_one(
    before: tuple[SignedHotlist, ...],
) -> None:
    there = disk(*before)
    old = before[-1] if before else None
    seen = set()
    for write, length in ((1, 64 + len(encode(THREE.hotlist))), (2, PAGE_BYTES)):
        cuts = [Cut(write, 0, landed) for landed in range(length + 1)]
        cuts += [Cut(write, length - landed, length) for landed in range(1, length)]
        for cut in cuts:
            storage = TornStorage(there, cut)
            store = HotlistStore(storage)
            with pytest.raises(PowerLost):
                store.save(THREE)
            found = TornStorage(storage.after_the_cut())
            again = HotlistStore(found)
            assert again.load() in (old, THREE), cut
            seen.add("old" if again.load() == old else "new")
            again.save(TWO)
            assert HotlistStore(TornStorage(found.after_the_cut())).load() == TWO, cut
    assert seen == {"old", "new"}


def test_a_cut_between_two_writes_leaves_the_old_list_or_the_new_one() -> None:
    for write, kept in ((1, ONE), (2, ONE)):
        storage = TornStorage(disk(ONE), Cut(write, 0, 0))
        with pytest.raises(PowerLost):
            HotlistStore(storage).save(TWO)
        assert HotlistStore(TornStorage(storage.after_the_cut())).load() == kept


def test_a_flipped_bit_falls_back_to_the_list_before_and_the_next_one_takes_the_damaged_place() -> None:
    whole = disk(ONE, TWO)
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        storage = TornStorage(bytes(flipped))
        store = HotlistStore(storage)
        assert store.load() in (ONE, TWO), at
        kept = store.load()
        torn = TornStorage(bytes(flipped), Cut(1, 0, 3))
        with pytest.raises(PowerLost):
            HotlistStore(torn).save(THREE)
        assert HotlistStore(TornStorage(torn.after_the_cut())).load() == kept, (
            "the only whole one is left alone"
        )


def test_two_damaged_heads_are_no_store() -> None:
    with pytest.raises(Misconfigured):
        HotlistStore(TornStorage(bytes(2 * PAGE_BYTES)))


def test_a_file_keeps_a_list_over_a_restart_for_one_process_only(tmp_path: Path) -> None:
    path = tmp_path / "hotlist"
    store = HotlistStore.open(path)
    assert store.load() is None
    store.save(ONE)
    store.save(TWO)
    with pytest.raises(Misconfigured):
        HotlistStore.open(path)
    store.close()
    store.close()
    again = HotlistStore.open(path)
    assert again.load() == TWO
    again.close()


def test_what_another_release_wrote_is_passed_over_for_the_list_before() -> None:
    storage = TornStorage(disk(ONE))
    TwoSlots(storage, bool).keep(b"another form altogether")
    there = storage.after_the_cut()
    store = HotlistStore(TornStorage(there))
    assert store.load() == ONE
    later = TornStorage(there)
    HotlistStore(later).save(TWO)
    assert HotlistStore(TornStorage(later.after_the_cut())).load() == TWO


def test_a_list_without_room_is_refused_and_the_old_one_stays() -> None:
    storage = TornStorage(new_content(SLOT_BYTES_MIN))
    store = HotlistStore(storage)
    store.save(ONE)
    with pytest.raises(SlotTooSmall):
        store.save(listed(2, {}, (IssuedRange(FIRST, 1_000),)))
    assert HotlistStore(TornStorage(storage.after_the_cut())).load() == ONE


class FailingStorage(TornStorage):
    """A disk on which every write fails once it is told so."""

    failing = False

    def write(self, offset: int, content: bytes) -> None:
        if self.failing:
            raise OSError(5, "Input/output error")
        super().write(offset, content)


def test_a_disk_that_fails_for_a_while_is_written_later() -> None:
    storage = FailingStorage(disk(ONE))
    store = HotlistStore(storage)
    storage.failing = True
    with pytest.raises(SlotsUnwritable):
        store.save(TWO)
    assert store.load() == ONE
    storage.failing = False
    store.save(THREE)
    assert HotlistStore(TornStorage(storage.after_the_cut())).load() == THREE
