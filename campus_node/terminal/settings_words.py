"""What a single setting of a terminal must look like; see `campus_node.settings_checks`."""

import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic_core import PydanticCustomError

from campus_node import settings_checks as checks
from campus_node.wording import Sentence

_KEY = re.compile(r"[0-9A-Fa-f]{64}")
_ISSUER = re.compile(r"[0-9A-Fa-f]{16}")


def _wrong(template: str, **fields: object) -> PydanticCustomError:
    return PydanticCustomError("sentence", "{sentence}", {"sentence": Sentence(template, **fields)})


def one_byte(text: str) -> str:
    """Two hexadecimal digits."""
    if re.fullmatch(r"[0-9A-Fa-f]{2}", text) is None:
        raise _wrong("is not a byte of two hexadecimal digits")
    return text


def issuer(text: str) -> str:
    """An issuer's id, sixteen hexadecimal digits."""
    if _ISSUER.fullmatch(text) is None:
        raise _wrong("is no issuer id of 16 hexadecimal digits")
    return text


def listen_or_nothing(text: str) -> str:
    """HOST:PORT, or nothing."""
    return checks.listen(text) if text else text


def keys(text: str) -> str:
    """Public keys, joined by commas, or nothing."""
    if any(_KEY.fullmatch(each) is None for each in parts(text)):
        raise _wrong("is no list of public keys: 64 hexadecimal digits each, by commas")
    return text


def issuer_keys(text: str) -> str:
    """ISSUER:KEY, joined by commas, or nothing."""
    for each in parts(text):
        named, _, key = each.partition(":")
        if _ISSUER.fullmatch(named) is None or _KEY.fullmatch(key) is None:
            raise _wrong("is no list of ISSUER:KEY: 16 and 64 hexadecimal digits, by commas")
    return text


def parts(text: str) -> list[str]:
    """Return what stands between the commas."""
    return [each.strip() for each in text.split(",") if each.strip()]


def public_keys(text: str) -> list[Ed25519PublicKey]:
    """Return the keys of a checked list."""
    return [Ed25519PublicKey.from_public_bytes(bytes.fromhex(each)) for each in parts(text)]


def keys_by_issuer(text: str) -> dict[bytes, list[Ed25519PublicKey]]:
    """Return the keys of a checked list, by issuer."""
    found: dict[bytes, list[Ed25519PublicKey]] = {}
    for each in parts(text):
        named, _, key = each.partition(":")
        found.setdefault(bytes.fromhex(named), []).extend(public_keys(key))
    return found
