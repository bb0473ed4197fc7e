"""What a [[line]] of gateway.toml may say, by its kind."""

from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from campus_node.settings_reading import Listen, Name, PathText, Section, Whole


class _Line(Section):
    name: Name = Field(description="what people call it; unique in this gateway", examples=["can0"])
    load_percent: Whole = Field(
        default=60, ge=1, le=100, description="how much of it a distribution may take", examples=[60]
    )


class CanLineSettings(_Line):
    """A CAN bus, through python-can."""

    kind: Literal["can"] = Field(description="can", examples=["can"])
    interface: str = Field(
        default="socketcan",
        description="python-can's: socketcan, slcan, pcan, campus-broker …",
        examples=["socketcan"],
    )
    channel: PathText = Field(
        description="interface's channel: can0, /dev/ttyACM0, a socket's path", examples=["can0"]
    )
    bitrate: Whole = Field(
        default=250_000, ge=10_000, le=1_000_000, description="bits a second", examples=[250_000]
    )
    uploads_open_max: Whole = Field(
        default=2, ge=1, le=16, description="how many terminals may send at once", examples=[2]
    )


class SerialLineSettings(_Line):
    """An RS-485 bus on a serial port."""

    kind: Literal["serial"] = Field(description="serial", examples=["serial"])
    load_percent: Whole = Field(
        default=80, ge=1, le=100, description="how much of it a distribution may take", examples=[80]
    )
    device: PathText = Field(description="the port", examples=["/dev/ttyUSB0"])
    baud: Whole = Field(
        default=115_200, ge=9_600, le=500_000, description="bits a second", examples=[115_200]
    )
    direction: Literal["adapter", "kernel", "rts"] = Field(
        default="adapter",
        description="who turns the transceiver round: adapter, kernel or rts",
        examples=["adapter"],
    )


class TcpLineSettings(_Line):
    """Terminals that call over TCP with TLS."""

    kind: Literal["tcp"] = Field(description="tcp", examples=["tcp"])
    listen: Listen = Field(description="HOST:PORT; port 0 = a free one", examples=["127.0.0.1:7444"])
    metered: bool = Field(
        default=False, description="bytes cost: batch what is not urgent", examples=["false"]
    )


class ThinLineSettings(_Line):
    """Radio of the Zigbee class, whose module serves a socket on this machine."""

    kind: Literal["thin"] = Field(description="thin", examples=["thin"])
    socket: PathText = Field(description="the radio module's socket", examples=["/run/radio.sock"])


LineSettings = CanLineSettings | SerialLineSettings | TcpLineSettings | ThinLineSettings
KINDS: Final[dict[str, type[LineSettings]]] = {
    "can": CanLineSettings,
    "serial": SerialLineSettings,
    "tcp": TcpLineSettings,
    "thin": ThinLineSettings,
}


def resolved(directory: Path, text: str) -> Path:
    """Return a path that a setting names, relative to the gateway's directory."""
    return directory / text
