"""The three levels of keys: root, group, campus, and below them the card.

Each level follows from the one above by diversification with 8 bytes that name the lower one:

    root → group     the group code, 4 bytes, written twice
    group → campus   the issuer id, 8 bytes: group code ‖ campus number
    campus → card    the last 8 bytes of the card's ASN; always the last step

Only purchase keys have a root: it exists in the key ceremony alone. Every other key begins at its campus,
where it is drawn at random and stays (B2.3). Worked example: tests/vectors/keys.toml.
"""

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from campus_node.purse.algorithm import Algorithm, diversify
from campus_node.wording import Sentence
from federation.errors import Misconfigured

KEY_BYTES: Final = 16
FACTOR_BYTES: Final = 8
ASN_BYTES: Final = 10
ISSUER_BYTES: Final = 8
GROUP_BYTES: Final = 4
VERSION_MAX: Final = 0xFE  # FF means "any" in some products

_WORDS: Final = {Algorithm.TDES: "3des", Algorithm.SM4: "sm4"}
_OWNER_BYTES: Final = {0: 0, 1: GROUP_BYTES, 2: ISSUER_BYTES}
_KEY_NAME: Final = re.compile(r"(root|group|campus)/([0-9A-F]*)/([a-z_]+)/([0-9]{1,3})/(3des|sm4)")


class Level(IntEnum):
    """How far from the root a key stands. A card's key is not stored: it follows from its campus's."""

    ROOT = 0
    GROUP = 1
    CAMPUS = 2


class Usage(StrEnum):
    """What a key is for, by the names of card and PSAM profiles."""

    PURCHASE = "purchase"  # DPK; the only one that crosses campuses, and only for PSAMs
    LOAD = "load"  # DLK
    UNLOAD = "unload"  # DULK
    OVERDRAFT = "overdraft"  # DUK
    TAC = "tac"  # DTK
    MAINTENANCE = "maintenance"  # DAMK: secure messaging
    PIN_UNBLOCK = "pin_unblock"  # DPUK
    PIN_RELOAD = "pin_reload"  # DRPK
    EXTERNAL_AUTH = "external_auth"  # DACK
    INTERNAL_AUTH = "internal_auth"
    MF_MAINTENANCE = "mf_maintenance"  # secure messaging in the card's master file
    PSAM_MAINTENANCE = "psam_maintenance"  # secure messaging of a PSAM; last factor: end of its serial
    PSAM_SESSION = "psam_session"  # a terminal's session with its node; last factor: end of the PSAM's serial
    TRANSPORT = "transport"  # the maker's key in blank cards and PSAMs, as delivered


CARD_USAGES: Final = frozenset(
    {
        Usage.PURCHASE, Usage.LOAD, Usage.UNLOAD, Usage.OVERDRAFT, Usage.TAC, Usage.MAINTENANCE,
        Usage.MF_MAINTENANCE, Usage.PIN_UNBLOCK, Usage.PIN_RELOAD, Usage.EXTERNAL_AUTH, Usage.INTERNAL_AUTH,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeyName:
    """Names one key without being it.

    Args:
        usage: what it is for.
        version: 0 to 254; a new one is issued beside the old one.
        algorithm: what it computes with.
        level: where it stands.
        owner: root: empty; group: the group code, 4 bytes; campus: the issuer id, 8 bytes.

    Raises:
        ValueError: version or owner does not fit.
    """

    usage: Usage
    version: int
    algorithm: Algorithm
    level: Level
    owner: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.version <= VERSION_MAX:
            raise ValueError(f"a key's version is 0 to {VERSION_MAX}, not {self.version}")
        if len(self.owner) != _OWNER_BYTES[self.level]:
            raise ValueError(f"the owner of a {self.level.name} key has {_OWNER_BYTES[self.level]} bytes")

    def __str__(self) -> str:
        parts = (self.level.name.lower(), self.owner.hex().upper(), self.usage.value, self.version)
        return "/".join(map(str, parts)) + f"/{algorithm_word(self.algorithm)}"


def campus_key(usage: Usage, version: int, algorithm: Algorithm, issuer: bytes) -> KeyName:
    """Return the name of a campus-level key.

    Args:
        issuer: 8 bytes as in file 0015.
    """
    return KeyName(usage, version, algorithm, Level.CAMPUS, issuer)


def parse_key_name(text: str) -> KeyName:
    """Return the key that `<level>/<owner>/<usage>/<version>/<algorithm>` names.

    Raises:
        Misconfigured: it names none.
    """
    match = _KEY_NAME.fullmatch(text)
    try:
        if match is None:
            raise ValueError(text)
        level, owner, usage, version, algorithm = match.groups()
        return KeyName(
            Usage(usage), int(version), algorithm_named(algorithm), Level[level.upper()], bytes.fromhex(owner)
        )
    except ValueError as error:
        raise Misconfigured(
            Sentence("{text} names no key: write for example campus/4355434100000001/load/1/sm4", text=text)
        ) from error


def algorithm_word(algorithm: Algorithm) -> str:
    """Return the algorithm's word in files and on the command line: 3des or sm4."""
    return _WORDS[algorithm]


def algorithm_named(word: str) -> Algorithm:
    """Return the algorithm of a word; raise ValueError."""
    for algorithm, known in _WORDS.items():
        if known == word:
            return algorithm
    raise ValueError(f"{word} is no algorithm: 3des or sm4")


def group_factor(group: bytes) -> bytes:
    """Return the factor root → group: the group code, 4 bytes, written twice.

    Raises:
        ValueError: the code has another length.
    """
    _require(group, GROUP_BYTES, "group code")
    return group * 2


def campus_factor(issuer: bytes) -> bytes:
    """Return the factor group → campus: the issuer id, 8 bytes.

    Raises:
        ValueError: it has another length.
    """
    _require(issuer, ISSUER_BYTES, "issuer id")
    return issuer


def card_factor(asn: bytes) -> bytes:
    """Return the factor campus → card: the last 8 of the ASN's 10 bytes. A PSAM's serial is taken alike.

    Raises:
        ValueError: it has another length.
    """
    _require(asn, ASN_BYTES, "application serial number")
    return asn[-FACTOR_BYTES:]


def group_of(issuer: bytes) -> bytes:
    """Return the group code that an issuer id begins with."""
    _require(issuer, ISSUER_BYTES, "issuer id")
    return issuer[:GROUP_BYTES]


def derive(algorithm: Algorithm, key: bytes, *factors: bytes) -> bytes:
    """Return the key that follows from this one by these factors, the first one applied first; 16 bytes.

    Source: JR/T 0025, diversification. Vector: tests/vectors/keys.toml.
    """
    for factor in factors:
        key = diversify(algorithm, key, factor)
    return key


def _require(given: bytes, length: int, what: str) -> None:
    if len(given) != length:
        raise ValueError(f"the {what} has {len(given)} bytes, must be {length}")
