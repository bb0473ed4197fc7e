"""The messages of the REST interface: their shape only. What they may say is checked by `reports`."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from campus_node.devices.health import Health
from campus_node.devices.reports import (
    FIGURES_MAX,
    PLACE_CHARACTERS_MAX,
    REASON_CHARACTERS_MAX,
    REPORTS_MAX,
    SILENT_AFTER_S_MAX,
    DeviceReport,
    Figure,
)
from campus_node.wording import Sentence
from federation.errors import Unreadable

_LABEL: Final[dict[str, Any]] = {"pattern": "^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$", "maxLength": 63}
_HEALTHS: Final = {health.word: health for health in Health if health is not Health.UNSPECIFIED}
_INSTANT: Final[dict[str, Any]] = {"format": "date-time"}

# Limits stand in the description; they are enforced in one place for gRPC and REST, in `reports`.
Label = Annotated[str, Field(json_schema_extra=_LABEL)]
Instant = Annotated[str, Field(json_schema_extra=_INSTANT)]
HealthWord = Annotated[str, Field(json_schema_extra={"enum": list(_HEALTHS)})]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FigureMessage(_Message):
    """Something that a device measured."""

    name: str = Field(
        description="what, with the unit at its end, for example temperature_c",
        json_schema_extra={"pattern": "^[a-z0-9_]{1,63}$"},
    )
    value_thousandths: int = Field(description="how much, in thousandths of the unit")


class ReportMessage(_Message):
    """How one device is."""

    device: Label = Field(description="its name, unique among those of its kind", examples=["east-1"])
    kind: Label = Field(description="what it is", examples=["door-controller"])
    health: HealthWord = Field(description="how well it is")
    at: Instant = Field(
        description="when that was so, ISO 8601 with its time zone; at most 5 minutes ahead",
        examples=["2026-09-01T08:00:00+08:00"],
    )
    reason: str = Field(
        default="", description="why, for people", json_schema_extra={"maxLength": REASON_CHARACTERS_MAX}
    )
    silent_after_s: int = Field(
        default=0,
        description="after so long without a report it counts as silent; 0 = never",
        json_schema_extra={"minimum": 0, "maximum": SILENT_AFTER_S_MAX},
    )
    figures: list[FigureMessage] = Field(
        default=[], description="what it measured", json_schema_extra={"maxItems": FIGURES_MAX}
    )
    place: str = Field(
        default="",
        description="where it stands, for people",
        json_schema_extra={"maxLength": PLACE_CHARACTERS_MAX},
    )


class ReportsMessage(_Message):
    """Reports, taken all or none."""

    reports: list[ReportMessage] = Field(json_schema_extra={"minItems": 1, "maxItems": REPORTS_MAX})


class TakenMessage(_Message):
    """What became of reports."""

    taken: int = Field(description="how many were newer than what was known")


class ErrorMessage(_Message):
    """Why a call did not do what was asked."""

    name: str = Field(
        description="for programs",
        json_schema_extra={
            "enum": [
                "unreadable",
                "not_identified",
                "not_permitted",
                "not_found",
                "method_not_allowed",
                "too_slow",
                "refused",
                "too_large",
                "overloaded",
                "unavailable",
                "failed",
            ]
        },
    )
    message: str = Field(description="for people, in the language of Accept-Language: en or zh")
    retry_after_ms: int | None = Field(
        default=None, description="when it is worth to repeat; null = not at all"
    )


class ErrorAnswer(_Message):
    """The body of every answer that is not 200."""

    error: ErrorMessage


class DeviceOnLine(_Message):
    """A device on one of our lines."""

    address: int
    terminal_id: str = Field(description="12 hexadecimal digits; empty = nobody proved to be there")
    health: str
    reason: str
    since: Instant | None
    current: bool = Field(description="false = its gateway is not heard: all this is as it was last")
    heard_at: Instant | None
    # Whatever the fields of a terminal's report hold.
    report: dict[str, Any] = Field(description="what it said of itself last")


class LineMessage(_Message):
    """A line of a gateway."""

    line: str
    kind: str
    health: str
    reason: str
    since: Instant | None
    current: bool
    bitrate: int
    received: int
    broken: int
    forged: int
    devices: list[DeviceOnLine]


class GatewayMessage(_Message):
    """A gateway."""

    gateway: str
    health: str
    since: Instant | None
    attached: bool
    seen_at: Instant | None
    version: str
    spool_waiting: int
    spool_size: int
    lines: list[LineMessage]


class ReportedDevice(_Message):
    """A device of others, by its newest report."""

    device: str
    kind: str
    health: str = Field(description="silent once it is late, whatever it reported")
    since: Instant | None
    reported_health: str
    reason: str
    place: str
    at: Instant | None
    received_at: Instant | None
    silent_after_s: int
    figures: list[FigureMessage]
    reported_by: str = Field(description="name of the key")


class DevicesMessage(_Message):
    """Everything that is known."""

    at: Instant | None
    gateways: list[GatewayMessage]
    reported: list[ReportedDevice]


def reports_in(message: ReportsMessage) -> list[DeviceReport]:
    """Return the reports of a message; raise Unreadable if a time is none."""
    return [
        DeviceReport(
            told.device,
            told.kind,
            _HEALTHS.get(told.health, Health.UNSPECIFIED),
            _unix_ms(told.at, number),
            told.reason,
            told.silent_after_s,
            tuple(Figure(figure.name, figure.value_thousandths) for figure in told.figures),
            told.place,
        )
        for number, told in enumerate(message.reports)
    ]


def _unix_ms(text: str, number: int) -> int:
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return round(instant.timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    why = Sentence("its time must be ISO 8601 with a time zone, such as 2026-09-01T08:00:00+08:00")
    raise Unreadable(Sentence("report {number}: {why}", number=number, why=why))
