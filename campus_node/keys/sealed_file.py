"""A key store in a file: `keys.sealed` in a directory of its own, under a passphrase.

The file is written whole, durably and for its owner only. Beside it stands `generation`, the number of the
last writing, under a MAC: a copy of last month put back in its place is noticed. Whoever puts back both files
of the same day is not: keep the generation that `campus keys list` shows in the log book.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from campus_node.keys.hierarchy import ISSUER_BYTES, KEY_BYTES, KeyName, derive, parse_key_name
from campus_node.keys.sealing import DEFAULT_COST, Cost, Sealer, Unsealed, require_good_passphrase, unseal
from campus_node.keys.store import (
    Factors,
    KeyEntry,
    KeyForbidden,
    KeyUnknown,
    StoreDamaged,
    StoreRolledBack,
)
from campus_node.keys.transfer import Identity, private_key_of, shared_secret
from campus_node.pki.files import locked, make_private_directory, read, write_private
from campus_node.purse.algorithm import check_value
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import Misconfigured, NotFound

KEYS_FILE: Final = "keys.sealed"
MARK_FILE: Final = "generation"
_KIND: Final = "key store"
_OTHERS: Final = 0o077
_PRIVATE_BYTES: Final = 32


@dataclass(frozen=True, slots=True, repr=False)
class _Kept:
    """One key as it lies in the file."""

    name: KeyName
    key: bytes
    foreign: bool
    created_at_unix_ms: int

    @property
    def entry(self) -> KeyEntry:
        kcv = check_value(self.name.algorithm, self.key)
        return KeyEntry(self.name, kcv, self.foreign, "file", self.created_at_unix_ms)


@dataclass(slots=True, repr=False)
class _Content:
    """All that the file holds. `private` is this store's own key, under which others send it keys."""

    issuer: bytes
    private: bytes
    kept: dict[KeyName, _Kept] = field(default_factory=dict)


class SealedFile:
    """The keys of one campus in a sealed file; open while this object lives.

    Several processes may have the same store open: every change begins with reading what the others wrote.
    """

    place: Final = "file"

    def __init__(self, directory: Path, unsealed: Unsealed) -> None:
        self._directory = directory
        self._sealer = unsealed.sealer
        self._generation = unsealed.generation
        self._content = _decode(unsealed.content, self._path)

    @classmethod
    def create(
        cls, directory: Path, issuer: bytes, passphrase: str, cost: Cost = DEFAULT_COST
    ) -> "SealedFile":
        """Make an empty store for the keys of an issuer, with an identity of its own.

        Raises:
            Misconfigured: a store is there already, the passphrase is too short or the issuer id is not 8
            bytes.
        """
        require_good_passphrase(passphrase)
        if len(issuer) != ISSUER_BYTES:
            raise Misconfigured(Sentence("an issuer id has 8 bytes: group code 4, campus number 4"))
        make_private_directory(directory)
        with locked(directory):
            if (directory / KEYS_FILE).exists():
                raise Misconfigured(
                    Sentence("{path} is there already: nothing was changed", path=directory / KEYS_FILE)
                )
            private = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
            content = _Content(issuer, private.to_bytes(_PRIVATE_BYTES))
            sealer = Sealer.make(passphrase, cost)
            _write(directory, sealer, 1, content)
        return cls(directory, Unsealed(_encode(content), 1, sealer))

    @classmethod
    def open(cls, directory: Path, passphrase: str) -> "SealedFile":
        """Open a store.

        Raises:
            NotFound: there is none.
            Misconfigured: others than the owner may read the file.
            WrongPassphrase, StoreDamaged, StoreRolledBack: what they say.
        """
        path = directory / KEYS_FILE
        if not path.exists():
            raise NotFound(
                Sentence("there is no key store in {directory}: campus keys create", directory=directory)
            )
        _require_private(path)
        with locked(directory):
            unsealed = unseal(read(path), _KIND, passphrase, path)
            _check_mark(directory, unsealed)
        return cls(directory, unsealed)

    @property
    def issuer(self) -> bytes:
        """The issuer whose keys these are: 8 bytes."""
        return self._content.issuer

    @property
    def generation(self) -> int:
        """How often the file was written; never decreases."""
        return self._generation

    @property
    def identity(self) -> Identity:
        """The public half of this store's own key."""
        return Identity.of(self._content.private, self._content.issuer)

    def entries(self) -> Sequence[KeyEntry]:
        """Return what is there; see `KeyStore`."""
        return [kept.entry for kept in self._content.kept.values()]

    def entry(self, name: KeyName) -> KeyEntry:
        """Return what is known of one key; raise KeyUnknown."""
        return self._kept(name).entry

    def working_key(self, name: KeyName, factors: Factors) -> bytes:
        """Return the key that follows from this one; for `KeyOperations` alone."""
        return derive(name.algorithm, self._kept(name).key, *factors)

    def shared_secret(self, public: bytes) -> bytes:
        """Return what this store's own key and that public key agree on: 32 bytes."""
        return shared_secret(private_key_of(self._content.private), public)

    def draw(self, name: KeyName, clock: Clock) -> KeyEntry:
        """Make a new random key; raise KeyForbidden where one of this name is there."""
        return self.draw_all([name], clock)[0]

    def draw_all(self, names: Sequence[KeyName], clock: Clock) -> list[KeyEntry]:
        """Make new random keys in one writing: all of them or none; raise KeyForbidden where one is there."""
        with self._changing() as content:
            for name in names:
                if name in content.kept:
                    raise _taken(name)
                content.kept[name] = _Kept(name, os.urandom(KEY_BYTES), False, clock.unix_ms())
        return [self.entry(name) for name in names]

    def put(self, name: KeyName, key: bytes, clock: Clock, *, foreign: bool = False) -> KeyEntry:
        """Take a key in. The same key again changes nothing.

        Raises:
            KeyForbidden: another key has this name.
        """
        assert len(key) == KEY_BYTES, "transfer and draw make 16 bytes"
        with self._changing() as content:
            there = content.kept.get(name)
            if there is not None and not hmac.compare_digest(there.key, key):
                raise _taken(name)
            if there is None:
                content.kept[name] = _Kept(name, key, foreign, clock.unix_ms())
        return self.entry(name)

    def remove(self, name: KeyName) -> None:
        """Forget a key for good; raise KeyUnknown."""
        with self._changing() as content:
            if content.kept.pop(name, None) is None:
                raise _unknown(name)

    def change_passphrase(self, passphrase: str, cost: Cost = DEFAULT_COST) -> None:
        """Seal the file under another passphrase. Copies made before still open with the old one."""
        require_good_passphrase(passphrase)
        with self._changing():
            self._sealer = Sealer.make(passphrase, cost)

    def _kept(self, name: KeyName) -> _Kept:
        kept = self._content.kept.get(name)
        if kept is None:
            raise _unknown(name)
        return kept

    @property
    def _path(self) -> Path:
        return self._directory / KEYS_FILE

    @contextmanager
    def _changing(self) -> Iterator[_Content]:
        """Give the newest content; what was changed in it is durable afterwards."""
        with locked(self._directory):
            unsealed = self._sealer.unseal_again(read(self._path), _KIND, self._path)
            _check_mark(self._directory, unsealed)
            content = _decode(unsealed.content, self._path)
            yield content
            _write(self._directory, self._sealer, unsealed.generation + 1, content)
            self._content, self._generation = content, unsealed.generation + 1


def _write(directory: Path, sealer: Sealer, generation: int, content: _Content) -> None:
    """Write the file, then the mark: cut in between, the file is one ahead, and that is in order."""
    write_private(directory / KEYS_FILE, sealer.seal(_KIND, generation, _encode(content)))
    write_private(directory / MARK_FILE, _mark(content.private, generation))


def _mark(private: bytes, generation: int) -> bytes:
    """The MAC is under the store's own key: it stays when the passphrase changes."""
    text = f"{generation}"
    return f"{text} {hmac.new(private, text.encode(), hashlib.sha256).hexdigest()}\n".encode()


def _check_mark(directory: Path, unsealed: Unsealed) -> None:
    path = directory / MARK_FILE
    content = _decode(unsealed.content, directory / KEYS_FILE)
    if not path.exists() and unsealed.generation == 1:  # cut at the very first writing
        write_private(path, _mark(content.private, 1))
        return
    if not path.exists():
        raise StoreRolledBack(Sentence("{path} is missing: was this store put back from a copy?", path=path))
    said = read(path)
    number = said.split(b" ")[0]
    if not number.isdigit() or not hmac.compare_digest(said, _mark(content.private, int(number))):
        raise StoreDamaged(Sentence("{path} was changed or cut: restore it from a good copy", path=path))
    if unsealed.generation < int(number):
        raise StoreRolledBack(
            Sentence(
                "{path} is an old copy: it is of generation {found}, and {last} was written here",
                path=directory / KEYS_FILE,
                found=unsealed.generation,
                last=int(number),
            )
        )


def _require_private(path: Path) -> None:
    if path.stat().st_mode & _OTHERS:
        raise Misconfigured(
            Sentence("{path} may be read by others than its owner: chmod 600 {path}", path=path)
        )


def _encode(content: _Content) -> bytes:
    keys = [
        {
            "name": str(kept.name),
            "key": kept.key.hex(),
            "foreign": kept.foreign,
            "created_at_unix_ms": kept.created_at_unix_ms,
        }
        for kept in content.kept.values()
    ]
    return json.dumps(
        {"issuer": content.issuer.hex(), "private": content.private.hex(), "keys": keys}
    ).encode()


def _decode(encoded: bytes, path: Path) -> _Content:
    try:
        read_in = json.loads(encoded)
        content = _Content(bytes.fromhex(read_in["issuer"]), bytes.fromhex(read_in["private"]))
        for each in read_in["keys"]:
            name = parse_key_name(each["name"])
            content.kept[name] = _Kept(
                name, bytes.fromhex(each["key"]), bool(each["foreign"]), int(each["created_at_unix_ms"])
            )
    except (ValueError, KeyError, TypeError, Misconfigured):
        # Without the cause: its text could hold what was sealed.
        raise StoreDamaged(
            Sentence("{path} was changed or cut: restore it from a good copy", path=path)
        ) from None
    return content


def _unknown(name: KeyName) -> KeyUnknown:
    return KeyUnknown(Sentence("the key store has no key {name}", name=name))


def _taken(name: KeyName) -> KeyForbidden:
    return KeyForbidden(Sentence("there is another key of the name {name} already", name=name))
