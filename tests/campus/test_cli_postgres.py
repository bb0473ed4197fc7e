"""The command line on a campus whose books are in PostgreSQL."""

from pathlib import Path

import pytest

from tests.campus.conftest import Campus

pytestmark = pytest.mark.postgres


def test_a_campus_on_postgresql_is_made_checked_and_rebuilt(
    empty_postgres_dsn: str, tmp_path: Path, campus: Campus
) -> None:
    north = tmp_path / "north"
    made = campus("init", north, "--campus", "north", "--database", empty_postgres_dsn)
    assert made.code == 0, made.err
    here = ("-C", north)
    assert campus("operator", "add", "alice", *here).code == 0
    assert campus("ledger", "check", *here).code == 0
    assert campus("ledger", "verify-chain", *here, "--json").json["rows"] == 0
    rebuilt = campus("ledger", "rebuild", "--operator", "alice", "--reason", "x", *here, "--json")
    assert (rebuilt.code, rebuilt.json) == (0, {"corrected": []})


def test_a_postgresql_server_that_does_not_answer_is_told_without_the_password(
    tmp_path: Path, campus: Campus
) -> None:
    url = "postgresql://me:s3cret@127.0.0.1:1/none"
    said = campus("init", tmp_path / "north", "--campus", "north", "--database", url)
    assert said.code == 1
    assert "Connection refused" in said.err
    assert "repeat the same command" in said.err
    assert "s3cret" not in said.err
