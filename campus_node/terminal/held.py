"""What a terminal was told and keeps: each issuer's hotlist, and the parameters; durable, or not at all.

An issuer whose key is pinned is believed by its signature alone. The list of an issuer without one is
believed as the campus passes it on: sealed in the session, or under the campus's signed notice.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import DecodeError

from campus_node.pki import files
from campus_node.spending.parameter_values import read_parameters
from campus_node.spending.parameter_versions import Schedule, Version
from campus_node.terminal.hotlist_store import HotlistStore
from campus_node.terminal.two_slots import TwoSlots
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import CampusCardError, Unreadable
from federation.hotlist import Hotlist
from federation.hotlist_delta import SIGNATURE_BYTES, Delta, HotlistDoesNotFit, SignedHotlist
from federation.hotlist_reception import Reception, Taken
from federation.hotlist_wire import read

ISSUERS_MAX: Final = 64
PARAMETERS_BYTES_MAX: Final = 256 * 1024
NOTED_EVERY_MS: Final = 60_000
_UNSIGNED: Final = bytes(SIGNATURE_BYTES)

_log = structlog.get_logger(__name__)

Keys = Mapping[bytes, Sequence[Ed25519PublicKey]]


class Held:
    """The files of one terminal. Any thread may call; what has come into force is told to `on_hotlist` and
    `on_parameters`, on the thread that brought it.

    Args:
        directory: of the files; made if it is not there.
        keys: pinned ones, by issuer.
        unix_ms: the terminal's clock.

    Raises:
        Misconfigured: the directory cannot be used.
        SlotsUnwritable: the storage failed.
    """

    def __init__(self, directory: Path, keys: Keys, unix_ms: Callable[[], int]) -> None:
        files.make_private_directory(directory)
        self.on_hotlist: Callable[[Hotlist], None] = lambda _: None
        self.on_parameters: Callable[[Version], None] = lambda _: None
        self._directory = directory
        self._keys = keys
        self._unix_ms = unix_ms
        self._lock = threading.Lock()
        self._noted_unix_ms = 0
        self._stores: dict[bytes, HotlistStore] = {}
        self._lists: dict[bytes, Reception | Hotlist] = {}
        self._parameters = TwoSlots.open(
            directory / "parameters", PARAMETERS_BYTES_MAX, lambda content: bool(_versions(content))
        )
        self._messages = _messages(self._parameters.kept or b"")
        for path in sorted(directory.glob("*.hotlist")):
            self._open(bytes.fromhex(path.stem))

    @property
    def hotlists(self) -> list[Hotlist]:
        """The lists in force."""
        with self._lock:
            return [_hotlist(each) for each in self._lists.values() if _hotlist(each).version]

    @property
    def schedule(self) -> Schedule:
        """The parameters in force, and what comes next."""
        schedule = Schedule()
        for message in self._messages:
            schedule = schedule.take(_version(message), self._unix_ms())
        return schedule

    def heard_unix_ms(self, issuer: bytes) -> int:
        """Return when an issuer's list was last known to be its newest one, in ms since 1970."""
        return self._path(issuer).stat().st_mtime_ns // 1_000_000

    def heard(self, now_unix_ms: int) -> list[bytes]:
        """Note that the gateway is there: it would have sent what is newer. Return whose lists that confirms.

        It is kept across restarts, to the minute: as the times of the files.
        """
        with self._lock:
            issuers = list(self._lists)
            if now_unix_ms - self._noted_unix_ms >= NOTED_EVERY_MS:
                self._noted_unix_ms = now_unix_ms
                for issuer in issuers:
                    with contextlib.suppress(
                        OSError
                    ):  # a worn disk: after a restart the list counts as older
                        os.utime(self._path(issuer), ns=(now_unix_ms * 1_000_000, now_unix_ms * 1_000_000))
        return issuers

    def versions(self) -> list[wire.HotlistVersion]:
        """Return the version of each list, as a TerminalReport says it."""
        return [wire.HotlistVersion(issuer=each.issuer, version=each.version) for each in self.hotlists]

    def take_hotlist(self, message: wire.HotlistDelta) -> bool:
        """Apply a delta, durably. Return True if it is in force, also from before; False = it does not fit.

        Raises:
            HotlistForged, Unreadable: it is not believed.
            SlotTooSmall, SlotsUnwritable: it cannot be kept; the list before stays in force.
        """
        change = read(message)
        issuer = change.issuer if isinstance(change, Delta) else change.hotlist.issuer
        with self._lock:
            if issuer not in self._lists:
                if len(self._lists) >= ISSUERS_MAX:
                    raise Unreadable(f"more than {ISSUERS_MAX} issuers")
                self._open(issuer)
            known = self._lists[issuer]
            before = _hotlist(known).version
            try:
                fits = self._apply(issuer, known, change)
            except HotlistDoesNotFit:
                return False
            now = _hotlist(self._lists[issuer])
        if now.version != before:
            self.on_hotlist(now)
        return fits

    def take_parameters(self, message: wire.Parameters) -> bool:
        """Keep parameters, durably. Return True: they or newer ones are there.

        Raises:
            ParametersWrong: a value is wrong: none of this version is used.
            SlotTooSmall, SlotsUnwritable: they cannot be kept.
        """
        version = _version(message)
        with self._lock:
            now_ms = self._unix_ms()
            schedule = self.schedule
            if version.number <= schedule.latest:
                return True
            after = schedule.take(version, now_ms)
            kept = [each for each in self._messages if each.version == after.current.number]
            kept = [*kept, message]
            self._parameters.keep(b"".join(_framed(each) for each in kept))
            self._messages = kept
        self.on_parameters(version)
        return True

    def close(self) -> None:
        """Let the files go."""
        self._parameters.close()
        for store in self._stores.values():
            store.close()

    def _path(self, issuer: bytes) -> Path:
        return self._directory / f"{issuer.hex()}.hotlist"

    def _open(self, issuer: bytes) -> None:
        store = HotlistStore.open(self._path(issuer))
        self._stores[issuer] = store
        kept = store.load()
        keys = self._keys.get(issuer)
        if not keys:
            self._lists[issuer] = Hotlist(issuer) if kept is None else kept.hotlist
            return
        try:
            self._lists[issuer] = Reception(issuer, keys, kept)
        except CampusCardError as error:  # kept before its key was pinned, or under another one: ask anew
            _log.warning("hotlist.not_believed", issuer=issuer.hex(), why=str(error))
            self._lists[issuer] = Reception(issuer, keys)

    def _apply(self, issuer: bytes, known: Reception | Hotlist, change: Delta | SignedHotlist) -> bool:
        if isinstance(known, Hotlist):
            reached = _reached(known, change)
            if reached is not known:
                self._stores[issuer].save(SignedHotlist(reached, _UNSIGNED))
                self._lists[issuer] = reached
            return True
        taken = known.take(change) if isinstance(change, Delta) else known.take_whole(change)
        if taken is Taken.APPLIED and known.signed is not None:
            try:
                self._stores[issuer].save(known.signed)
            except CampusCardError:
                self._lists[issuer] = Reception(issuer, self._keys[issuer], self._stores[issuer].load())
                raise
        return taken is not Taken.WAITS


def _hotlist(known: Reception | Hotlist) -> Hotlist:
    return known if isinstance(known, Hotlist) else known.hotlist


def _reached(known: Hotlist, change: Delta | SignedHotlist) -> Hotlist:
    """Return where a change leads that nobody signed; raise HotlistDoesNotFit."""
    if isinstance(change, SignedHotlist):
        return change.hotlist if change.hotlist.version > known.version else known
    if change.to_version <= known.version:
        return known
    if change.from_version not in {0, known.version}:
        raise HotlistDoesNotFit(f"a delta from version {change.from_version}, not {known.version}")
    base = known if change.from_version else Hotlist(known.issuer)
    return base.changed(change.to_version, dict(change.added), change.removed, change.issued)


def _version(message: wire.Parameters) -> Version:
    texts = [(each.name, each.value) for each in message.parameters]
    return Version(message.version, message.effective_at_unix_ms, read_parameters(texts))


def _framed(message: wire.Parameters) -> bytes:
    content = message.SerializeToString()
    return len(content).to_bytes(4) + content


def _messages(content: bytes) -> list[wire.Parameters]:
    found = []
    while content:
        size = int.from_bytes(content[:4])
        found.append(wire.Parameters.FromString(content[4 : 4 + size]))
        content = content[4 + size :]
    return found


def _versions(content: bytes) -> list[Version]:
    """Return what this release can read of it; nothing if one of them is wrong."""
    with contextlib.suppress(CampusCardError, DecodeError):
        return [_version(each) for each in _messages(content)]
    return []
