"""A terminal's settings: every mistake is said where it stands, and what `init` writes is good (A18)."""

from pathlib import Path

import pytest

from campus_node.settings_mistakes import WrongSettings
from campus_node.terminal.directory import NewTerminal, TerminalDirectory
from campus_node.terminal.settings import parse_settings
from campus_node.terminal.settings_text import settings_text
from federation.errors import Misconfigured
from tests.gateway.places import make_campus

PATH = Path("till/terminal.toml")
NEEDED = '[terminal]\ncampus = "north"\nname = "till-7"\n[reader]\nname = "R"\n[sam]\nreader = "S"\n'
CHOSEN: dict[str, dict[str, object]] = {
    "terminal": {"campus": "north", "name": "till-7"},
    "reader": {"name": "R"},
    "sam": {"reader": "S"},
}


def mistakes(text: str) -> list[str]:
    with pytest.raises(WrongSettings) as wrong:
        parse_settings(text, PATH)
    return [str(each) for each in wrong.value.mistakes]


def test_what_init_writes_can_be_read_and_every_key_stands_in_it() -> None:
    text = settings_text(CHOSEN)
    assert parse_settings(text, PATH) == parse_settings(NEEDED, PATH)
    everything = "\n".join(
        line.removeprefix("# ") if " = " in line.partition("#")[2] else line for line in text.splitlines()[3:]
    )
    assert parse_settings(everything, PATH) == parse_settings(NEEDED, PATH)


def test_all_mistakes_are_said_at_once_with_their_lines() -> None:
    said = mistakes(
        NEEDED
        + '[line]\nkind = "pigeon"\n[view]\nrows = 9\nlisten = "nowhere"\n[trust]\nnotice_keys = "12"\n'
    )
    assert len(said) == 4
    for wanted in ("line 9: kind", "from 2 to 8", "64 hexadecimal digits", "is not HOST:PORT"):
        assert any(wanted in each for each in said), wanted


@pytest.mark.parametrize(
    ("line", "lacks"),
    [
        ('kind = "can"\nchannel = "can0"', "address"),
        ('kind = "serial"\naddress = 7', "channel"),
        ('kind = "tcp"\nhead = "10.0.0.1:7444"', "head_name"),
        ('kind = "thin"\naddress = 7', "channel"),
    ],
)
def test_a_line_says_what_its_kind_needs(line: str, lacks: str) -> None:
    (said,) = mistakes(f"{NEEDED}[line]\n{line}\n")
    assert f"needs {lacks} " in said
    assert "Write, for example" in said


def test_the_environment_goes_first_and_its_mistakes_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_TERMINAL_VIEW__LANGUAGE", "en")
    monkeypatch.setenv("CAMPUS_TERMINAL_TILL__MERCHANT_EN", "First canteen")
    settings = parse_settings(NEEDED, PATH)
    assert (settings.view.language, settings.merchant) == ("en", "First canteen")
    monkeypatch.setenv("CAMPUS_TERMINAL_VEIW__LANGUAGE", "en")
    assert "Did you mean CAMPUS_TERMINAL_VIEW__LANGUAGE?" in mistakes(NEEDED)[0]


def test_a_campus_at_hand_gives_the_keys_to_be_pinned_and_a_certificate(tmp_path: Path) -> None:
    campus = make_campus(tmp_path)
    line: dict[str, object] = {
        "kind": "tcp", "head": "127.0.0.1:7444", "head_name": "canteen.gateway.north.campus.test",
    }  # fmt: skip
    chosen = {"reader": {"name": "R"}, "sam": {"reader": "S"}, "line": line}
    place = TerminalDirectory(tmp_path / "till-7")
    settings = place.create(NewTerminal("", "till-7", chosen, campus), 1_790_000_000_000)
    assert settings.terminal.campus == "north"
    assert len(settings.trust.notice_keys) == 64
    assert settings.trust.hotlist_keys.startswith(f"{settings.sam.application}:")
    assert sorted(each.name for each in (place.path / "pki").iterdir()) == [
        "campus.pem", "terminal.key", "terminal.pem",
    ]  # fmt: skip
    with pytest.raises(Misconfigured, match="not empty"):
        place.create(NewTerminal("", "till-7", chosen, campus), 1_790_000_000_000)


def test_nothing_is_left_of_a_terminal_that_could_not_be_made(tmp_path: Path) -> None:
    place = TerminalDirectory(tmp_path / "till-7")
    with pytest.raises(WrongSettings):
        place.create(NewTerminal("north", "till-7", {**CHOSEN, "line": {"kind": "can"}}), 1_790_000_000_000)
    assert list(tmp_path.iterdir()) == []
