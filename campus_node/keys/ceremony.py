"""The key ceremony: the root of all purchase keys is born, comes together for a moment, and is never kept.

A ceremony is a directory: `ceremony.json` says what was made (check values, custodians, the ceremony's
identity), `ceremony.log` what was done when, and each custodian's share lies in a sealed file that is taken
away. The root secret, 32 bytes, exists in memory while shares are together: its first half is the 3DES root
key, its second half the SM4 root key, and a key pair that follows from it signs for what the ceremony hands
out. A new version of the root is a new ceremony. Neither file ever holds a key.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from campus_node.keys.hierarchy import (
    KEY_BYTES,
    KeyName,
    Level,
    Usage,
    algorithm_word,
    campus_factor,
    campus_key,
    derive,
    group_factor,
    group_of,
)
from campus_node.keys.sealing import DEFAULT_COST, Cost, Sealer, require_good_passphrase, unseal
from campus_node.keys.shares import CEREMONY_BYTES, SECRET_BYTES, Share, combine, parse_share, split
from campus_node.keys.store import StoreDamaged
from campus_node.keys.transfer import Identity, OwnKey, Package, wrap
from campus_node.pki.files import make_private_directory, read, write_private
from campus_node.purse.algorithm import Algorithm, check_value
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import Misconfigured

RECORD_FILE: Final = "ceremony.json"
LOG_FILE: Final = "ceremony.log"
_SHARE_KIND: Final = "share"
_CURVE_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ROOT_OF: Final = {Algorithm.TDES: slice(0, KEY_BYTES), Algorithm.SM4: slice(KEY_BYTES, SECRET_BYTES)}


class WrongShares(StoreDamaged):
    """The shares fit together and give another root than the ceremony's: one of them was changed."""


@dataclass(frozen=True, slots=True, repr=False)
class Custodian:
    """Who keeps a share, and what its file is sealed with."""

    name: str
    passphrase: str


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What may be known of a ceremony by everybody.

    Args:
        number: 4 bytes, drawn at random; stands in every share.
        version: of the root keys it made.
        check_values: of the root keys, by algorithm.
        identity: in whose name keys are handed out.
    """

    number: bytes
    version: int
    threshold: int
    custodians: tuple[str, ...]
    check_values: dict[Algorithm, bytes]
    identity: Identity

    def to_json(self) -> str:
        """Return the text of the record."""
        content = {
            "kind": "campuscard key ceremony",
            "number": self.number.hex().upper(),
            "version": self.version,
            "threshold": self.threshold,
            "custodians": list(self.custodians),
            "check_values": {algorithm_word(a): kcv.hex().upper() for a, kcv in self.check_values.items()},
            "identity": self.identity.public.hex().upper(),
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


class Root:
    """The root secret, while the shares are together. Nothing gives it out; it is only derived from."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def check_values(self) -> dict[Algorithm, bytes]:
        """Return the check values of the root keys."""
        return {algorithm: check_value(algorithm, self._key(algorithm)) for algorithm in _ROOT_OF}

    @property
    def own_key(self) -> OwnKey:
        """The ceremony's key pair, which follows from the secret."""
        wide = HKDF(hashes.SHA256(), 48, salt=None, info=b"campuscard ceremony identity").derive(self._secret)
        private = (int.from_bytes(wide, "big") % (_CURVE_ORDER - 1) + 1).to_bytes(32, "big")
        return OwnKey(Identity.of(private, b""), private)

    def hand_out(
        self, version: int, algorithm: Algorithm, issuer: bytes, receiver: Identity
    ) -> tuple[bytes, Package]:
        """Return the check value of the group's key, and a campus's purchase key wrapped for its store."""
        group = derive(algorithm, self._key(algorithm), group_factor(group_of(issuer)))
        campus = derive(algorithm, group, campus_factor(issuer))
        name = campus_key(Usage.PURCHASE, version, algorithm, issuer)
        return check_value(algorithm, group), wrap(name, campus, self.own_key, receiver, foreign=False)

    def _key(self, algorithm: Algorithm) -> bytes:
        return self._secret[_ROOT_OF[algorithm]]


def hold(
    directory: Path,
    version: int,
    threshold: int,
    custodians: Sequence[Custodian],
    clock: Clock,
    *,
    cost: Cost = DEFAULT_COST,
    show: Callable[[str, Share], None] | None = None,
) -> Ceremony:
    """Make a root and leave its shares, each sealed for its custodian, in a new directory.

    Args:
        show: is given every custodian's name and share once, to be written on paper.

    Raises:
        Misconfigured: a ceremony is there already, a passphrase is too short, two custodians have one name or
        one
            passphrase, or threshold and count do not fit. Nothing was made then.
    """
    names = tuple(custodian.name for custodian in custodians)
    _require_separate(custodians)
    if (directory / RECORD_FILE).exists():
        raise Misconfigured(
            Sentence("{path} is there already: nothing was changed", path=directory / RECORD_FILE)
        )
    secret, number = os.urandom(SECRET_BYTES), os.urandom(CEREMONY_BYTES)
    shares = split(secret, threshold, len(custodians), number, os.urandom)
    root = Root(secret)
    made = Ceremony(number, version, threshold, names, root.check_values(), root.own_key.identity)
    make_private_directory(directory)
    for custodian, share in zip(custodians, shares, strict=True):
        sealer = Sealer.make(custodian.passphrase, cost)
        text = "\n".join(share.to_lines())
        write_private(
            directory / share_file_name(share.number, custodian.name),
            sealer.seal(_SHARE_KIND, 1, text.encode()),
        )
        if show is not None:
            show(custodian.name, share)
    write_private(directory / RECORD_FILE, made.to_json().encode())
    log = CeremonyLog(directory, clock)
    log.write("made", number=number.hex().upper(), version=version, threshold=threshold, shares=len(shares))
    for name in names:
        log.write("share_sealed", custodian=name, paper=show is not None)
    log.write("root_check_values", **_shown(made.check_values))
    return made


def gather(ceremony: Ceremony, shares: Sequence[Share]) -> Root:
    """Return the root of these shares.

    Raises:
        Misconfigured: too few, one twice, or of another ceremony.
        WrongShares: what they give is not this ceremony's root.
    """
    if any(share.ceremony != ceremony.number for share in shares):
        raise Misconfigured(Sentence("these shares are of different ceremonies"))
    root = Root(combine(shares))
    if root.check_values() != ceremony.check_values or root.own_key.identity != ceremony.identity:
        raise WrongShares(
            Sentence("these shares do not give the root of this ceremony: one of them was changed")
        )
    return root


def open_share(path: Path, passphrase: str) -> Share:
    """Return the share in a custodian's sealed file; raises what `unseal` raises."""
    content = unseal(read(path), _SHARE_KIND, passphrase, path).content
    return parse_share(content.decode())


def reseal_share(path: Path, share: Share, passphrase: str, cost: Cost = DEFAULT_COST) -> None:
    """Seal a share in a file under a custodian's passphrase: a new copy from paper, or a new passphrase."""
    require_good_passphrase(passphrase)
    text = "\n".join(share.to_lines())
    write_private(path, Sealer.make(passphrase, cost).seal(_SHARE_KIND, 1, text.encode()))


def destroy_share(path: Path) -> None:
    """Overwrite a share's file and take it away. A disk may keep the old blocks: destroy the medium too."""
    length = len(read(path))
    with path.open("r+b") as file:
        file.write(os.urandom(length))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def read_ceremony(directory: Path) -> Ceremony:
    """Return the record of a ceremony.

    Raises:
        Misconfigured: there is none, or it is damaged.
    """
    path = directory / RECORD_FILE
    try:
        content = json.loads(read(path))
        by_word = {algorithm_word(algorithm): algorithm for algorithm in _ROOT_OF}
        return Ceremony(
            bytes.fromhex(content["number"]),
            int(content["version"]),
            int(content["threshold"]),
            tuple(content["custodians"]),
            {by_word[word]: bytes.fromhex(kcv) for word, kcv in content["check_values"].items()},
            Identity(b"", bytes.fromhex(content["identity"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Misconfigured(Sentence("{path} is no record of a ceremony", path=path)) from error


class CeremonyLog:
    """What was done, when: one line an event, only ever added to. It never holds a key."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._path = directory / LOG_FILE
        self._clock = clock

    def write(self, event: str, **fields: object) -> None:
        """Add a line and make it durable."""
        at = datetime.fromtimestamp(self._clock.unix_ms() // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line = " ".join([at, event, *(f"{name}={_quoted(value)}" for name, value in fields.items())])
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def handed_out(self, name: KeyName, kcv: bytes, receiver: Identity) -> None:
        """Note a campus's key."""
        receiver_shown = receiver.fingerprint.replace(" ", "")
        self.write("handed_out", key=name, check_value=kcv.hex().upper(), receiver=receiver_shown)


def share_file_name(number: int, custodian: str) -> str:
    """Return the name of a custodian's share file."""
    return f"share-{number}-{custodian}.sealed"


def root_key_name(version: int, algorithm: Algorithm) -> KeyName:
    """Return the name of a root purchase key."""
    return KeyName(Usage.PURCHASE, version, algorithm, Level.ROOT, b"")


def _require_separate(custodians: Sequence[Custodian]) -> None:
    for custodian in custodians:
        require_good_passphrase(custodian.passphrase)
        if not custodian.name.isidentifier():
            raise Misconfigured(
                Sentence("{name} is no name of a custodian: letters, digits and _ only", name=custodian.name)
            )
    if _twice(custodian.name for custodian in custodians):
        raise Misconfigured(Sentence("two custodians have the same name"))
    if _twice(custodian.passphrase for custodian in custodians):
        raise Misconfigured(Sentence("two custodians have the same passphrase: each chooses alone"))


def _twice(texts: Iterable[str]) -> bool:
    listed = list(texts)
    return len(set(listed)) != len(listed)


def _shown(check_values: dict[Algorithm, bytes]) -> dict[str, str]:
    return {f"kcv_{algorithm.name.lower()}": kcv.hex().upper() for algorithm, kcv in check_values.items()}


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text else text
