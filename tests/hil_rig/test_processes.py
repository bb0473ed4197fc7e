"""Real processes: a start that fails says why, and nothing outlives the block that started it."""

import os
from pathlib import Path

import pytest

from campus_node.pki.campus_pki import make_root_directory
from federation.clock import SystemClock
from hil_rig.campus import RigCampus
from hil_rig.processes import ProcessFailed

pytestmark = pytest.mark.slow  # starts real processes


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def campus(tmp_path: Path) -> RigCampus:
    make_root_directory(tmp_path / "root", "test", SystemClock().unix_ms())
    return RigCampus(tmp_path / "north", "north", 1, tmp_path / "root", people=2, terminals=1)


def test_a_node_ends_with_its_block_even_when_an_exception_leaves_it(campus: RigCampus) -> None:
    pids = []

    def break_off() -> None:
        with campus.node:
            campus.node.start()
            assert campus.node.healthy()
            pids.append(campus.node.pid)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        break_off()
    assert not is_alive(pids[0])


def test_a_node_that_cannot_start_says_why(campus: RigCampus) -> None:
    (campus.directory / "campus.toml").write_text('[campus]\nname = "north"\nnumbr = 1\n')
    with campus.node, pytest.raises(ProcessFailed, match="numbr"):
        campus.node.start()


def test_a_restarted_node_has_its_port_again(campus: RigCampus) -> None:
    with campus.node:
        campus.node.start()
        before = campus.node.address
        campus.node.kill()
        campus.node.start()
        assert campus.node.address == before
        assert campus.node.terminate() == 0
        assert not campus.node.running
