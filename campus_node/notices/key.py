"""The key with which a campus signs what it says to all its terminals: `pki/notice.key`, Ed25519."""

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from campus_node.pki import files
from campus_node.wording import Sentence
from federation.errors import Misconfigured

FILE_NAME: Final = "notice.key"


def signing_key(directory: Path) -> Ed25519PrivateKey:
    """Return the notice key of a campus; the first call makes it.

    Args:
        directory: the campus's `pki`.

    Raises:
        Misconfigured: it cannot be read or made, or the file holds another kind of key.
    """
    path = directory / FILE_NAME
    with files.locked(directory):
        if not path.exists():
            write_key(path, Ed25519PrivateKey.generate())
    return read_key(path)


def write_key(path: Path, key: Ed25519PrivateKey) -> None:
    """Write a private key that only its owner may read. Raise Misconfigured."""
    files.write_private(
        path,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def read_key(path: Path) -> Ed25519PrivateKey:
    """Return the Ed25519 key of a PEM file. Raise Misconfigured."""
    try:
        key = serialization.load_pem_private_key(files.read(path), password=None)
    except (ValueError, TypeError) as error:
        raise Misconfigured(Sentence("{path} holds no unencrypted PEM private key", path=path)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured(Sentence("{path} holds a key that is not Ed25519", path=path))
    return key
