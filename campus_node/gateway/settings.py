"""Settings of a gateway: `gateway.toml` in its directory, overridden by `CAMPUS_GATEWAY_<SECTION>__<KEY>`.

All that is wrong is reported in one go, as in a campus's settings. Lines stand in [[line]] blocks, which the
environment does not touch.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, ValidationError, create_model

from campus_node import settings_checks as checks
from campus_node.gateway.settings_lines import KINDS, LineSettings
from campus_node.settings import default_domain
from campus_node.settings_mistakes import WrongSettings, mistakes_in_values
from campus_node.settings_reading import (
    FileSettings,
    Listen,
    LogSection,
    Name,
    PathText,
    Section,
    Whole,
    check_environment,
    read_text,
    settings_of,
    values_in,
)
from campus_node.wording import Sentence

FILE_NAME: Final = "gateway.toml"
ENVIRONMENT_PREFIX: Final = "CAMPUS_GATEWAY_"
LINES_MAX: Final = 32


class GatewaySettings(Section):
    """Who this gateway is, and where its node is."""

    campus: Name = Field(description="the campus's name", examples=["north"])
    name: Name = Field(description="a DNS label; stands in its certificate", examples=["canteen-1"])
    node: Listen = Field(description="HOST:PORT of the node's gRPC API", examples=["127.0.0.1:7443"])
    node_name: Annotated[str, AfterValidator(checks.domain)] = Field(
        default="",
        validate_default=False,
        description="DNS name in the node's certificate; empty = <campus>.campus.test",
        examples=["card.north.example"],
    )


class PkiSettings(Section):
    """Certificates; paths are relative to this directory."""

    root: PathText = Field(default="pki/root.pem", description="the scheme's root", examples=["pki/root.pem"])
    campus_ca: PathText = Field(
        default="pki/campus.pem", description="what issues this campus's leaves", examples=["pki/campus.pem"]
    )
    crl: PathText = Field(
        default="pki/campus.crl.pem", description="what it revoked", examples=["pki/campus.crl.pem"]
    )
    certificate: PathText = Field(
        default="pki/gateway.pem",
        description="the gateway's leaf, then campus_ca",
        examples=["pki/gateway.pem"],
    )
    key: PathText = Field(
        default="pki/gateway.key", description="its private key", examples=["pki/gateway.key"]
    )


class SpoolSettings(Section):
    """What waits for the node."""

    path: PathText = Field(
        default="spool/spool.sqlite",
        description="on a disk that keeps what it was told to keep",
        examples=["spool/spool.sqlite"],
    )
    records_max: Whole = Field(
        default=200_000,
        ge=64,
        le=10_000_000,
        description="room; 600 bytes a record on the disk",
        examples=[200_000],
    )


class StatusSettings(Section):
    """GET /status, /metrics and /healthz."""

    listen: Listen = Field(
        default="127.0.0.1:9465", description="HOST:PORT; port 0 = a free one", examples=["127.0.0.1:9465"]
    )


class LogSettings(LogSection):
    """What the gateway writes about itself."""


class Settings(FileSettings, env_prefix=ENVIRONMENT_PREFIX):
    """All settings of one gateway but its lines, checked."""

    gateway: GatewaySettings
    pki: PkiSettings = PkiSettings()
    spool: SpoolSettings = SpoolSettings()
    status: StatusSettings = StatusSettings()
    log: LogSettings = LogSettings()

    @property
    def node_name(self) -> str:
        """The DNS name that the node's certificate must carry."""
        return self.gateway.node_name or default_domain(self.gateway.campus)


def load_settings(directory: Path) -> tuple[Settings, tuple[LineSettings, ...]]:
    """Return the settings and the lines of the gateway in a directory.

    Raises:
        Misconfigured: no such file, no TOML, or at least one wrong value; lists all of them.
    """
    path = directory / FILE_NAME
    absent = Sentence(
        "{directory} holds no gateway: {name} is not there. "
        "Make one with: campus gateway init {directory} --campus-directory CAMPUS --name NAME",
        directory=path.parent,
        name=path.name,
    )
    return parse_settings(read_text(path, absent), path)


def parse_settings(text: str, path: Path) -> tuple[Settings, tuple[LineSettings, ...]]:
    """Return the settings and the lines that the text of a gateway.toml and the environment give.

    Args:
        text: TOML.
        path: where the text is, for messages.

    Raises:
        Misconfigured: no TOML, or at least one wrong value; lists all of them.
    """
    values = values_in(text, path)
    check_environment(Settings)
    mistakes: list[Sentence] = []
    blocks = values.pop("line", [])
    settings = None
    try:
        settings = settings_of(Settings, values, text, path)
    except WrongSettings as error:
        mistakes += error.mistakes
    lines, wrong = _lines(blocks, path, text)
    mistakes += wrong
    if mistakes or settings is None:
        raise WrongSettings(mistakes)
    return settings, lines


def _lines(blocks: object, path: Path, text: str) -> tuple[tuple[LineSettings, ...], list[Sentence]]:
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return (), [Sentence("{path}: lines stand in blocks that begin with [[line]]", path=path)]
    lines: list[LineSettings] = []
    mistakes: list[Sentence] = []
    if len(blocks) > LINES_MAX:
        mistakes.append(Sentence("{path}: at most {most} lines, not {count}", path=path, most=LINES_MAX,
                                 count=len(blocks)))  # fmt: skip
    for number, block in enumerate(blocks):
        kind = block.get("kind")
        model = KINDS.get(kind) if isinstance(kind, str) else None
        if model is None:
            mistakes.append(
                Sentence(
                    "{path}, line {line}: kind = {kind} is not one of {choices}",
                    path=path,
                    line=_starts(text)[number],
                    kind=kind,
                    choices=", ".join(KINDS),
                )
            )
            continue
        try:
            lines.append(model(**block))
        except ValidationError:
            mistakes += _mistakes_of(model, block, number, path, text)
    names = [line.name for line in lines]
    mistakes += [
        Sentence("{path}: two lines have the name {name}", path=path, name=name)
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    return tuple(lines), mistakes


def _mistakes_of(
    model: type[LineSettings], block: dict[str, Any], number: int, path: Path, text: str
) -> list[Sentence]:
    """Return what is wrong with one block, as if it were the only section of that name."""
    schema = create_model("OneLine", line=(model, ...))
    starts = _starts(text)
    ends = [*starts[1:], len(text.splitlines()) + 1]
    kept = range(starts[number], ends[number])
    alone = "\n".join(line if at in kept else "" for at, line in enumerate(text.splitlines(), start=1))
    try:
        schema(line=block)
    except ValidationError as error:
        return mistakes_in_values(schema, error, path, alone, {}, ENVIRONMENT_PREFIX)
    raise AssertionError("unreachable: the block was refused a moment ago")


def _starts(text: str) -> list[int]:
    """Return the numbers of the lines, from 1, on which [[line]] blocks begin."""
    return [
        number
        for number, line in enumerate(text.splitlines(), start=1)
        if re.match(r"\s*\[\[\s*line\s*\]\]", line)
    ] or [1]
