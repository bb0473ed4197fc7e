"""A campus on disk: where its files are, and how a new one is made.

campus.toml           settings
pki/                  certificates and keys (campus_node.pki.campus_pki)
data/ledger.sqlite    the books, unless they are in PostgreSQL
spool/                what waits to be delivered
run/ports.json        written when the node is ready: process id and ports; removed when it stops
log/                  what the node writes about itself
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from campus_node.database import migrate
from campus_node.pki import files
from campus_node.pki.campus_pki import CampusPki, find_root, make_root_directory, next_free_number
from campus_node.process_life import born_ticks, is_alive
from campus_node.settings import FILE_NAME, Settings, load_settings, parse_settings
from campus_node.settings_file import settings_text
from campus_node.wording import Sentence
from federation.errors import Misconfigured, Unavailable
from federation.identity import Identity, Role, is_name

NODE_NAME: Final = "1"  # a campus's first node
_FOLDERS: Final = ("data", "spool", "run", "log")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a running node listens.

    Args:
        pid: its process.
        grpc: port of the API.
        metrics: port of the metrics and of /healthz.
        web: port of HTTPS.
        devices: port of gRPC for devices of others.
    """

    pid: int
    grpc: int
    metrics: int
    web: int = 0
    devices: int = 0


@dataclass(frozen=True, slots=True)
class NewCampus:
    """What `CampusDirectory.create` is asked for.

    Args:
        name: a DNS label.
        number: 1 to 9999; None = the lowest that its root has not given out.
        root: directory of a root shared with other campuses; None = a root of its own.
        title_zh, title_en: what people read.
        domain: DNS domain of its machines; empty = <name>.campus.test.
        database: URL of a PostgreSQL database; empty = SQLite inside the directory.
    """

    name: str
    number: int | None = None
    root: Path | None = None
    title_zh: str = ""
    title_en: str = ""
    domain: str = ""
    database: str = ""


class CampusDirectory:
    """The files of one campus.

    Args:
        path: its directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def settings(self) -> Settings:
        """Return its settings; raise Misconfigured."""
        return load_settings(self.path)

    def database_url(self, settings: Settings) -> str:
        """Return the database's URL with an absolute path."""
        url = settings.ledger.database
        if not url.startswith("sqlite:///"):
            return url
        return f"sqlite:///{self.path / url.removeprefix('sqlite:///')}"

    def pki(self, settings: Settings) -> CampusPki:
        """Return what issues its certificates."""
        return CampusPki(self.path / "pki", settings.campus.name, settings.domain)

    @property
    def ports_path(self) -> Path:
        """Where the running node's ports stand."""
        return self.path / "run" / "ports.json"

    def write_ports(self, ports: Ports) -> None:
        """Say that the node is ready."""
        content = {
            "pid": ports.pid,
            "grpc": ports.grpc,
            "metrics": ports.metrics,
            "web": ports.web,
            "devices": ports.devices,
            "born_ticks": born_ticks(ports.pid),
        }
        files.make_private_directory(self.ports_path.parent)
        files.write_private(self.ports_path, (json.dumps(content) + "\n").encode())

    def remove_ports(self) -> None:
        """Say that the node has stopped."""
        self.ports_path.unlink(missing_ok=True)

    def ports(self) -> Ports:
        """Return where the running node listens.

        Raises:
            Unavailable: no node runs here.
        """
        not_running = Unavailable(
            Sentence(
                "the node of {directory} is not running: start it with: campus node run {directory}",
                directory=self.path,
            )
        )
        try:
            content = json.loads(self.ports_path.read_text(encoding="utf-8"))
            ports = Ports(
                int(content["pid"]),
                int(content["grpc"]),
                int(content["metrics"]),
                int(content.get("web", 0)),
                int(content.get("devices", 0)),
            )
        except FileNotFoundError as error:
            raise not_running from error
        except (ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                Sentence(
                    "{path} is damaged: stop the node and start it again with: campus node run {directory}",
                    path=self.ports_path,
                    directory=self.path,
                )
            ) from error
        born = content.get("born_ticks")
        if not is_alive(ports.pid) or (born is not None and born != born_ticks(ports.pid)):
            # It was killed and could not remove the file; its number may be another process's by now.
            raise not_running
        return ports

    def is_running(self) -> bool:
        """Tell whether a node runs here."""
        try:
            self.ports()
        except Unavailable:
            return False
        return True

    def create(self, new: NewCampus, now_unix_ms: int) -> Settings:
        """Make a new campus: all of it, or nothing.

        Raises:
            Misconfigured: the directory is not empty, a name, number or URL is wrong, or there is no root.
            StoreDown: its database does not answer.
        """
        if not is_name(new.name):
            raise Misconfigured(
                Sentence(
                    'campus name "{name}" is not usable: 1 to 63 of a-z, 0-9 and hyphen, beginning with a '
                    "letter or digit",
                    name=new.name,
                )
            )
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise Misconfigured(
                Sentence(
                    "{directory} is not empty: nothing was changed. Name a directory that is new or empty",
                    directory=self.path,
                )
            )
        root = None if new.root is None else find_root(new.root)
        number = new.number or (1 if root is None else next_free_number(root, new.name))
        text = _settings_text(new, number)
        parse_settings(text, self.path / FILE_NAME)
        files.make_private_directory(self.path.parent)
        building = CampusDirectory(self.path.with_name(f".{self.path.name}.new-{os.getpid()}"))
        try:
            building._build(text, root, now_unix_ms)
            building.path.replace(self.path)
        except OSError as error:
            raise Misconfigured(
                Sentence("{path} cannot be written: {reason}", path=self.path, reason=error.strerror)
            ) from error
        finally:
            shutil.rmtree(building.path, ignore_errors=True)
        return self.settings()

    def _build(self, text: str, root: Path | None, now_unix_ms: int) -> None:
        for folder in _FOLDERS:
            files.make_private_directory(self.path / folder)
        files.write_private(self.path / FILE_NAME, text.encode())
        settings = self.settings()
        pki = self.pki(settings)
        if root is None:
            root = pki.directory / "root"
            make_root_directory(root, settings.campus.name, now_unix_ms)
        pki.make_authority(root, settings.campus.number, now_unix_ms)
        pki.issue(Identity(settings.campus.name, Role.NODE, NODE_NAME), now_unix_ms)
        migrate.upgrade(self.database_url(settings))


def _settings_text(new: NewCampus, number: int) -> str:
    campus: dict[str, object] = {"name": new.name, "number": number}
    campus |= {"title_zh": new.title_zh or new.name, "title_en": new.title_en or new.name}
    if new.domain:
        campus["domain"] = new.domain
    ledger = {"database": new.database} if new.database else {}
    return settings_text({"campus": campus, "ledger": ledger})
