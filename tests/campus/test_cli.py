"""The command line as a whole: languages, JSON, exit codes, refusals to start, and wrong usage."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import campus_node
from tests.campus.conftest import Campus
from tests.campus.texts import commands

ROOM = Path(campus_node.__file__).parents[1]


def _start(*options: str, path: str = str(ROOM)) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", "import sys; from campus_node.cli import main; sys.exit(main())"],
        env={**os.environ, "PYTHONPATH": path},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_shows_its_help_in_both_languages(campus: Campus) -> None:
    for path, _ in commands():
        arguments = path.split()[1:]
        english, chinese = campus(*arguments, "--help"), campus(*arguments, "--help", "--lang", "zh")
        assert (english.code, chinese.code) == (0, 0), path
        assert english.out.startswith(f"Usage: {path}")
        assert chinese.out.startswith(f"用法: {path}")
        assert "Examples" in english.out
        assert "示例" in chinese.out


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_no_help_line_but_an_example_is_wider_than_the_terminal(
    campus: Campus, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for path, command in commands():
        for line in campus(*path.split()[1:], "--help").out.splitlines():
            assert len(line) <= int(columns) or line.strip() in command.epilog, line


def test_without_a_command_the_help_page_comes_and_the_code_is_two(campus: Campus) -> None:
    alone = campus()
    assert alone.code == 2
    assert "Commands" in alone.out
    group = campus("ledger")
    assert group.code == 2
    assert "verify-chain" in group.err


def test_the_version_is_told(campus: Campus) -> None:
    assert campus("--version").out.startswith("campuscard ")
    assert set(campus("--version", "--json").json) == {"version"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("lodger", "there is no command lodger. Did you mean ledger?"),
        ("ledger blance", "there is no command blance. Did you mean balance?"),
        ("ledger balance", "ACCOUNT is missing"),
        ("ledger balance bank/1 more", "too many arguments: more"),
        ("ledger balance bank/1 --asof x", "there is no option --asof. Did you mean --as-of?"),
        ("ledger balance bank/1 --as-of", "--as-of needs a value"),
        ("ledger statement bank/1 --limit 0", "--limit must be a whole number from 1 to 1000"),
        ("ledger statement bank/1 --limit many", "--limit must be a whole number from 1 to 1000"),
        ("ledger statement bank/1 --before-seq 0", "--before-seq must be a whole number of at least 1"),
        ("ledger check --json=yes", "there is no option --json"),
        ("ledger check --json-file", "--json-file needs a value"),
        ("ledger check --lang fr", "--lang fr is not spoken here: en or zh"),
        ("init north", "--campus is missing"),
        ("init north --campus north --number 0", "--number must be a whole number from 1 to 9999"),
        ("operator grant bob king --operator a --reason b", "ROLE"),
    ],
)
def test_wrong_usage_is_told_and_ends_with_two(campus: Campus, line: str, told: str) -> None:
    said = campus(*line.split())
    assert said.code == 2
    assert told in said.err
    assert said.out == ""


def test_wrong_usage_is_told_in_chinese(campus: Campus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "错误: 没有命令 blance。是否指 balance?" in campus("ledger", "blance").err
    assert "Error: there is no command" in campus("ledger", "blance", "--lang=en").err


def test_a_refusal_ends_with_one_and_stands_in_the_json_too(campus: Campus, tmp_path: Path) -> None:
    said = campus("ledger", "check", "-C", tmp_path, "--json", "--json-file", tmp_path / "out.json")
    assert said.code == 1
    assert f"campus init {tmp_path} --campus NAME" in said.err
    assert said.json["error"]["name"] == "Misconfigured"
    assert said.json["error"]["family"] == "Refused"
    assert json.loads((tmp_path / "out.json").read_text()) == said.json


def test_every_wrong_setting_is_told_at_once_and_in_chinese(campus: Campus, north: Path) -> None:
    with (north / "campus.toml").open("a") as file:
        file.write('\n[lgo]\nlevel = "info"\n')
    text = (north / "campus.toml").read_text().replace("number = 1 ", "number = 0 ")
    (north / "campus.toml").write_text(text)
    english, chinese = campus("ledger", "check"), campus("ledger", "check", "--lang", "zh")
    assert "number = 0 is not from 1 to 9999" in english.err
    assert "there is no section [lgo]. Did you mean log?" in english.err
    assert "number = 0 不在 1 到 9999 之间" in chinese.err
    assert "没有节 [lgo]。是否指 log?" in chinese.err


def test_json_goes_to_a_file_beside_what_people_see(campus: Campus, north: Path, tmp_path: Path) -> None:
    said = campus("ledger", "check", "--json-file", tmp_path / "check.json")
    assert said.out == "The books are balanced: every balance follows from the journal.\n"
    assert json.loads((tmp_path / "check.json").read_text()) == {"balanced": True, "differences": []}


def test_a_json_file_that_cannot_be_written_is_told(campus: Campus, north: Path, tmp_path: Path) -> None:
    nowhere = campus("ledger", "check", "--json-file", tmp_path / "nowhere" / "x.json")
    assert (nowhere.code, nowhere.out) == (2, "")
    assert "x.json: there is no such directory" in nowhere.err
    said = campus("ledger", "check", "--json-file", tmp_path)
    assert said.code == 1
    assert "Is a directory" in said.err


def test_a_table_becomes_blocks_where_the_terminal_is_narrow(
    campus: Campus, north: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = campus("pki", "show").out.splitlines()
    assert wide[0].split() == ["certificate", "until", "state", "serial"]
    monkeypatch.setenv("COLUMNS", "40")
    narrow = campus("pki", "show").out.splitlines()
    assert [line.split()[0] for line in narrow[:3]] == ["certificate", "until", "state"]
    assert max(map(len, narrow)) <= 40


def test_spare_columns_are_left_out_before_a_table_becomes_blocks(
    campus: Campus, staff: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    head = campus("operator", "list").out.splitlines()[0]
    assert "operator" in head
    assert "state" in head
    assert "enrolled" not in head


def test_a_reader_that_has_seen_enough_is_no_error(north: Path) -> None:
    command = f"{sys.executable} -m campus_node.cli audit list -C {north}"
    piped = subprocess.run(
        ["bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"],
        cwd=ROOM,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in piped.stderr


def test_python_without_assertions_is_refused() -> None:
    said = _start("-O")
    assert said.returncode == 2
    assert "Python runs with -O" in said.stderr
    assert "请勿使用 -O" in said.stderr


def test_another_package_named_federation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "federation").mkdir()
    (tmp_path / "federation" / "__init__.py").write_text("raise RuntimeError('never imported')")
    said = _start(path=f"{tmp_path}:{ROOM}")
    assert said.returncode == 2
    assert f"'federation' was found in {tmp_path}, not beside campus_node in {ROOM}" in said.stderr


def test_help_needs_neither_database_nor_grpc(tmp_path: Path) -> None:
    code = (
        "import sys; from campus_node.cli import main; main(['ledger', '--help']);"
        "print(sorted({'sqlalchemy', 'grpc', 'alembic', 'cryptography'} & set(sys.modules)), file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOM, capture_output=True, text=True, check=True)
    assert said.stderr.strip() == "[]"


def test_bench_outside_a_checkout_is_usage(
    campus: Campus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("campus_node.cli.commands_rig._CHECKOUT", tmp_path)
    said = campus("bench", "ledger")
    assert said.code == 2
    assert "runs only in a checkout of the source" in said.err
