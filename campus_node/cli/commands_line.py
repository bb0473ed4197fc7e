"""`campus line`: what goes over a line, and who is on it."""

from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campus_node.cli.everywhere import Everywhere
from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table, columns_of
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence
from federation.errors import Misconfigured

if TYPE_CHECKING:
    from campus_node.lines.can.port import Setting
    from campus_node.lines.monitor.scan import Place

Interface = Annotated[
    str,
    typer.Option(
        "--interface",
        "-i",
        metavar="NAME",
        help="CAN controller, as python-can names it: socketcan, slcan, pcan, …",
    ),
]
Channel = Annotated[
    str,
    typer.Option("--channel", "-c", metavar="NAME", help="Which one: can0, /dev/ttyACM0, PCAN_USBBUS1, …"),
]
Bitrate = Annotated[
    int, typer.Option("--bitrate", metavar="N", min=10_000, max=1_000_000, help="Of the CAN bus, bit/s.")
]
More = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Another setting of that controller; repeatable."),
]
Device = Annotated[
    str, typer.Option("--device", "-d", metavar="PATH", help="Serial port of an RS-485 line instead.")
]
Baud = Annotated[
    int, typer.Option("--baud", metavar="N", min=9_600, max=500_000, help="Of the RS-485 line, bit/s.")
]
LeasesOf = Annotated[
    Path | None,
    typer.Option("--leases", metavar="DIR", help="A gateway's directory: its keys open what is sealed."),
]
SERIAL_RATES: Final = (9_600, 19_200, 38_400, 57_600, 115_200)


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(
        app,
        "line",
        "The lines to the terminals: watch, search.",
        "campus line monitor --interface socketcan --channel can0",
        "campus line scan --device /dev/ttyUSB0",
    )
    command(
        sub,
        "monitor",
        monitor,
        "campus line monitor --interface socketcan --channel can0 --frames",
        "campus line monitor --device /dev/ttyUSB0 --baud 115200 --seconds 10",
        "campus line monitor capture.blf --leases /srv/gateway --json",
    )
    command(
        sub,
        "scan",
        scan,
        "campus line scan --interface slcan --channel /dev/ttyACM0 --seconds 10",
        "campus line scan --device /dev/ttyUSB0 --all-rates --json",
    )


def monitor(
    context: typer.Context,
    capture: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A capture instead of a line: .log (candump), .blf, .asc."),
    ] = None,
    interface: Interface = "",
    channel: Channel = "",
    bitrate: Bitrate = 250_000,
    more: More = None,
    device: Device = "",
    baud: Baud = 115_200,
    leases: LeasesOf = None,
    psam_key: Annotated[
        Path | None,
        typer.Option(
            "--psam-key",
            metavar="FILE",
            help="For tests: the session key of one PSAM, 32 hexadecimal digits.",
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="FILE", help="Record the CAN frames: .log (candump) or .blf."),
    ] = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="Show every frame, not only what is whole.")
    ] = False,
    open_asn: Annotated[bool, typer.Option("--show-asn", help="Show card numbers whole.")] = False,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", min=1, help="Stop after so many frames.")
    ] = None,
    seconds: Annotated[
        int | None, typer.Option("--seconds", metavar="N", min=1, help="Stop after so many seconds.")
    ] = None,
) -> Report:
    """Say in words what goes over a line, or what a capture holds. It only listens.

    With keys it opens what is sealed in sessions whose beginning it heard. --json prints an object for each
    frame and message, then a summary. Ctrl-C ends it with the summary.
    """
    everywhere = context.obj
    assert isinstance(everywhere, Everywhere)
    _demand_one(capture, interface, channel, device)
    from campus_node.cli.line_view import LineView, Source

    if write is not None and device:
        raise WrongUsage(Sentence("--write records CAN frames; there are none on an RS-485 line"))
    if write is not None and write.suffix.lower() not in {".log", ".blf"}:
        raise WrongUsage(Sentence("--write {path}: its name must end in .log or .blf", path=write))
    if leases is not None and psam_key is not None:
        raise WrongUsage(Sentence("--leases and --psam-key: one of the two"))
    source = Source(capture, interface, channel, bitrate, settings_of(more), device, baud, count, seconds)
    view = LineView(everywhere, frames=frames, open_asn=open_asn, write=write)
    return view.run(source, leases, psam_key)


def scan(
    interface: Interface = "",
    channel: Channel = "",
    bitrate: Bitrate = 250_000,
    more: More = None,
    device: Device = "",
    baud: Baud = 115_200,
    all_rates: Annotated[
        bool, typer.Option("--all-rates", help="RS-485: ask at every rate from 9600 to 115200.")
    ] = False,
    addresses: Annotated[
        str, typer.Option("--addresses", metavar="FIRST-LAST", help="RS-485: whom to ask, 1 to 254.")
    ] = "1-254",
    slack_ms: Annotated[
        int | None,
        typer.Option(
            "--slack-ms",
            metavar="N",
            min=0,
            max=5000,
            help="RS-485: how much longer to wait for a slow adapter; else as the device needs it.",
        ),
    ] = None,
    leases: Annotated[
        Path | None,
        typer.Option("--leases", metavar="DIR", help="A gateway's directory: it knows the terminals' names."),
    ] = None,
    seconds: Annotated[
        int, typer.Option("--seconds", metavar="N", min=1, max=3600, help="CAN: how long to listen.")
    ] = 5,
) -> Report:
    """List who is on a line, and who shares an address. Fails if two share one.

    A CAN bus is only listened to. On RS-485 each address is asked: no gateway may use the line meanwhile.
    Ctrl-C ends it with what was found.
    """
    _demand_one(None, interface, channel, device)
    from campus_node.lines.monitor.keys import names_of

    names = {} if leases is None else names_of(leases)
    if device:
        slack_s = None if slack_ms is None else slack_ms / 1000
        rates = SERIAL_RATES if all_rates else (baud,)
        places = _ask(device, parse_addresses(addresses), rates, slack_s)
    else:
        places = _hear(interface, channel, bitrate, settings_of(more), seconds)
    return _report(places, names)


def _hear(
    interface: str, channel: str, bitrate: int, more: "dict[str, Setting]", seconds: int
) -> "list[Place]":
    from campus_node.lines.monitor.scan import CanScan
    from campus_node.lines.monitor.watch import Enough, listen, open_bus
    from federation.clock import SystemClock

    heard = CanScan()
    with open_bus(interface, channel, bitrate, more) as bus, suppress(KeyboardInterrupt):
        for message in listen(bus, SystemClock(), Enough(seconds=seconds)):
            heard.take(message)
    return heard.places


def _ask(device: str, addresses: range, rates: tuple[int, ...], slack_s: float | None) -> "list[Place]":
    from campus_node.lines.monitor.scan import SerialScan
    from campus_node.lines.serial.serial_port import SerialDevice
    from federation.clock import SystemClock

    port = SerialDevice(device, rates[0], slack_s=slack_s)
    found: list[Place] = []
    with closing(port), suppress(KeyboardInterrupt):
        for _, _, place in SerialScan(port, SystemClock()).run(addresses, rates):
            found += [] if place is None else [place]
    return found


def _report(places: "list[Place]", names: dict[str, str]) -> Report:
    from campus_node.lines.monitor.seen import shown_address

    rows: list[list[str | Sentence]] = []
    content = []
    for place in places:
        known = sorted({names[one] for one in place.terminal_ids | place.serials if one in names})
        rows.append(
            [
                shown_address(place.address),
                str(place.baud or "-"),
                ", ".join(sorted(place.serials)) or "-",
                ", ".join(sorted(place.terminal_ids)) or "-",
                ", ".join(known) or "-",
                str(place.frames),
                Sentence("two share it") if place.conflict else Sentence("well"),
            ]
        )
        content.append(
            {
                "address": place.address,
                "baud": place.baud,
                "serials": sorted(place.serials),
                "terminal_ids": sorted(place.terminal_ids),
                "names": known,
                "frames": place.frames,
                "conflict": place.conflict,
            }
        )
    conflicts = [place.address for place in places if place.conflict]
    heads = columns_of(
        "address",
        "bit/s",
        "serial numbers",
        "terminal",
        "name",
        "frames",
        "verdict",
        right={"bit/s", "frames"},
    )
    told = Sentence("{count} are on this line.", count=len(places))
    return Report(
        {"places": content, "conflicts": conflicts}, [Table(heads, rows), told], holds=not conflicts
    )


def _demand_one(capture: Path | None, interface: str, channel: str, device: str) -> None:
    if not all(find_spec(name) for name in ("can", "cantools", "serial")):
        raise Misconfigured(
            Sentence("python-can, cantools or pyserial is missing: pip install 'campuscard[lines]'")
        )
    if bool(capture) + bool(interface) + bool(device) != 1:
        raise WrongUsage(Sentence("name one line: --interface and --channel, or --device; or a capture"))
    if bool(interface) != bool(channel):
        raise WrongUsage(Sentence("--interface needs --channel, and the other way round"))


def settings_of(more: list[str] | None) -> "dict[str, Setting]":
    """Return NAME=VALUE pairs with whole numbers and truth values as such. Raise WrongUsage."""
    settings: dict[str, Setting] = {}
    for each in more or ():
        name, equals, text = each.partition("=")
        if not name or not equals:
            raise WrongUsage(Sentence("--set {text}: write NAME=VALUE", text=each))
        truth = {"true": True, "false": False}.get(text.lower())
        settings[name] = (
            truth if truth is not None else int(text) if text.isascii() and text.isdigit() else text
        )
    return settings


def parse_addresses(text: str) -> range:
    """Return the addresses FIRST-LAST, or one. Raise WrongUsage unless they are 1 to 254."""
    first, dash, last = text.partition("-")
    try:
        found = range(int(first), int(last if dash else first) + 1)
    except ValueError:
        found = range(0)
    if not found or found[0] < 1 or found[-1] > 254:
        raise WrongUsage(Sentence("--addresses {text}: write FIRST-LAST, from 1 to 254", text=text))
    return found
