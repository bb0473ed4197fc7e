"""A campus on disk: made whole or not at all, and found again."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from campus_node.campus_directory import CampusDirectory, NewCampus, Ports
from campus_node.database import migrate
from campus_node.pki.campus_pki import campuses_of, make_root_directory
from campus_node.pki.credentials import load_credentials
from federation.clock import VirtualClock
from federation.errors import Misconfigured, StoreDown, Unavailable

NOW_UNIX_MS = VirtualClock().unix_ms()


@pytest.fixture
def place(tmp_path: Path) -> CampusDirectory:
    return CampusDirectory(tmp_path / "north")


def test_a_new_campus_has_all_that_a_node_needs(place: CampusDirectory) -> None:
    settings = place.create(NewCampus("north", title_zh="北校区"), NOW_UNIX_MS)
    assert (settings.campus.name, settings.campus.number, settings.campus.title_zh) == ("north", 1, "北校区")
    assert {path.name for path in place.path.iterdir()} == {
        "campus.toml",
        "pki",
        "data",
        "spool",
        "run",
        "log",
    }
    assert load_credentials(place.path, settings, NOW_UNIX_MS).identity.uri == "campuscard://north/node/1"
    migrate.require_current(place.database_url(settings))
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o700


def test_the_database_is_found_from_anywhere(
    place: CampusDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = CampusDirectory(Path("north")).database_url(place.create(NewCampus("north"), NOW_UNIX_MS))
    monkeypatch.chdir("/")
    with sqlite3.connect(url.removeprefix("sqlite:///")) as db:
        assert db.execute("SELECT count(*) FROM transfers").fetchone() == (0,)


def test_a_directory_that_is_not_empty_is_left_alone(place: CampusDirectory) -> None:
    place.path.mkdir()
    (place.path / "thesis.txt").write_text("mine")
    with pytest.raises(Misconfigured, match="north is not empty: nothing was changed"):
        place.create(NewCampus("north"), NOW_UNIX_MS)
    assert [path.name for path in place.path.iterdir()] == ["thesis.txt"]


def test_an_empty_directory_that_is_there_is_used(place: CampusDirectory) -> None:
    place.path.mkdir()
    assert place.create(NewCampus("north"), NOW_UNIX_MS).campus.name == "north"


def test_a_campus_is_made_once(place: CampusDirectory) -> None:
    place.create(NewCampus("north"), NOW_UNIX_MS)
    before = (place.path / "pki" / "campus.pem").read_bytes()
    with pytest.raises(Misconfigured, match="is not empty"):
        place.create(NewCampus("north"), NOW_UNIX_MS)
    assert (place.path / "pki" / "campus.pem").read_bytes() == before


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (NewCampus("North Campus"), "is not usable: 1 to 63 of a-z"),
        (
            NewCampus("north", number=10_000),
            r"north/campus\.toml, line 6: number = 10000 is not from 1 to 9999",
        ),
        (NewCampus("north", database="mysql://x/y"), "is no database this system writes to"),
        (NewCampus("north", root=Path("/nowhere")), "holds no root; make one with: campus pki root /nowhere"),
    ],
    ids=["name", "number", "database", "root"],
)
def test_a_wrong_wish_leaves_nothing_behind(place: CampusDirectory, new: NewCampus, told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        place.create(new, NOW_UNIX_MS)
    assert list(place.path.parent.iterdir()) == []


def test_a_database_that_does_not_answer_leaves_nothing_behind(place: CampusDirectory) -> None:
    with pytest.raises(StoreDown):
        place.create(NewCampus("north", database="postgresql://nobody@127.0.0.1:1/none"), NOW_UNIX_MS)
    assert list(place.path.parent.iterdir()) == []


def test_campuses_under_one_root_get_numbers_of_their_own(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make_root_directory(root, "scheme", NOW_UNIX_MS)
    north = CampusDirectory(tmp_path / "north").create(NewCampus("north", root=root), NOW_UNIX_MS)
    south = CampusDirectory(tmp_path / "south").create(NewCampus("south", root=root), NOW_UNIX_MS)
    assert (north.campus.number, south.campus.number) == (1, 2)
    assert campuses_of(root) == {1: "north", 2: "south"}
    assert not (tmp_path / "south" / "pki" / "root").exists(), "a shared root's key stays where it is"
    with pytest.raises(Misconfigured, match="knows campus north by the number 1"):
        CampusDirectory(tmp_path / "east").create(NewCampus("east", number=1, root=root), NOW_UNIX_MS)
    assert not (tmp_path / "east").exists()


def test_a_path_through_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="file cannot be made a directory: File exists"):
        CampusDirectory(tmp_path / "file" / "north").create(NewCampus("north"), NOW_UNIX_MS)


def test_a_running_nodes_ports_are_found_until_it_stops(place: CampusDirectory) -> None:
    place.create(NewCampus("north"), NOW_UNIX_MS)
    assert not place.is_running()
    ports = Ports(os.getpid(), 40001, 40002)
    place.write_ports(ports)
    assert place.ports() == ports
    told = json.loads(place.ports_path.read_text())
    assert (told["pid"], told["grpc"], told["metrics"]) == (os.getpid(), 40001, 40002)
    place.remove_ports()
    with pytest.raises(Unavailable, match=rf"start it with: campus node run {place.path}"):
        place.ports()


def test_the_ports_of_a_killed_node_do_not_count(place: CampusDirectory) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    place.path.mkdir()
    place.write_ports(Ports(child.pid, 1, 2))
    with pytest.raises(Unavailable, match="is not running"):
        place.ports()


def test_another_process_with_a_killed_nodes_number_is_not_the_node(place: CampusDirectory) -> None:
    place.path.mkdir()
    place.write_ports(Ports(os.getpid(), 1, 2))
    told = json.loads(place.ports_path.read_text())
    if told["born_ticks"] is None:
        pytest.skip("this system does not tell when a process began")
    place.ports_path.write_text(json.dumps(told | {"born_ticks": told["born_ticks"] - 1}))
    with pytest.raises(Unavailable, match="is not running"):
        place.ports()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": "x", "grpc": 1, "metrics": 2}', "null"])
def test_a_damaged_ports_file_is_told(place: CampusDirectory, content: str) -> None:
    place.ports_path.parent.mkdir(parents=True)
    place.ports_path.write_text(content)
    with pytest.raises(Unavailable, match=r"ports\.json is damaged"):
        place.ports()
