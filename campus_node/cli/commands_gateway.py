"""`campus gateway`: the machine of a building between its terminals and the node."""

import json
import urllib.request
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer

from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table, columns_of
from campus_node.wording import Sentence

STATUS_WITHIN_S: Final = 5.0

GatewayPath = Annotated[Path, typer.Argument(metavar="DIR", help="The gateway's directory.")]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(
        app,
        "gateway",
        "Between the terminals of a building and the node.",
        "campus gateway run canteen",
    )
    command(
        sub,
        "init",
        init_gateway,
        "campus gateway init canteen --campus-directory north --name canteen-1",
        "campus gateway init canteen -C north --name canteen-1 --node 10.1.0.5:7443",
    )
    command(
        sub,
        "run",
        run_gateway,
        "campus gateway run canteen",
        "CAMPUS_GATEWAY_STATUS__LISTEN=127.0.0.1:0 campus gateway run canteen",
    )
    command(
        sub,
        "status",
        show_status,
        "campus gateway status canteen",
        "campus gateway status canteen --devices --json",
    )


def init_gateway(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty directory.")],
    campus_directory: Annotated[
        Path,
        typer.Option("--campus-directory", "-C", metavar="DIR", help="The campus, with its authority's key."),
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the gateway, a DNS label.")],
    node: Annotated[
        str, typer.Option("--node", metavar="HOST:PORT", help="Where the node is; else where it listens.")
    ] = "",
) -> Report:
    """Make a new gateway: its certificate from the campus, settings with an example of each kind of line.

    All of it is made or nothing; a directory that is not empty is left alone.
    """
    from campus_node.gateway.directory import GatewayDirectory
    from federation.clock import SystemClock

    place = GatewayDirectory(directory)
    settings = place.create(campus_directory, name, node, SystemClock().unix_ms())
    content = {
        "directory": str(place.path),
        "campus": settings.gateway.campus,
        "gateway": f"campuscard://{settings.gateway.campus}/gateway/{name}",
        "node": settings.gateway.node,
    }
    return Report(
        content,
        [
            Sentence("Gateway {name} is ready in {directory}.", name=name, directory=place.path),
            "",
            Sentence("Next:"),
            Sentence("  name its lines in:  {path}", path=place.path / "gateway.toml"),
            Sentence("  start it:           campus gateway run {directory}", directory=directory),
            Sentence("  look at it:         campus gateway status {directory}", directory=directory),
        ],
    )


def run_gateway(directory: GatewayPath = Path()) -> int:
    """Run a gateway until TERM or Ctrl-C; it makes durable and answers what came in, and stops.

    The ports it bound stand in run/ports.json once it is ready.
    """
    from campus_node.gateway.process import run

    return run(directory)


def show_status(
    directory: GatewayPath = Path(),
    devices: Annotated[bool, typer.Option("--devices", help="Also what hangs on its lines.")] = False,
) -> Report:
    """Show a running gateway: its link to the node, its spool, its lines and what hangs on them.

    It holds while the node is there and every line is open.
    """
    from campus_node.gateway.directory import GatewayDirectory
    from federation.errors import Unavailable

    place = GatewayDirectory(directory)
    port = place.ports().status
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=STATUS_WITHIN_S) as answer:
            content = cast("dict[str, Any]", json.load(answer))  # its own words, see gateway/figures.py
    except (OSError, ValueError) as error:
        raise Unavailable(
            Sentence("the gateway of {directory} does not answer: {cause}", directory=directory, cause=error)
        ) from error
    link, spool, lines = content["link"], content["spool"], content["lines"]
    shown: list[Sentence | Table | str] = [
        Sentence("The node is there: {node}.", node=link["node"])
        if link["up"]
        else Sentence("The node is out of reach: {why}", why=link["last_failure"] or link["node"]),
        Sentence(
            "{waiting} of {size} records wait for the node; {terminals} terminals belong here.",
            waiting=spool["waiting"],
            size=spool["size"],
            terminals=content["terminals"],
        ),
        "",
        Table(
            columns_of(
                "line", "kind", "health", "sessions", "received", "broken", "forged", "reason",
                right=("sessions", "received", "broken", "forged"), spare=("reason",),
            ),
            [
                [
                    line["line"], line["kind"], _health(line["health"]), str(line["sessions"]),
                    str(line["received"]), str(line["broken"]), str(line["forged"]), line["reason"],
                ]
                for line in lines
            ],
            Sentence("No line is set: see gateway.toml."),
        ),
    ]  # fmt: skip
    if devices:
        shown += ["", _devices(lines)]
    holds = bool(link["up"]) and all(line["open"] for line in lines)
    return Report(content, shown, holds=holds)


def _devices(lines: list[dict[str, Any]]) -> Table:
    return Table(
        columns_of("line", "address", "terminal", "health", "last record", "reason",
                   right=("address", "last record"), spare=("reason",)),
        [
            [line["line"], str(device["address"]), device["terminal"], _health(device["health"]),
             str(device["last_seq"]), device["reason"]]
            for line in lines
            for device in line["devices"]
        ],
        Sentence("Nothing was heard on any line."),
    )  # fmt: skip


def _health(name: str) -> Sentence:
    return {
        "well": Sentence("well"),
        "degraded": Sentence("degraded"),
        "failed": Sentence("failed"),
        "silent": Sentence("silent"),
        "isolated": Sentence("isolated"),
    }.get(name, Sentence("unknown"))
