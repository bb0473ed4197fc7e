"""A terminal on disk: where its files are, and how a new one is made (A10, A15).

terminal.toml         settings
pki/                  for a line over TCP: its certificate and key, and what issued them
journal/              what it sold, and the numbers of its sessions: never copy, never put back
held/                 hotlists and parameters
blocks/               what is being distributed
firmware/             two slots
run/                  status.json, ports.json while it runs
"""

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from campus_node.pki import files
from campus_node.process_life import born_ticks, is_alive
from campus_node.terminal.settings import (
    FILE_NAME,
    SamSettings,
    Settings,
    load_settings,
    parse_settings,
)
from campus_node.terminal.settings_text import settings_text
from campus_node.wording import Sentence
from federation.errors import Misconfigured, Unavailable
from federation.identity import Identity, Role, is_name

_FOLDERS: Final = ("pki", "journal", "held", "blocks", "run")

Chosen = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class NewTerminal:
    """What `TerminalDirectory.create` is asked for.

    Args:
        campus: the campus's name; "" = that of campus_directory.
        name: as it is registered; a DNS label.
        chosen: settings by section and key.
        campus_directory: whose authority and keys are at hand; None = only settings are made.
    """

    campus: str
    name: str
    chosen: Chosen = field(default_factory=dict)
    campus_directory: Path | None = None


class TerminalDirectory:
    """The files of one terminal.

    Args:
        path: its directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def settings(self) -> Settings:
        """Return its settings; raise Misconfigured."""
        return load_settings(self.path)

    def create(self, new: NewTerminal, now_unix_ms: int) -> Settings:
        """Make a new terminal: all of it, or nothing but its certificate in the campus's list.

        A campus at hand gives the keys to be pinned, and for a line over TCP a certificate.

        Raises:
            Misconfigured: the directory is not empty, or a name, a setting or the campus is wrong.
        """
        if not is_name(new.name):
            raise Misconfigured(
                Sentence('"{name}" names no terminal: 1 to 63 of a-z, 0-9 and hyphen', name=new.name)
            )
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise Misconfigured(
                Sentence(
                    "{directory} is not empty: nothing was changed. Name a directory that is new or empty",
                    directory=self.path,
                )
            )
        chosen = {section: dict(values) for section, values in new.chosen.items()}
        chosen.setdefault("terminal", {}).update(campus=new.campus, name=new.name)
        pieces: dict[str, bytes] = {}
        if new.campus_directory is not None:
            pieces = _take_from(new.campus_directory, new.name, chosen, now_unix_ms)
        text = settings_text(chosen)
        settings = parse_settings(text, self.path / FILE_NAME)
        files.make_private_directory(self.path.parent)
        building = self.path.with_name(f".{self.path.name}.new-{os.getpid()}")
        try:
            for folder in _FOLDERS:
                files.make_private_directory(building / folder)
            files.write_private(building / FILE_NAME, text.encode())
            for name, content in pieces.items():
                files.write_private(building / "pki" / name, content)
            building.replace(self.path)
        except OSError as error:
            raise Misconfigured(
                Sentence("{path} cannot be written: {reason}", path=self.path, reason=error.strerror)
            ) from error
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return settings

    @property
    def status_path(self) -> Path:
        """Where the terminal says how it is."""
        return self.path / "run" / "status.json"

    @property
    def ports_path(self) -> Path:
        """Where the running terminal says where its screen is."""
        return self.path / "run" / "ports.json"

    @property
    def firmware_path(self) -> Path:
        """Where the slots are."""
        return self.path / "firmware"

    def count_start(self) -> int:
        """Return how often the terminal has started, this time included; a rough figure for its reports."""
        path = self.path / "run" / "starts"
        try:
            starts = int(path.read_text(encoding="ascii")) + 1
        except (OSError, ValueError):
            starts = 1
        files.make_private_directory(path.parent)
        files.write_private(path, b"%d\n" % starts)
        return starts

    def write_ports(self, view_port: int) -> None:
        """Say that the terminal is ready. Args: view_port: of the browser's view; 0 = there is none."""
        pid = os.getpid()
        content = {"pid": pid, "view": view_port, "born_ticks": born_ticks(pid)}
        files.make_private_directory(self.ports_path.parent)
        files.write_private(self.ports_path, (json.dumps(content) + "\n").encode())

    def remove_ports(self) -> None:
        """Say that the terminal has stopped."""
        with contextlib.suppress(OSError):
            self.ports_path.unlink()

    def write_status(self, content: Mapping[str, object]) -> None:
        """Say how the terminal is; whoever reads sees the old or the new whole. Nothing depends on it."""
        pid = os.getpid()
        whole = {**content, "pid": pid, "born_ticks": born_ticks(pid)}
        unfinished = self.status_path.with_name(".status.json.new")
        unfinished.write_text(json.dumps(whole, ensure_ascii=False) + "\n", encoding="utf-8")
        unfinished.replace(self.status_path)

    def status(self) -> dict[str, Any]:
        """Return how the terminal is or was, with `running`. Raise Unavailable: it never ran here."""
        try:
            content: dict[str, Any] = json.loads(self.status_path.read_text(encoding="utf-8"))
            pid, born = int(content["pid"]), content["born_ticks"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                Sentence(
                    "the terminal of {directory} has not run yet: "
                    "start it with: campus terminal run {directory}",
                    directory=self.path,
                )
            ) from error
        running = is_alive(pid) and born == born_ticks(pid) and content.get("state") != "stopped"
        return {**content, "running": running}


def _take_from(
    directory: Path, name: str, chosen: dict[str, dict[str, object]], now_unix_ms: int
) -> dict[str, bytes]:
    """Fill in what the campus knows, and return the files that it gives."""
    from campus_node.campus_directory import CampusDirectory  # noqa: PLC0415 - a till that runs needs none

    campus = CampusDirectory(directory)
    settings = campus.settings()
    own = chosen["terminal"]
    if own["campus"] not in {"", settings.campus.name}:
        raise Misconfigured(
            Sentence("{directory} is the campus {campus}", directory=campus.path, campus=settings.campus.name)
        )
    own["campus"] = settings.campus.name
    _pin(chosen, campus.path / "pki")
    if chosen.get("line", {}).get("kind") != "tcp":
        return {}
    identity = Identity(settings.campus.name, Role.TERMINAL, name)
    pki = campus.pki(settings)
    leaf, leaf_key = pki.leaf_paths(identity)
    if not leaf.exists():  # else one was issued for this terminal and never used
        pki.issue(identity, now_unix_ms)
    return {
        "terminal.pem": files.read(leaf),
        "terminal.key": files.read(leaf_key),
        "campus.pem": files.read(campus.path / settings.pki.campus_ca),
    }


def _pin(chosen: dict[str, dict[str, object]], pki: Path) -> None:
    """Fill in whom a terminal of a campus believes, as far as nothing was chosen."""
    from campus_node.firmware.keys import believed_keys  # noqa: PLC0415 - as above
    from campus_node.notices.key import HOTLIST_FILE_NAME, signing_key  # noqa: PLC0415

    issuer = chosen.get("sam", {}).get("application", SamSettings.model_fields["application"].default)
    hotlist_key = signing_key(pki, HOTLIST_FILE_NAME).public_key().public_bytes_raw().hex().upper()
    firmware_keys = sorted(each.public_bytes_raw().hex().upper() for each in believed_keys(pki).values())
    trust = chosen.setdefault("trust", {})
    trust.setdefault("notice_keys", signing_key(pki).public_key().public_bytes_raw().hex().upper())
    trust.setdefault("hotlist_keys", f"{issuer}:{hotlist_key}")
    if firmware_keys:
        trust.setdefault("firmware_keys", ",".join(firmware_keys))
