"""`campus device`: how gateways, lines and devices are, and the keys under which devices of others report."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campus_node.cli.arguments import Directory, OperatorName, Why, required_text, shown_instant
from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table, columns_of
from campus_node.wording import Sentence
from federation.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from campus_node.devices.health import Health
    from campus_node.devices.topology import Topology
    from campus_node.operators.audit import Actor, AuditedChange

Cell = str | Sentence

KeyName = Annotated[str, typer.Argument(metavar="NAME", help="The key: 1 to 63 of a-z, 0-9 and hyphen.")]
Subject = Annotated[
    str, typer.Argument(metavar="NAME", help="GATEWAY, GATEWAY/LINE, GATEWAY/LINE/ADDRESS or KIND/DEVICE.")
]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(
        app, "device", "Gateways, lines and devices, and how they are.", "campus device list -C north"
    )
    command(
        sub,
        "list",
        list_devices,
        "campus device list -C north",
        "campus device list --unwell -C north --json",
    )
    command(
        sub,
        "show",
        show_device,
        "campus device show canteen/can0/17 -C north",
        "campus device show door-controller/east-1 -C north --json",
    )
    command(
        sub,
        "forget",
        forget_device,
        "campus device forget door-controller/east-1 --operator alice --reason 'sold' -C north",
    )
    keys = group(
        sub,
        "key",
        "Keys under which devices of others report.",
        "campus device key list -C north",
    )
    command(
        keys,
        "create",
        create,
        "campus device key create doors --kind door-controller --operator alice --reason 'gates' -C north",
        "campus device key create wall --read --operator alice --reason 'screen in the office' -C north",
    )
    command(keys, "list", list_keys, "campus device key list -C north")
    command(
        keys,
        "revoke",
        revoke,
        "campus device key revoke doors --operator alice --reason 'gates sold' -C north",
    )


def list_devices(
    unwell: Annotated[bool, typer.Option("--unwell", help="Only what is not well.")] = False,
    directory: Directory = Path(),
) -> Report:
    """List gateways, their lines and devices, and devices of others, with how they are."""
    from campus_node.devices.health import SAID, Health
    from campus_node.devices.topology import topology_json

    topology = _read(directory)
    rows: list[list[Cell]] = []
    for name, kind, health, why, heard_at_unix_ms in _everything(topology):
        if not (unwell and health is Health.WELL):
            heard = shown_instant(heard_at_unix_ms) if heard_at_unix_ms else ""
            rows.append([name, kind, SAID[health], why, heard])
    columns = columns_of("name", "kind", "health", "why", "last heard, UTC", spare={"why", "kind"})
    nothing = Sentence("Everything is well.") if unwell else Sentence("Nothing is known of any device yet.")
    return Report(topology_json(topology), [Table(columns, rows, nothing)])


def show_device(name: Subject, directory: Directory = Path()) -> Report:
    """Show one gateway, line or device with all that is known of it."""
    from campus_node.devices.topology import find_json

    content = find_json(_read(directory), name)
    if content is None:
        raise NotFound(Sentence("nothing is known of {subject}", subject=name))
    rows = [[field, shown] for field, shown in _flat("", content)]
    return Report(content, [Table(columns_of("field", "value"), rows)])


def forget_device(
    name: Subject, operator: OperatorName, reason: Why, directory: Directory = Path()
) -> Report:
    """Take a gateway or a device of others off the list, with its alarms, because it was removed for good.

    A gateway that still runs is back at once; revoke its certificate first.
    """
    from campus_node.devices.board import forget

    with _changing(directory, operator, reason) as (change, actor, why):
        forget(change.connection, name, change.now_unix_ms)
        change.record(actor, "device.forget", name, why)
    return Report({"name": name, "forgotten": True}, [Sentence("{name} is forgotten.", name=name)])


def create(
    name: KeyName,
    operator: OperatorName,
    reason: Why,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="A kind of device that it may report; may be repeated."),
    ] = None,
    read: Annotated[
        bool, typer.Option("--read", help="It may also read how everything on this campus is.")
    ] = False,
    directory: Directory = Path(),
) -> Report:
    """Make a key for devices of others. It is shown this once: only a hash of it is kept."""
    from campus_node.devices.keys import create_key

    with _changing(directory, operator, reason) as (change, actor, why):
        key = create_key(change, actor, name, kind or [], reads=read, why=why)
    told = Sentence("This is the key; it is never shown again:")
    return Report({"name": name, "key": key, "kinds": sorted(set(kind or [])), "reads": read}, [told, key])


def list_keys(directory: Directory = Path()) -> Report:
    """List the keys, revoked ones too."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.devices.keys import all_keys

    with opened(directory) as office, reading(office.db) as connection:
        keys = all_keys(connection)
    rows: list[list[Cell]] = [
        [
            key.key,
            ", ".join(key.kinds),
            Sentence("yes") if key.reads else Sentence("no"),
            key.created_by,
            shown_instant(key.created_at_unix_ms),
            Sentence("in force") if key.revoked_at_unix_ms is None else Sentence("revoked"),
        ]
        for key in keys
    ]
    content = {
        "keys": [
            {
                "name": key.key,
                "kinds": list(key.kinds),
                "reads": key.reads,
                "created_by": key.created_by,
                "created_at": shown_instant(key.created_at_unix_ms),
                "revoked": key.revoked_at_unix_ms is not None,
            }
            for key in keys
        ]
    }
    columns = columns_of(
        "name", "may report", "may read", "made by", "made, UTC", "state", spare={"made by", "made, UTC"}
    )
    empty = Sentence("There is no key yet: campus device key create NAME --kind KIND")
    return Report(content, [Table(columns, rows, empty)])


def revoke(name: KeyName, operator: OperatorName, reason: Why, directory: Directory = Path()) -> Report:
    """Let a key do nothing any more; a running node refuses it within seconds. Its name stays taken."""
    from campus_node.devices.keys import revoke_key

    with _changing(directory, operator, reason) as (change, actor, why):
        revoke_key(change, actor, name, why)
    return Report({"name": name, "revoked": True}, [Sentence("Key {name} is revoked.", name=name)])


@contextmanager
def _changing(directory: Path, operator: str, reason: str) -> "Iterator[tuple[AuditedChange, Actor, str]]":
    from campus_node.cli.office import opened
    from campus_node.operators.audit import auditing
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import require_permission

    why = required_text(reason, "--reason")
    with opened(directory) as office, auditing(office.db, office.clock) as change:
        require_permission(change.connection, operator, Permission.DEVICE_WRITE, office.campus_scope)
        yield change, office.actor(operator), why


def _read(directory: Path) -> "Topology":
    from campus_node.cli.office import opened
    from campus_node.devices.board import DeviceBoard

    with opened(directory) as office:
        now_unix_ms = office.clock.unix_ms()
        return DeviceBoard(office.db, now_unix_ms).all(now_unix_ms)


def _everything(topology: "Topology") -> "Iterator[tuple[str, str, Health, str, int]]":
    """Go through all as name, kind, health, why, when last heard; what is out of sight is unknown."""
    from campus_node.devices.health import Health

    for gateway in topology.gateways:
        yield gateway.gateway, "gateway", gateway.health, "", gateway.seen_at_unix_ms
        for line in gateway.lines:
            health = line.health if line.current else Health.UNSPECIFIED
            yield f"{line.gateway}/{line.line}", line.kind, health, line.reason, 0
            for device in line.devices:
                health = device.health if device.current else Health.UNSPECIFIED
                yield device.subject, device.terminal_id, health, device.reason, device.heard_at_unix_ms
    for each in topology.reported:
        report = each.report
        yield report.subject, report.kind, each.health, report.reason, report.at_unix_ms


def _flat(before: str, content: object) -> "Iterator[tuple[str, str]]":
    match content:
        case dict():
            for name, each in content.items():
                yield from _flat(f"{before}.{name}" if before else str(name), each)
        case list():
            for number, each in enumerate(content):
                yield from _flat(f"{before}.{number}", each)
        case _:
            yield before, "" if content is None else str(content)
