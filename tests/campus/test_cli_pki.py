"""`campus init` and `campus pki` on real directories."""

from pathlib import Path

import pytest

from tests.campus.conftest import Campus


def test_init_makes_a_campus_and_says_what_to_do_next(campus: Campus, tmp_path: Path) -> None:
    said = campus("init", tmp_path / "north", "--campus", "north", "--number", "12")
    assert said.code == 0
    assert f"Campus north, number 12, is ready in {tmp_path / 'north'}." in said.out
    assert f"campus node run {tmp_path / 'north'}" in said.out
    assert "root.key to a place that is offline" in said.out


def test_init_refuses_a_directory_that_is_in_use(campus: Campus, north: Path) -> None:
    said = campus("init", north, "--campus", "north")
    assert said.code == 1
    assert "is not empty: nothing was changed" in said.err


def test_campuses_share_a_root(campus: Campus, tmp_path: Path) -> None:
    assert campus("pki", "root", tmp_path / "scheme").code == 0
    for number, name in enumerate(("north", "south"), start=1):
        made = campus("init", tmp_path / name, "--campus", name, "--root", tmp_path / "scheme", "--json")
        assert (made.code, made.json["number"]) == (0, number)
        assert made.json["node"] == f"campuscard://{name}/node/1"


def test_a_terminal_gets_a_certificate_renews_it_and_loses_it(campus: Campus, north: Path) -> None:
    issued = campus("pki", "leaf", "terminal/0001", "--json").json
    assert issued["uri"] == ["campuscard://north/terminal/0001"]
    assert Path(issued["key_file"]).exists()
    assert campus("pki", "leaf", "terminal/0001").code == 1
    assert campus("pki", "renew", "terminal/0001").code == 0
    assert campus("pki", "revoke", "terminal/0001", "--reason", "key-compromise").out == (
        "2 of terminal/0001 revoked.\n"
    )
    assert "no certificate left to revoke" in campus("pki", "revoke", "terminal/0001").out
    shown = campus("pki", "show", "--json").json
    assert [leaf["revoked"] for leaf in shown["leaves"]] == [False, True, True]
    assert len(campus("pki", "crl", "--json").json["revoked"]) == 2


def test_show_reads_any_certificate_file(campus: Campus, north: Path) -> None:
    told = campus("pki", "show", north / "pki" / "campus.pem", "--json").json
    assert told["permitted"] == ["north.campus.test", "north"]
    assert campus("pki", "show", north / "campus.toml").code == 1


@pytest.mark.parametrize("machine", ["terminal", "cashier/1", "terminal/Kasse", "terminal/1/2", "/"])
def test_what_is_no_machine_is_told(campus: Campus, north: Path, machine: str) -> None:
    said = campus("pki", "leaf", machine)
    assert said.code == 2
    assert f"{machine} is no machine: write node/1, gateway/canteen or terminal/0001" in said.err


def test_a_campus_gets_its_authority_once(campus: Campus, north: Path) -> None:
    said = campus("pki", "campus", "--root", north)
    assert said.code == 1
    assert "is there already: nothing was changed" in said.err


def test_a_lost_authority_is_made_anew_by_the_root(campus: Campus, north: Path) -> None:
    for name in ("campus.pem", "campus.key", "campus.crl.pem"):
        (north / "pki" / name).unlink()
    lost = campus("pki", "leaf", "terminal/0001")
    assert (lost.code, "make one with: campus pki campus" in lost.err) == (1, True)
    assert campus("pki", "campus", "--root", north).code == 0
    assert campus("pki", "leaf", "terminal/0001").code == 0
    assert campus("pki", "renew", "node/1").code == 0


def test_a_database_of_this_release_needs_no_upgrade(campus: Campus, north: Path) -> None:
    said = campus("database", "upgrade", "--json")
    assert said.code == 0
    assert said.json["before"] == said.json["after"]
