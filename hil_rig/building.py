"""A building of a campus: node, gateway, lines and senders, all of them real processes (B3, B4.1, B4.2).

campus/    the node, with a key store of its own
gateway/   the gateway
SEGMENT/   what the senders of one line durably know
"""

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from campus_node.database.connect import connect, writing
from campus_node.gateway.directory import GatewayDirectory
from campus_node.keys.hierarchy import Usage, campus_key
from campus_node.keys.sealed_file import SealedFile
from campus_node.keys.sealing import Cost
from campus_node.lines.counterpart import lend
from campus_node.pki.campus_pki import make_root_directory
from campus_node.pki.certificates import dns_names
from campus_node.purse.algorithm import Algorithm
from campus_node.registry.terminals import PsamKey, Terminal, register
from federation.clock import SystemClock
from federation.identity import Identity, Role
from hil_rig.campus import MERCHANTS, RigCampus
from hil_rig.gateway_process import GatewayProcess
from hil_rig.senders.order import SegmentLine, SegmentOrder, SenderOrder

GATEWAY: Final = "canteen"
ISSUER: Final = bytes.fromhex("4355434100000001")
SESSION_KEY: Final = bytes.fromhex("C8C8C8C8C8C8C8C81122334455667788")  # public: of the rig's PSAMs
PURCHASE_KEY: Final = bytes.fromhex("46DA0459B13DC36C98643A9705EAFC9F")  # public, as in the rig's profiles
TAC_KEY: Final = bytes.fromhex("50505050505050501122334455667788")  # likewise
PASSPHRASE: Final = "anybody may read this here"  # noqa: S105
QUICK: Final = Cost(memory_kib=64, iterations=1, lanes=1)
MODEL: Final = "sender-1"


@dataclass(frozen=True, slots=True)
class Segment:
    """One line of the building.

    Args:
        name: of the line.
        line: as the terminals see it.
        senders: how many hang on it.
        device: the head's pseudo-terminal; serial only.
    """

    name: str
    line: SegmentLine
    senders: int
    device: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """What the senders of a line do; see `SegmentOrder`."""

    records_each: int
    interval_s: float
    again: int = 0
    torn: int = 0


class Building:
    """One node, one gateway and terminals on lines. Nothing runs yet when it is made but the node.

    Args:
        directory: new.
        segments: its lines; the buses themselves are the caller's.
        database: URL of the node's; None = SQLite in its directory.
    """

    def __init__(self, directory: Path, segments: Sequence[Segment], database: str | None = None) -> None:
        self._clock = SystemClock()
        self._directory = directory
        root = directory / "root"
        make_root_directory(root, "rig", self._clock.unix_ms())
        self.campus = RigCampus(
            directory / "campus", "north", 1, root, people=0, terminals=0, database=database,
            environment={"CAMPUS_KEYS__STORE": "keys", "CAMPUS_KEYS__PASSPHRASE_FILE": "keys.passphrase"},
        )  # fmt: skip
        self.node = self.campus.node
        gateway = Identity("north", Role.GATEWAY, GATEWAY)
        self._gateway_name = dns_names(gateway, self.campus.domain)[0]
        self._make_keys()
        self.segments = tuple(segments)
        self.terminals = {
            segment.name: self._terminals(segment, 1000 * number)
            for number, segment in enumerate(self.segments, 1)
        }
        self._register()
        self.gateway_directory = directory / "gateway"
        self.gateway = GatewayProcess(self.gateway_directory)

    def __enter__(self) -> Self:
        """Start node and gateway."""
        self.node.start()
        self._make_gateway()
        self.gateway.start()
        return self

    def __exit__(self, *about: object) -> None:
        self.gateway.__exit__(None, None, None)
        self.node.__exit__(None, None, None)

    def order(self, segment: Segment, work: Work, seed: int) -> SegmentOrder:
        """Return what the senders of a line are told to do."""
        return SegmentOrder(
            str(self._directory / segment.name),
            self.line_of(segment),
            tuple(self.terminals[segment.name]),
            work.records_each,
            work.interval_s,
            seed,
            work.again,
            work.torn,
        )

    def line_of(self, segment: Segment) -> SegmentLine:
        """Return where the terminals of a line hang, with what they must know of the gateway."""
        line = segment.line
        if line.kind != "tcp":
            return line
        authority = str(self.campus.directory / "pki" / "campus.pem")
        return replace(line, server_name=self._gateway_name, authority=authority)

    def _make_keys(self) -> None:
        place = self.campus.directory
        store = SealedFile.create(place / "keys", ISSUER, PASSPHRASE, QUICK)
        for usage, value in (
            (Usage.PSAM_SESSION, SESSION_KEY), (Usage.PURCHASE, PURCHASE_KEY), (Usage.TAC, TAC_KEY),
        ):  # fmt: skip
            store.put(campus_key(usage, 1, Algorithm.TDES, ISSUER), value, self._clock)
        (place / "keys.passphrase").write_text(PASSPHRASE + "\n")

    def _terminals(self, segment: Segment, first: int) -> list[SenderOrder]:
        made = []
        for number in range(1, segment.senders + 1):
            serial = (first + number).to_bytes(10, "big")
            who = SenderOrder(
                name=f"{segment.name}-{number:03d}",
                address=0 if segment.line.kind == "tcp" else number,
                terminal_id=(first + number).to_bytes(6, "big").hex(),
                psam_serial=serial.hex(),
                session_key=lend(Algorithm.TDES, SESSION_KEY, serial).hex(),
            )
            if segment.line.kind == "tcp":
                certificate = self.campus.certify_terminal(who.name)
                who = replace(who, chain=certificate.chain, key=certificate.key)
            made.append(who)
        return made

    def _register(self) -> None:
        database = connect(self.campus.database_url)
        with writing(database) as connection:
            for segment in self.segments:
                for who in self.terminals[segment.name]:
                    terminal = Terminal(
                        terminal_id=bytes.fromhex(who.terminal_id),
                        name=who.name,
                        model=MODEL,
                        psam_serial=bytes.fromhex(who.psam_serial),
                        psam_key=PsamKey(who.usage, who.key_version, Algorithm.TDES),
                        gateway=GATEWAY,
                        merchant_account=MERCHANTS[0],
                        line=segment.name,
                        address=who.address,
                    )
                    register(connection, terminal, self._clock.unix_ms())
        database.dispose()

    def _make_gateway(self) -> None:
        place = GatewayDirectory(self._directory / "gateway")
        place.create(self.campus.directory, GATEWAY, self.node.address.target, self._clock.unix_ms())
        with (place.path / "gateway.toml").open("a", encoding="utf-8") as settings:
            for segment in self.segments:
                settings.write(_line_block(segment))


def _line_block(segment: Segment) -> str:
    """Return the [[line]] of gateway.toml."""
    line = segment.line
    said: dict[str, str | int] = {"name": segment.name, "kind": line.kind}
    match line.kind:
        case "can":
            said |= {"interface": "campus-broker", "channel": line.channel, "bitrate": line.rate}
        case "serial":
            said |= {"device": segment.device, "baud": line.rate}
        case "tcp":
            said["listen"] = line.channel
    return "\n[[line]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in said.items())


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
