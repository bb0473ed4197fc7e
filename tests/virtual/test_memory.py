"""A commit happens wholly or not at all, whatever is cut, killed or damaged."""

import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from federation.errors import Misconfigured
from hil_rig.virtual.media import FileMedium, RamMedium
from hil_rig.virtual.memory import MAGIC, Memory, MemoryBroken, MemoryFailed, PowerLost
from tests.soak import size

BEFORE = {"a": b"1", "b": b"22", "gone": b"x"}
CHANGES: dict[str, bytes | None] = {"a": b"one", "c": bytes(300), "gone": None}
AFTER = {"a": b"one", "b": b"22", "c": bytes(300)}


Medium = RamMedium | FileMedium


@pytest.fixture(params=["ram", "file"])
def new_medium(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Medium]]:
    """Give what makes an empty medium, of the process or in a file."""
    made: list[Medium] = []

    def make() -> Medium:
        made.append(RamMedium() if request.param == "ram" else FileMedium(tmp_path / f"{len(made)}.nvm"))
        return made[-1]

    yield make
    for medium in made:
        medium.close()


def filled(medium: Medium, compact_bytes: int = 65_536) -> Memory:
    memory = Memory(medium, compact_bytes)
    memory.commit(BEFORE)
    return memory


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    memory = Memory.open(tmp_path / "card.nvm")
    memory.commit(BEFORE)
    memory.commit(CHANGES)
    memory.close()
    again = Memory.open(tmp_path / "card.nvm")
    assert dict(again.slots) == AFTER
    again.close()


def test_a_tear_at_any_byte_of_a_commit_leaves_the_old_state_or_the_new(
    new_medium: Callable[[], Medium],
) -> None:
    memory = filled(medium := new_medium())
    log = medium.read()
    memory.commit(CHANGES)
    length = memory.last_write_bytes
    assert length > 300
    for byte in range(length + 1):
        medium.cut(len(log))
        memory = Memory(medium)
        memory.tear(write=1, byte=byte)
        with pytest.raises(PowerLost):
            memory.commit(CHANGES)
        with pytest.raises(PowerLost):
            memory.commit({"a": b"nothing works without power"})
        memory.recover()
        assert dict(memory.slots) == (AFTER if byte == length else BEFORE), byte
        memory.commit({"d": b"it goes on"})
        assert Memory(medium).slots["d"] == b"it goes on"


def test_a_tear_at_any_byte_of_a_compaction_loses_nothing(new_medium: Callable[[], Medium]) -> None:
    memory = filled(medium := new_medium(), compact_bytes=800)
    commits = 0
    while memory.last_write_bytes != 1:  # the swap that ends a compaction
        commits += 1
        memory.commit({"a": commits.to_bytes(2)})
    assert commits > 10
    places = [(2, byte) for byte in range(len(medium.read()) + 1)] + [(3, 0), (3, 1)]
    for write, byte in places:  # write 1 is the commit itself, 2 the new log, 3 the swap
        memory = filled(new_medium(), compact_bytes=800)
        for number in range(1, commits):
            memory.commit({"a": number.to_bytes(2)})
        memory.tear(write, byte)
        with pytest.raises(PowerLost):
            memory.commit({"a": commits.to_bytes(2)})
        memory.recover()
        assert dict(memory.slots) == BEFORE | {"a": commits.to_bytes(2)}, (write, byte)
        memory.commit({"a": b"it goes on"})


def test_the_log_stays_short(new_medium: Callable[[], Medium]) -> None:
    memory = filled(medium := new_medium(), compact_bytes=1000)
    for number in range(500):
        memory.commit({"counter": number.to_bytes(4)})
        assert len(medium.read()) < 1100
    assert Memory(medium).slots["counter"] == (499).to_bytes(4)


def test_a_log_cut_anywhere_holds_a_prefix_of_the_commits(seed: int) -> None:
    rng = random.Random(seed)
    medium = RamMedium()
    memory, ends = Memory(medium), [len(MAGIC)]
    states: list[dict[str, bytes]] = [{}]
    for _ in range(40):
        memory.commit(
            {f"s{rng.randrange(9)}": rng.randbytes(rng.randrange(20)) for _ in range(rng.randrange(1, 4))}
        )
        states.append(dict(memory.slots))
        ends.append(len(medium.read()))
    whole = medium.read()
    for length in range(len(whole) + 1):
        cut = RamMedium()
        cut.append(whole[:length])
        expected = states[max([number for number, end in enumerate(ends) if end <= length], default=0)]
        assert dict(Memory(cut).slots) == expected


def test_damage_that_no_torn_write_explains_is_told(seed: int) -> None:
    rng = random.Random(seed)
    medium = RamMedium()
    memory = Memory(medium)
    for number in range(10):
        memory.commit({"a": number.to_bytes(8)})
    whole = medium.read()
    last = memory.last_write_bytes
    told = 0
    for _ in range(300):
        at = rng.randrange(len(whole) - last)
        damaged = RamMedium()
        damaged.append(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        try:
            slots = dict(Memory(damaged).slots)
        except MemoryBroken:
            told += 1
        else:
            # A length that points beyond the end looks like a torn write: the commits before it count.
            assert int.from_bytes(slots.get("a", b"")) < 10
    assert told > 200


def test_a_file_that_is_no_card_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir or Madam")
    with pytest.raises(MemoryBroken):
        Memory.open(tmp_path / "letter.txt")
    (tmp_path / "letter.txt").unlink()
    Memory.open(tmp_path / "letter.txt").close()


def test_one_card_lies_in_one_reader(tmp_path: Path) -> None:
    memory = Memory.open(tmp_path / "card.nvm")
    with pytest.raises(Misconfigured):
        Memory.open(tmp_path / "card.nvm")
    memory.close()
    Memory.open(tmp_path / "card.nvm").close()


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    memory = Memory.open(tmp_path / "card.nvm")
    memory.commit(BEFORE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(tmp_path / "card.nvm").st_size + 50, hard))
        with pytest.raises(MemoryFailed):
            memory.commit(CHANGES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert dict(memory.slots) == BEFORE
    memory.commit(CHANGES)
    memory.close()
    again = Memory.open(tmp_path / "card.nvm")
    assert dict(again.slots) == AFTER
    again.close()


def test_after_a_sync_that_failed_the_medium_itself_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory.open(tmp_path / "card.nvm")
    memory.commit(BEFORE)

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fails)
        with pytest.raises(PowerLost):
            memory.commit(CHANGES)
    with pytest.raises(PowerLost):
        memory.commit({"a": b"not before the next power-on"})
    memory.recover()
    assert dict(memory.slots) == AFTER, "it had been written after all"
    memory.commit({"a": b"and it goes on"})
    memory.close()
    again = Memory.open(tmp_path / "card.nvm")
    assert dict(again.slots) == AFTER | {"a": b"and it goes on"}
    again.close()


def test_a_killed_process_leaves_every_commit_that_it_told_of(tmp_path: Path, seed: int) -> None:
    """A process counts in its memory and tells each number after its commit; it is killed in mid-work."""
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from hil_rig.virtual.memory import Memory
        memory = Memory.open(Path(sys.argv[1]), compact_bytes=2000)
        number = int.from_bytes(memory.slots.get("left", b""))
        while True:
            number += 1
            memory.commit({"left": number.to_bytes(8), "right": number.to_bytes(8), "pad": bytes(100)})
            sys.stdout.write(f"{number}\\n")
            sys.stdout.flush()
        """
    )
    rng = random.Random(seed)
    path = tmp_path / "card.nvm"
    told = 0
    for _ in range(size(6, 60)):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(rng.randrange(1, 120)):
            told = int(process.stdout.readline())
        process.kill()
        whole_lines = process.stdout.read().split("\n")[:-1]
        process.wait()
        process.stdout.close()
        told = int(whole_lines[-1]) if whole_lines else told
        memory = Memory.open(path)
        left, right = int.from_bytes(memory.slots["left"]), int.from_bytes(memory.slots["right"])
        memory.close()
        assert left == right
        assert told <= left <= told + 1
        told = left


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        Memory.open(tmp_path / "no such folder" / "card.nvm")
    (tmp_path / "card.nvm").mkdir()
    with pytest.raises(Misconfigured):
        Memory.open(tmp_path / "card.nvm")
    (tmp_path / "card.nvm").rmdir()
    Memory.open(tmp_path / "card.nvm").close()


def test_only_its_owner_reads_a_card_file(tmp_path: Path) -> None:
    path = tmp_path / "card.nvm"
    memory = Memory.open(path, compact_bytes=500)
    for number in range(30):  # the file is replaced on the way
        memory.commit({"counter": number.to_bytes(100)})
    memory.close()
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.iterdir())
