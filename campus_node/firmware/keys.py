"""Keys of those who build firmware: a campus believes what stands as `firmware*.pub` in its pki."""

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from campus_node.firmware.image import keys_by_id
from campus_node.notices.key import write_key
from campus_node.pki import files
from campus_node.wording import Sentence
from federation.errors import Misconfigured, Refused

PRIVATE: Final = "firmware.key"
_PUBLIC: Final = "firmware*.pub"


def make_key(path: Path) -> tuple[Path, Ed25519PublicKey]:
    """Make a key; return where its public half was written, beside it, and that half.

    Raises:
        Refused: there is a key already.
        Misconfigured: it cannot be written.
    """
    public_path = path.with_suffix(".pub")
    for each in (path, public_path):
        if each.exists():
            raise Refused(Sentence("{path} is there already: nothing was changed", path=each))
    files.make_private_directory(path.absolute().parent)
    key = Ed25519PrivateKey.generate()
    public = key.public_key()
    write_key(path, key)
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    files.write_private(public_path, public.public_bytes(*form))
    return public_path, public


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Return the Ed25519 public key of a PEM file. Raise Misconfigured."""
    try:
        key = serialization.load_pem_public_key(files.read(path))
    except ValueError as error:
        raise Misconfigured(Sentence("{path} holds no PEM public key", path=path)) from error
    if not isinstance(key, Ed25519PublicKey):
        raise Misconfigured(Sentence("{path} holds a key that is not Ed25519", path=path))
    return key


def believed_keys(pki: Path) -> dict[bytes, Ed25519PublicKey]:
    """Return whose images a campus believes, by key id. Raise Misconfigured: a file holds no such key."""
    return keys_by_id(read_public_key(path) for path in sorted(pki.glob(_PUBLIC)))
