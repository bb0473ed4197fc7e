"""Firmware in two slots: tried once, kept only if healthy, whole after any power cut (A15, B4.4)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from campus_node.terminal.slots import INSTALLED, Boot, NotOnTrial, Slots, new_state
from campus_node.terminal.storage import Storage
from hil_rig.torn_storage import Cut, TornStorage
from hil_rig.virtual.memory import PowerLost

OLD, NEW = b"the old image", b"the new image, which is longer"


class Disk:
    """Three files that lose power together. Args: contents: of state, slot 1, slot 2."""

    def __init__(self, contents: list[bytes]) -> None:
        self.files = [TornStorage(content) for content in contents]
        self._cut_at = 0
        self._writes = 0

    def slots(self) -> Slots:
        return Slots(self._counted(0), lambda slot, _fresh: self._counted(slot))

    def plan(self, nth: int, first: int, last: int) -> None:
        """Plan a cut in the nth write of all files together; bytes first to last of it reach the disk."""
        self._cut_at, self._bytes = nth, (first, last)

    def after(self, kill: bool) -> list[bytes]:
        return [each.after_a_kill() if kill else each.after_the_cut() for each in self.files]

    @property
    def writes(self) -> int:
        return self._writes

    def _counted(self, number: int) -> Storage:
        return Counted(self, self.files[number])

    def about_to_write(self, file: TornStorage) -> None:
        self._writes += 1
        if self._writes == self._cut_at:
            file.plan(Cut(file.writes + 1, *self._bytes))


class Counted:
    """One file of a disk. It implements `Storage`."""

    def __init__(self, disk: Disk, file: TornStorage) -> None:
        self._disk = disk
        self._file = file

    def size(self) -> int:
        return self._file.size()

    def read(self, offset: int, length: int) -> bytes:
        return self._file.read(offset, length)

    def write(self, offset: int, content: bytes) -> None:
        self._disk.about_to_write(self._file)
        self._file.write(offset, content)

    def sync(self) -> None:
        if any(each.fired for each in self._disk.files):
            raise PowerLost
        self._file.sync()

    def close(self) -> None:
        self._file.close()


def fresh() -> Disk:
    return Disk([new_state(), b"", b""])


def with_old_image() -> list[bytes]:
    """Return the files of a terminal whose image OLD, version 2, is in use."""
    disk = fresh()
    slots = disk.slots()
    assert slots.store(OLD, 2)
    assert slots.boot() == Boot(1, 2, on_trial=True)
    slots.confirm(1)
    return disk.after(kill=False)


def test_a_new_terminal_runs_what_is_installed() -> None:
    assert fresh().slots().boot() == Boot(INSTALLED, 0, on_trial=False)


def test_an_image_is_tried_once_and_stays_when_it_is_confirmed() -> None:
    disk = fresh()
    assert disk.slots().store(NEW, 7)
    assert disk.slots().boot() == Boot(1, 7, on_trial=True)
    disk.slots().confirm(1)
    for _ in range(3):
        assert disk.slots().boot() == Boot(1, 7, on_trial=False)


def test_an_image_that_was_not_confirmed_never_runs_again() -> None:
    disk = Disk(with_old_image())
    assert disk.slots().store(NEW, 7)
    assert disk.slots().boot().on_trial
    assert disk.slots().boot() == Boot(1, 2, on_trial=False)
    assert not disk.slots().store(NEW, 7), "it came again, and was refused before"
    assert disk.slots().boot() == Boot(1, 2, on_trial=False)
    state = disk.slots().state
    assert (state.fell_back, state.why) == (1, "it ended before it was healthy")


def test_a_refusal_is_for_the_image_and_not_for_its_version() -> None:
    disk = fresh()
    disk.slots().store(NEW, 7)
    disk.slots().boot()
    disk.slots().fail("it hung")
    assert disk.slots().store(NEW + b" mended", 7)
    assert disk.slots().boot() == Boot(1, 7, on_trial=True)


def test_the_image_in_use_is_never_overwritten() -> None:
    disk = Disk(with_old_image())
    for number in range(3, 9):
        slots = disk.slots()
        slots.store(b"image %d" % number, number)
        assert slots.state.in_use == 1
        assert disk.files[1].after_a_kill().startswith(OLD)
        assert slots.boot() == Boot(2, number, on_trial=True)
        slots.fail("not healthy")


def test_an_image_that_decayed_is_not_started() -> None:
    disk = Disk(with_old_image())
    disk.slots().store(NEW, 7)
    contents = disk.after(kill=False)
    decayed = Disk([contents[0], contents[1], b"\0" + contents[2][1:]])
    assert decayed.slots().boot() == Boot(1, 2, on_trial=False)
    both = Disk([contents[0], b"\0" + contents[1][1:], b"\0" + contents[2][1:]])
    assert both.slots().boot() == Boot(INSTALLED, 0, on_trial=False)


def test_only_what_is_on_trial_can_be_confirmed() -> None:
    disk = fresh()
    disk.slots().store(NEW, 7)
    with pytest.raises(NotOnTrial):
        disk.slots().confirm(1)
    disk.slots().boot()
    with pytest.raises(NotOnTrial):
        disk.slots().confirm(2)


def store(slots: Slots) -> None:
    slots.store(NEW, 7)


def boot(slots: Slots) -> None:
    slots.boot()


def confirm(slots: Slots) -> None:
    slots.confirm(2)


def fail(slots: Slots) -> None:
    slots.fail("not healthy")


STEPS: list[tuple[Callable[[Slots], None], ...]] = [
    (store,),
    (store, boot),
    (store, boot, confirm),
    (store, boot, fail),
]


@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: "-".join(step.__name__ for step in steps))
@pytest.mark.parametrize("kill", [False, True], ids=["power cut", "kill"])
def test_a_cut_at_any_byte_of_any_write_leaves_an_image_that_works(
    steps: tuple[Callable[[Slots], None], ...], kill: bool
) -> None:
    start = with_old_image()
    whole = Disk(start)
    writes_before_last = 0
    for step in steps:
        writes_before_last = whole.writes
        step(whole.slots())
    cuts = 0
    for nth in range(writes_before_last + 1, whole.writes + 1):
        for landed in range(0, 4097, 1 if nth == 1 else 61):
            disk = Disk(start)
            disk.plan(nth, 0, landed)
            try:
                for step in steps:
                    step(disk.slots())
            except (PowerLost, OSError):
                cuts += 1
            check_after(Disk(disk.after(kill)), steps)
    assert cuts, "no cut ever fell"


def check_after(disk: Disk, steps: tuple[Callable[[Slots], None], ...]) -> None:
    """What runs after the power is back is an image that is whole; nothing that failed, or was on trial."""
    runs = disk.slots().boot()
    allowed = {Boot(1, 2, on_trial=False)}
    if steps in {(store,), (store, boot)}:
        allowed |= {Boot(2, 7, on_trial=True)}
    if confirm in steps:
        allowed |= {Boot(2, 7, on_trial=False)}
    assert runs in allowed
    content = disk.files[runs.slot].after_a_kill()
    assert content.startswith(OLD if runs.slot == 1 else NEW)
    if fail in steps or (runs == Boot(1, 2, on_trial=False) and disk.slots().state.fell_back):
        assert not disk.slots().boot().on_trial


def test_the_files_on_a_real_disk_are_made_and_found_again(tmp_path: Path) -> None:
    for expected in (Boot(1, 7, on_trial=True), Boot(INSTALLED, 0, on_trial=False)):
        slots = Slots.open(tmp_path / "firmware")
        slots.store(NEW, 7)
        assert slots.boot() == expected
        slots.close()
    assert (tmp_path / "firmware" / "slot-1.pyz").read_bytes() == NEW


def test_a_shorter_image_leaves_nothing_of_a_longer_one_behind_it(tmp_path: Path) -> None:
    slots = Slots.open(tmp_path / "firmware")
    slots.store(NEW * 1000, 7)
    slots.store(OLD, 8)
    assert slots.boot() == Boot(1, 8, on_trial=True)
    slots.close()
    assert (tmp_path / "firmware" / "slot-1.pyz").read_bytes() == OLD
