"""campus.toml and CAMPUS_ variables: each kind of mistake is told with its place, its cause and its cure."""

import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from campus_node.settings import FILE_NAME, Settings, load_settings
from campus_node.settings_checks import split_listen
from campus_node.settings_mistakes import WrongSettings, line_of, masked_url
from federation.errors import Misconfigured

GOOD = """\
[campus]
name = "north"
number = 12
"""

Told = Callable[[str], list[str]]


@pytest.fixture(autouse=True)
def _no_campus_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("CAMPUS_"):
            monkeypatch.delenv(name)


def _load(directory: Path, text: str) -> Settings:
    (directory / FILE_NAME).write_text(text, encoding="utf-8")
    return load_settings(directory)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """Load a wrong campus.toml; return what its reader is told, without the directory."""

    def load(text: str) -> list[str]:
        with pytest.raises(WrongSettings) as caught:
            _load(tmp_path, text)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return load


def test_a_name_and_a_number_are_enough(tmp_path: Path) -> None:
    settings = _load(tmp_path, GOOD)
    assert (settings.campus.name, settings.campus.number, settings.domain) == (
        "north",
        12,
        "north.campus.test",
    )
    assert settings.ledger.database == "sqlite:///data/ledger.sqlite"
    assert (settings.grpc.listen, settings.metrics.listen) == ("127.0.0.1:7443", "127.0.0.1:9464")
    assert settings.grpc.reflection is False


def test_a_variable_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_GRPC__LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("CAMPUS_GRPC__REFLECTION", "true")
    settings = _load(tmp_path, GOOD + '[grpc]\nlisten = "127.0.0.1:9999"\ndrain_s = 3\n')
    assert (settings.grpc.listen, settings.grpc.reflection, settings.grpc.drain_s) == ("127.0.0.1:0", True, 3)


def test_an_own_domain_replaces_the_example_domain(tmp_path: Path) -> None:
    assert _load(tmp_path, GOOD + 'domain = "card.north.example"\n').domain == "card.north.example"


def test_settings_cannot_be_changed_once_loaded(tmp_path: Path) -> None:
    settings = _load(tmp_path, GOOD)
    with pytest.raises(ValueError, match="frozen"):
        settings.grpc.drain_s = 1


def test_a_directory_without_a_campus_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=rf"campus init {re.escape(str(tmp_path))} --campus NAME"):
        load_settings(tmp_path)


def test_broken_toml_names_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"campus\.toml is no valid TOML: .*line 2, column"):
        _load(tmp_path, "[campus]\nname = north\n")


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes('[campus]\ntitle_zh = "北"\n'.encode("gbk"))
    with pytest.raises(Misconfigured, match="is not UTF-8 text"):
        load_settings(tmp_path)


def test_a_campus_file_that_is_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(Misconfigured, match="cannot be read: Is a directory"):
        load_settings(tmp_path)


def test_a_mistyped_key_is_told_with_its_line_and_the_nearest_key(told: Told) -> None:
    assert told(GOOD + "[ledger]\nqueue_item_max = 5\n") == [
        "campus.toml, line 5: [ledger] has no key queue_item_max. Did you mean queue_items_max?"
    ]


def test_a_key_like_no_other_is_told_with_all_keys(told: Told) -> None:
    assert told(GOOD + "[log]\nzzz = 5\n") == [
        "campus.toml, line 5: [log] has no key zzz. Known are: level, format"
    ]


def test_a_mistyped_section_is_told_with_the_nearest(told: Told) -> None:
    assert told(GOOD + "[legder]\n") == [
        "campus.toml, line 4: there is no section [legder]. Did you mean ledger?"
    ]


def test_a_section_written_as_a_value_is_told(told: Told) -> None:
    assert told('log = "info"\n' + GOOD) == [
        "campus.toml, line 1: log is a section, not a value. Write a line [log] and its keys below it"
    ]


def test_a_missing_section_is_told_with_what_it_needs(told: Told) -> None:
    assert told("[log]\n") == [
        "campus.toml: the section [campus] is missing. Write a line [campus], below it: "
        'name = "north", number = 12'
    ]


def test_a_missing_key_is_told_with_an_example(told: Told) -> None:
    assert told('[campus]\nname = "north"\n') == [
        "campus.toml, line 1: [campus] lacks number (unique in the scheme; stands in every card number). "
        "Write, for example: number = 12"
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('name = "North Campus"', "is no name: use 1 to 63 of a-z, 0-9 and hyphen"),
        ("number = 0", "is not from 1 to 9999"),
        ("number = 10000", "is not from 1 to 9999"),
        ('number = "twelve"', "is no whole number"),
        ("number = 1.5", "is no whole number"),
        ("number = true", "is a truth value, not a number"),
        ("title_zh = 3", "is no text in quotes"),
        ('domain = "north_campus"', "is no DNS domain"),
        ('timezone = "Asia/Peking"', "is no IANA time zone"),
        ('cut_off = "3 am"', "is no time of day from 00:00 to 23:59"),
        ('cut_off = "24:00"', "is no time of day from 00:00 to 23:59"),
    ],
)
def test_a_wrong_value_in_campus_is_told(told: Told, line: str, problem: str) -> None:
    key = line.partition(" ")[0]
    rest = [other for other in GOOD.splitlines() if not other.startswith(f"{key} ")]
    text = "\n".join([*rest, line]) + "\n"
    (message,) = told(text)
    assert message.startswith(f"campus.toml, line {len(rest) + 1}: {line} {problem}"), message
    assert f"Write, for example: {key} = " in message


@pytest.mark.parametrize(
    ("section", "line", "problem"),
    [
        ("ledger", 'database = "mysql://x/y"', "begins with sqlite:/// or postgresql://"),
        ("ledger", 'database = "data/ledger.sqlite"', "begins with sqlite:/// or postgresql://"),
        ("ledger", 'database = "sqlite://data.sqlite"', "write three slashes, then the path"),
        ("ledger", 'database = "sqlite:///:memory:"', "names no file"),
        ("ledger", 'database = "postgresql://h"', "names no database"),
        ("ledger", 'database = "postgresql://h:port/x"', "is no well-formed URL"),
        ("ledger", "queue_items_max = 0", "is not from 1 to 1000000"),
        ("ledger", "batch_items_max = 9000", "is not from 1 to 8192"),
        ("ledger", "outage_hold_s = -1", "is not from 0 to 600"),
        ("ledger", "outage_hold_s = nan", "is no number"),
        ("ledger", 'outage_hold_s = "long"', "is no number"),
        ("grpc", 'listen = "7443"', "is not HOST:PORT"),
        ("grpc", 'listen = "127.0.0.1:70000"', "has a port above 65535"),
        ("grpc", "message_bytes_max = 100", "is not from 65536 to 67108864"),
        ("grpc", "keepalive_s = 0", "is not from 1 to 7200"),
        ("grpc", 'reflection = "maybe"', "is neither true nor false"),
        ("grpc", "drain_s = 601", "is not from 0 to 600"),
        ("metrics", 'listen = "localhost"', "is not HOST:PORT"),
        ("pki", 'node_key = " "', "is empty"),
        ("log", 'level = "loud"', "is not one of debug, info, warning, error"),
        ("log", 'format = "xml"', "is not one of logfmt, json"),
    ],
)
def test_a_wrong_value_is_told(told: Told, section: str, line: str, problem: str) -> None:
    (message,) = told(f"{GOOD}\n[{section}]\n{line}\n")
    key = line.partition(" ")[0]
    assert message.startswith(f"campus.toml, line 6: {line} "), message
    assert problem in message
    assert f"Write, for example: {key} = " in message


def test_every_mistake_is_told_in_one_go(told: Told) -> None:
    messages = told('[campus]\nname = "N"\n[grpc]\nlisten = "x"\nrefection = true\n')
    assert [message.partition(":")[0] for message in messages] == [
        "campus.toml, line 2",
        "campus.toml, line 1",
        "campus.toml, line 4",
        "campus.toml, line 5",
    ]


def test_a_wrong_variable_is_told_by_its_name(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_GRPC__LISTEN", "nowhere")
    (message,) = told(GOOD)
    assert message.startswith('environment variable CAMPUS_GRPC__LISTEN: listen = "nowhere" is not HOST:PORT')


def test_a_mistyped_variable_is_told_with_the_nearest(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_LEGDER__DATABASE", "x")
    assert told(GOOD) == [
        "environment variable CAMPUS_LEGDER__DATABASE sets nothing. Did you mean CAMPUS_LEDGER__DATABASE?"
    ]


def test_a_variable_for_a_whole_section_is_told(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_LOG", "debug")
    assert told(GOOD) == [
        "environment variable CAMPUS_LOG sets a whole section: set one key a variable, "
        "for example CAMPUS_LOG__LEVEL"
    ]


def test_variables_of_other_programs_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_LANG", "zh")
    monkeypatch.setenv("CAMPUSTOOL__X", "1")
    assert _load(tmp_path, GOOD).campus.number == 12


def test_the_databases_password_is_never_shown(told: Told) -> None:
    (message,) = told(GOOD + '[ledger]\ndatabase = "postgres://me:s3cret@h/x"\n')
    assert "s3cret" not in message
    assert "postgres://me:***@h/x" in message
    assert masked_url("postgresql://me:s3cret@h/x") == "postgresql://me:***@h/x"


def test_every_example_is_itself_a_good_setting(tmp_path: Path) -> None:
    lines = []
    for section, section_field in Settings.model_fields.items():
        lines.append(f"[{section}]")
        model = section_field.annotation
        assert isinstance(model, type)
        for key, field in model.model_fields.items():
            example = field.examples[0]
            quoted = isinstance(example, str) and example not in ("true", "false")
            lines.append(f'{key} = "{example}"' if quoted else f"{key} = {example}")
    text = "\n".join(lines)
    assert _load(tmp_path, text).campus.name == tomllib.loads(text)["campus"]["name"]


def test_lines_are_found_in_dotted_and_quoted_keys() -> None:
    assert line_of("campus.number = 1\n", "campus", "number") == 1
    assert line_of('[log]\nlevel="x"\n[ "campus" ]\n"number" = 1\n', "campus", "number") == 4
    assert line_of("[log]\nnumber = 1\n", "campus", "number") is None


def test_a_listen_address_splits_into_host_and_port() -> None:
    assert split_listen("127.0.0.1:0") == ("127.0.0.1", 0)
    assert split_listen("[::1]:7443") == ("::1", 7443)
