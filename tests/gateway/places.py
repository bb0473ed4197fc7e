"""A campus, a gateway of it, and terminals with PSAMs that it knows: what tests of a whole gateway need."""

from collections.abc import Iterable
from pathlib import Path

from campus_node.campus_directory import CampusDirectory, NewCampus
from campus_node.gateway.directory import GatewayDirectory
from campus_node.keys.lending import seal_lease
from campus_node.lines.counterpart import LeasedKey
from campus_node.purse.algorithm import Algorithm
from campuscard.v1 import gateway_pb2 as pb
from federation.clock import SystemClock
from hil_rig.senders.order import SenderOrder

DAY_MS = 86_400_000


def make_campus(directory: Path) -> Path:
    CampusDirectory(directory / "north").create(NewCampus("north"), SystemClock().unix_ms())
    return directory / "north"


def make_gateway(campus: Path, node_port: int, lines: Iterable[str], name: str = "canteen") -> Path:
    """Return the directory of a new gateway with these [[line]] blocks."""
    place = GatewayDirectory(campus.parent / name)
    place.create(campus, name, f"127.0.0.1:{node_port}", SystemClock().unix_ms())
    with (place.path / "gateway.toml").open("a", encoding="utf-8") as file:
        file.write("\n" + "\n".join(f"[[line]]\n{line}\n" for line in lines))
    return place.path


def can_line(name: str, socket: Path, bitrate: int = 250_000) -> str:
    return (
        f'name = "{name}"\nkind = "can"\ninterface = "campus-broker"\nchannel = "{socket}"\n'
        f"bitrate = {bitrate}"
    )


def roll_of(
    gateway: Path, terminals: Iterable[SenderOrder], version: int = 1, *, days: int = 30
) -> pb.NodeToGateway:
    """Return the roll of these terminals, their keys sealed to the gateway's certificate."""
    certificate = (gateway / "pki" / "gateway.pem").read_bytes()
    roll = pb.TerminalRoll(version=version)
    for each in terminals:
        lease = LeasedKey(
            bytes.fromhex(each.terminal_id), each.usage, each.key_version, Algorithm.TDES,
            bytes.fromhex(each.session_key), SystemClock().unix_ms() + days * DAY_MS,
        )  # fmt: skip
        serial = bytes.fromhex(each.psam_serial)
        roll.terminals.add(
            terminal_id=lease.terminal_id,
            name=each.name,
            model="till-1",
            psam_serial=serial,
            sealed_key=seal_lease(lease, serial, certificate),
        )
    return pb.NodeToGateway(roll=roll)
