"""Where a monitor gets keys: from what was lent to a gateway, or from a file with the key of one PSAM."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from campus_node.gateway.settings import load_settings
from campus_node.keys.lending import open_lease
from campus_node.lines.counterpart import LeasedKey, LeasedKeys, psam_secret
from campus_node.lines.handshake import Hello, SecretSource
from campus_node.pki.files import read_key
from campus_node.purse.algorithm import Algorithm
from campus_node.wording import Sentence
from campuscard.v1 import gateway_pb2 as pb
from federation.clock import Clock
from federation.errors import Misconfigured, Tampered

SHELF: Final = "shelf.sqlite"  # beside the spool
_KEY: Final = re.compile(r"[0-9A-Fa-f]{32}")


class OnePsam:
    """The key of one PSAM, believed of every HELLO: a proof tells whether it was right.

    Args:
        key: 16 bytes, as the PSAM holds it.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def secret(self, hello: Hello, factor: bytes, blocks: bytes) -> bytes:
        return psam_secret(Algorithm.from_byte(hello.algorithm), self._key, hello.levels, factor, blocks)

    def __repr__(self) -> str:
        return "OnePsam(…)"


def one_psam(path: Path) -> SecretSource:
    """Return the key that a file holds as 32 hexadecimal digits.

    Raises:
        Misconfigured: the file holds something else.
        OSError: it cannot be read.
    """
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if not _KEY.fullmatch(text):
        raise Misconfigured(Sentence("{path} holds no key: 32 hexadecimal digits", path=path))
    return OnePsam(bytes.fromhex(text))


def leased(directory: Path, clock: Clock) -> SecretSource:
    """Return the keys that were lent to the gateway in a directory; it may be running.

    Raises:
        Misconfigured: this is no gateway's directory, or it has no keys yet.
        OSError: its key cannot be read.
    """
    settings, _ = load_settings(directory)
    private = read_key(directory / settings.pki.key)
    keys: dict[bytes, LeasedKey] = {}
    for terminal in _roll(directory).terminals:
        try:
            serial, lease = open_lease(terminal.sealed_key, private)
        except Tampered:
            continue  # not for this certificate any more; what it would open stays sealed
        keys[serial] = lease
    if not keys:
        raise Misconfigured(Sentence("{path} has no keys of terminals yet", path=directory))
    return LeasedKeys(keys, clock)


def names_of(directory: Path) -> dict[str, str]:
    """Return the names of a gateway's terminals, by their numbers and by their PSAMs' serial numbers.

    Raises:
        Misconfigured: this is no gateway's directory.
    """
    names: dict[str, str] = {}
    for terminal in _roll(directory).terminals:
        names[terminal.terminal_id.hex().upper()] = terminal.name
        names[terminal.psam_serial.hex().upper()] = terminal.name
    return names


def _roll(directory: Path) -> pb.TerminalRoll:
    """Return the roll as the gateway keeps it; reads only."""
    settings, _ = load_settings(directory)
    shelf = (directory / settings.spool.path).with_name(SHELF)
    roll = pb.TerminalRoll()
    try:
        with closing(sqlite3.connect(f"{shelf.resolve().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT content FROM kept WHERE kind = 'roll'").fetchone()
    except sqlite3.Error as error:
        raise Misconfigured(
            Sentence("{path} holds no keys of terminals: {cause}", path=shelf, cause=error)
        ) from error
    try:
        roll.ParseFromString(b"" if found is None else found[0])
    except DecodeError as error:
        raise Misconfigured(
            Sentence("{path} holds no keys of terminals: {cause}", path=shelf, cause=error)
        ) from error
    return roll
