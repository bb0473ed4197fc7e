"""A gateway on disk: where its files are, and how a new one is made (A10, A18).

gateway.toml          settings and lines
pki/                  its certificate and key, the campus's authority, what that revoked, the scheme's root
spool/                what waits for the node, what the node said, session numbers
run/ports.json        written when it is ready: process id and ports; removed when it stops
"""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from campus_node.campus_directory import CampusDirectory
from campus_node.gateway.settings import FILE_NAME, Settings, load_settings, parse_settings
from campus_node.gateway.settings_lines import LineSettings
from campus_node.gateway.settings_text import settings_text
from campus_node.pki import files
from campus_node.process_life import born_ticks, is_alive
from campus_node.wording import Sentence
from federation.errors import Misconfigured, Unavailable
from federation.identity import Identity, Role, is_name

_FOLDERS: Final = ("pki", "spool", "run", "log")


@dataclass(frozen=True, slots=True)
class GatewayPorts:
    """Where a running gateway listens.

    Args:
        pid: its process.
        status: port of /status, /metrics and /healthz.
        tcp: ports of its TCP lines, by name.
    """

    pid: int
    status: int
    tcp: dict[str, int] = field(default_factory=dict)


class GatewayDirectory:
    """The files of one gateway.

    Args:
        path: its directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def settings(self) -> tuple[Settings, tuple[LineSettings, ...]]:
        """Return its settings and lines; raise Misconfigured."""
        return load_settings(self.path)

    def create(self, campus_directory: Path, name: str, node: str, now_unix_ms: int) -> Settings:
        """Make a new gateway: all of it, or nothing but its certificate in the campus's list.

        Args:
            campus_directory: the campus that issues its certificate.
            name: a DNS label, unique among the campus's gateways.
            node: HOST:PORT of the node; empty = where its settings say that it listens.
            now_unix_ms: when.

        Raises:
            Misconfigured: the directory is not empty, the name or the campus is wrong, or the name is taken.
        """
        if not is_name(name):
            raise Misconfigured(
                Sentence('"{name}" names no gateway: 1 to 63 of a-z, 0-9 and hyphen', name=name)
            )
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise Misconfigured(
                Sentence(
                    "{directory} is not empty: nothing was changed. Name a directory that is new or empty",
                    directory=self.path,
                )
            )
        campus = CampusDirectory(campus_directory)
        settings = campus.settings()
        identity = Identity(settings.campus.name, Role.GATEWAY, name)
        text = settings_text(
            settings.campus.name, name, node or settings.grpc.listen, node_name=settings.domain
        )
        parse_settings(text, self.path / FILE_NAME)
        pki = campus.pki(settings)
        leaf, key = pki.leaf_paths(identity)
        if not leaf.exists():  # else one was issued for this gateway and never used
            pki.issue(identity, now_unix_ms)
        files.make_private_directory(self.path.parent)
        building = self.path.with_name(f".{self.path.name}.new-{os.getpid()}")
        try:
            for folder in _FOLDERS:
                files.make_private_directory(building / folder)
            files.write_private(building / FILE_NAME, text.encode())
            files.write_private(building / "pki" / "gateway.pem", files.read(leaf))
            files.write_private(building / "pki" / "gateway.key", files.read(key))
            for source in (settings.pki.campus_ca, settings.pki.crl, settings.pki.root):
                target = building / "pki" / Path(source).name
                files.write_private(target, files.read(campus.path / source))
            building.replace(self.path)
        except OSError as error:
            raise Misconfigured(
                Sentence("{path} cannot be written: {reason}", path=self.path, reason=error.strerror)
            ) from error
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return self.settings()[0]

    @property
    def ports_path(self) -> Path:
        """Where the running gateway's ports stand."""
        return self.path / "run" / "ports.json"

    def write_ports(self, ports: GatewayPorts) -> None:
        """Say that the gateway is ready."""
        content = {
            "pid": ports.pid,
            "status": ports.status,
            "tcp": ports.tcp,
            "born_ticks": born_ticks(ports.pid),
        }
        files.make_private_directory(self.ports_path.parent)
        files.write_private(self.ports_path, (json.dumps(content) + "\n").encode())

    def remove_ports(self) -> None:
        """Say that the gateway has stopped."""
        self.ports_path.unlink(missing_ok=True)

    def ports(self) -> GatewayPorts:
        """Return where the running gateway listens. Raise Unavailable: none runs here."""
        stopped = Unavailable(
            Sentence(
                "the gateway of {directory} is not running: start it with: campus gateway run {directory}",
                directory=self.path,
            )
        )
        try:
            content = json.loads(self.ports_path.read_text(encoding="utf-8"))
            ports = GatewayPorts(int(content["pid"]), int(content["status"]), dict(content["tcp"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise stopped from error
        if not is_alive(ports.pid) or content.get("born_ticks") != born_ticks(ports.pid):
            raise stopped  # it was killed; its number may be another process's by now
        return ports
