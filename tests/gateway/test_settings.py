"""gateway.toml: what is wrong with it is said at once, with the place and what to write instead."""

from pathlib import Path

import pytest

from campus_node.gateway.settings import Settings, parse_settings
from campus_node.gateway.settings_lines import CanLineSettings, LineSettings, TcpLineSettings
from campus_node.gateway.settings_text import settings_text
from campus_node.settings import parse_settings as parse_campus
from campus_node.settings_mistakes import WrongSettings

PATH = Path("/etc/campus/gateway.toml")
GOOD = """\
[gateway]
campus = "north"
name = "canteen-1"
node = "10.1.0.5:7443"

[[line]]
name = "can0"
kind = "can"
channel = "can0"

[[line]]
name = "tills"
kind = "tcp"
listen = "0.0.0.0:7444"
metered = true
"""


def parsed(text: str) -> tuple[Settings, tuple[LineSettings, ...]]:
    return parse_settings(text, PATH)


def mistakes(text: str) -> list[str]:
    with pytest.raises(WrongSettings) as wrong:
        parsed(text)
    return [str(each) for each in wrong.value.mistakes]


def test_lines_of_each_kind_have_their_own_keys_and_defaults() -> None:
    settings, lines = parsed(GOOD)
    assert settings.node_name == "north.campus.test"
    assert settings.spool.records_max == 200_000
    can, tcp = lines
    assert isinstance(can, CanLineSettings)
    assert (can.interface, can.bitrate, can.load_percent) == ("socketcan", 250_000, 60)
    assert isinstance(tcp, TcpLineSettings)
    assert tcp.metered


def test_a_new_file_is_read_as_it_was_written_and_shows_every_kind_of_line() -> None:
    text = settings_text("north", "canteen-1", "127.0.0.1:7443", node_name="card.north.example")
    settings, lines = parsed(text)
    assert not lines
    assert settings.node_name == "card.north.example"
    shown = [line.removeprefix("# ") for line in text.split("# Its lines")[1].splitlines()[1:]]
    blocks = "\n".join(line for line in shown if line).replace('name = "can0"', "name = NAME")
    for number in range(4):
        blocks = blocks.replace("name = NAME", f'name = "line-{number}"', 1)
    _, lines = parsed(text + blocks)
    assert [line.kind for line in lines] == ["can", "serial", "tcp", "thin"]


def test_every_mistake_is_told_in_one_go_with_its_line() -> None:
    text = GOOD.replace('"can0"\nkind', '"Can 0"\nkind').replace("metered = true", "meterd = true")
    text = text.replace("10.1.0.5:7443", "10.1.0.5")
    told = mistakes(text)
    assert len(told) == 3
    assert "line 4: node = " in told[0]
    assert 'line 7: name = "Can 0" is no name' in told[1]
    assert told[2] == f"{PATH}, line 15: [line] has no key meterd. Did you mean metered?"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('kind = "tcp"', 'kind = "udp"'), "kind = udp is not one of can, serial, tcp, thin"),
        (('name = "tills"', 'name = "can0"'), "two lines have the name can0"),
        (('channel = "can0"\n', ""), "[line] lacks channel"),
        (("[[line]]", "[line]"), "[[line]]"),
        (('campus = "north"\n', ""), "[gateway] lacks campus"),
    ],
)
def test_each_mistake_says_what_to_change(change: tuple[str, str], told: str) -> None:
    text = (
        GOOD.replace(*change, 1)
        if change[0] != "[[line]]"
        else GOOD.split("[[line]]", maxsplit=1)[0] + "[line]\n"
    )
    assert told in "\n".join(mistakes(text))


def test_the_environment_goes_first_and_its_mistakes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_GATEWAY_SPOOL__RECORDS_MAX", "500")
    assert parsed(GOOD)[0].spool.records_max == 500
    monkeypatch.setenv("CAMPUS_GATEWAY_SPOOL__RECORDS_MAX", "5")
    (told,) = mistakes(GOOD)
    assert told.startswith("environment variable CAMPUS_GATEWAY_SPOOL__RECORDS_MAX: records_max = ")
    monkeypatch.delenv("CAMPUS_GATEWAY_SPOOL__RECORDS_MAX")
    monkeypatch.setenv("CAMPUS_GATEWAY_SPOOL__RECORD_MAX", "500")
    (told,) = mistakes(GOOD)
    assert "Did you mean CAMPUS_GATEWAY_SPOOL__RECORDS_MAX?" in told


def test_a_node_on_the_same_machine_leaves_a_gateways_variables_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAMPUS_GATEWAY_STATUS__LISTEN", "127.0.0.1:0")
    campus = parse_campus('[campus]\nname = "north"\nnumber = 1\n', Path("/etc/campus.toml"))
    assert campus.campus.name == "north"
