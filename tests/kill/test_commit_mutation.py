"""The kill test sees what it is for: with the commit removed, or answers given before it, it turns red."""

import shutil
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import campus_node
from tests.kill.siege import Verdict, besiege, campus_in, node_strike

WRITER, STORE = "campus_node/ledger/writer.py", "campus_node/ledger/sqlite_store.py"


class Replacement(NamedTuple):
    path: str
    old: str
    new: str


NO_COMMIT: Final = (
    Replacement(
        STORE, "            db.execute(begin)\n", "            db.in_transaction or db.execute(begin)\n"
    ),
    Replacement(STORE, '            db.execute("COMMIT")\n', "            pass\n"),
)
ANSWER_FIRST: Final = (  # each batch is committed after its answers have gone, with the next one
    Replacement(
        WRITER,
        "            self._store.append(started.batch)\n",
        "            late, self.late = self.__dict__.pop('late', None), started.batch\n"
        "            if late is not None:\n"
        "                self._store.append(late)\n",
    ),
)


def mutated_copy(directory: Path, replacements: tuple[Replacement, ...]) -> Path:
    """Copy the packages of a node and change the text of one module."""
    source = Path(campus_node.__file__).parent.parent
    for package in ("campus_node", "campuscard", "federation"):
        shutil.copytree(source / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, old, new in replacements:
        text = (directory / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} has changed: say anew how to break it. Looked for:\n{old}"
        (directory / path).write_text(text.replace(old, new), encoding="utf-8")
    return directory


def siege_of(copy: Path, directory: Path, seed: int) -> Verdict:
    with campus_in(directory, environment={"PYTHONPATH": str(copy)}) as campus:
        return besiege(campus, "node", seed, 1, node_strike(campus))


@pytest.mark.parametrize("replacements", [NO_COMMIT, ANSWER_FIRST], ids=["no commit", "answer first"])
def test_a_node_without_a_commit_before_its_answers_is_found_out(
    tmp_path: Path, seed: int, replacements: tuple[Replacement, ...]
) -> None:
    copy = mutated_copy(tmp_path / "mutated", replacements)
    verdict = siege_of(copy, tmp_path / "siege", seed)
    assert verdict.said["lost"] > 0, verdict.said
    with pytest.raises(AssertionError):
        verdict.demand()


def test_an_unchanged_copy_passes_the_same_siege(tmp_path: Path, seed: int) -> None:
    copy = mutated_copy(tmp_path / "unchanged", ())
    siege_of(copy, tmp_path / "siege", seed).demand()
