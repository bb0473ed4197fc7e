"""The keys with which a campus signs what it says to all its terminals, Ed25519, each in its file of `pki`.

`notice.key` signs what is said, `hotlist.key` the hotlist of the campus's own cards (docs/hotlist.md): a list
is believed wherever it was passed on, a notice only where the campus speaks to its own terminals.
"""

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from campus_node.pki import files
from campus_node.wording import Sentence
from federation.errors import Misconfigured

FILE_NAME: Final = "notice.key"
HOTLIST_FILE_NAME: Final = "hotlist.key"


def signing_key(directory: Path, name: str = FILE_NAME) -> Ed25519PrivateKey:
    """Return a signing key of a campus; the first call makes it.

    Args:
        directory: the campus's `pki`.
        name: of its file.

    Raises:
        Misconfigured: it cannot be read or made, or the file holds another kind of key.
    """
    path = directory / name
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
