"""The file format of a firmware image, signed by who built it. Pure.

| offset | bytes | field |
|---|---|---|
| 0 | 8 | `CAMPUSFW` |
| 8 | 1 | format, 1 |
| 9 | 1 | length m of the model's name, 1 to 32 |
| 10 | m | the model, a-z, 0-9 and hyphens |
| 10 + m | 4 | version, 1 to 2³² − 1, big-endian as all numbers here |
| 14 + m | 4 | minimum version: what a terminal must have to take this image; 0 = any |
| 18 + m | 4 | size of the content in bytes |
| 22 + m | 32 | SHA-256 of the content |
| 54 + m | 4 | key id: the first 4 bytes of SHA-256 of the public key |
| 58 + m | 64 | Ed25519 signature over `campuscard firmware 1` ‖ everything before it |
| 122 + m | | content |

The notice that announces an image says that a campus wants it; this signature says that its maker made it. A
terminal asks for both, and never goes back to an older version.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from campus_node.lines.distribution import BLOCK_BYTES
from campus_node.lines.notice import key_id
from campus_node.wording import Sentence
from federation.errors import Refused, Tampered
from federation.identity import is_name

MAGIC: Final = b"CAMPUSFW"
FORMAT: Final = 1
MODEL_CHARS_MAX: Final = 32
VERSION_MAX: Final = 0xFFFF_FFFF
FILE_BYTES_MAX: Final = 160 * BLOCK_BYTES  # 608 KiB: its notice fits into one message, terminals named in it
_PROTOCOL: Final = b"campuscard firmware 1"
_START: Final = struct.Struct(">8sBB")
_REST: Final = struct.Struct(">III32s4s64s")
_SIGNATURE_BYTES: Final = 64


class ImageForged(Tampered):
    """It is no image, damaged, or signed by nobody whom we believe."""


class ImageRefused(Refused):
    """The image is good and not for this terminal: another model, or not a newer version."""


@dataclass(frozen=True, slots=True)
class Label:
    """What an image says of itself.

    Args:
        model: of terminals; a DNS label of at most 32 characters.
        version: 1 to 2³² − 1.
        minimum_version: what a terminal must have to take it; below `version`.
        size: of the content, in bytes.
        sha256: of the content.

    Raises:
        ImageRefused: a field is out of its range, or the file would be too large.
    """

    model: str
    version: int
    minimum_version: int
    size: int
    sha256: bytes

    def __post_init__(self) -> None:
        if len(self.model) > MODEL_CHARS_MAX or not is_name(self.model):
            raise ImageRefused(
                Sentence(
                    "a model has a name of 1 to 32 of a-z, 0-9 and hyphens, not {model}", model=self.model
                )
            )
        if not 0 <= self.minimum_version < self.version <= VERSION_MAX:
            raise ImageRefused(
                Sentence("the minimum version must be below the version, and that at most 4294967295")
            )
        most = FILE_BYTES_MAX - _START.size - len(self.model) - _REST.size
        if not 1 <= self.size <= most:
            raise ImageRefused(
                Sentence("the content has {size} bytes, must be 1 to {most}", size=self.size, most=most)
            )


@dataclass(frozen=True, slots=True)
class Image:
    """An image whose signature was checked."""

    label: Label
    key_id: bytes
    content: bytes


def sign(key: Ed25519PrivateKey, content: bytes, model: str, version: int, minimum_version: int = 0) -> bytes:
    """Return the file of an image. Raise ImageRefused where a field does not fit."""
    label = Label(model, version, minimum_version, len(content), hashlib.sha256(content).digest())
    named = label.model.encode()
    head = _START.pack(MAGIC, FORMAT, len(named)) + named
    head += struct.pack(">III", label.version, label.minimum_version, label.size)
    head += label.sha256 + key_id(key.public_key())
    return head + key.sign(_PROTOCOL + head) + content


def open_image(file: bytes, keys: Mapping[bytes, Ed25519PublicKey]) -> Image:
    """Return what a file holds, once it is known to be whole and signed.

    Args:
        file: all of it.
        keys: by `key_id`; whose images are believed.

    Raises:
        ImageForged: anything is wrong with it.
    """
    if len(file) > FILE_BYTES_MAX:
        raise ImageForged(Sentence("this is no firmware image"))
    label, named, signed_bytes = _read(file)
    key = keys.get(named)
    if key is None:
        raise ImageForged(
            Sentence("the image is signed with the key {key}, which is unknown here", key=named.hex().upper())
        )
    signature = file[signed_bytes : signed_bytes + _SIGNATURE_BYTES]
    try:
        key.verify(signature, _PROTOCOL + file[:signed_bytes])
    except InvalidSignature as wrong:
        raise ImageForged(Sentence("the signature of the image is wrong")) from wrong
    content = file[signed_bytes + _SIGNATURE_BYTES :]
    if len(content) != label.size or hashlib.sha256(content).digest() != label.sha256:
        raise ImageForged(Sentence("the content of the image is not what was signed"))
    return Image(label, named, content)


def label_of(file: bytes) -> tuple[Label, bytes]:
    """Return what a file says of itself and the id of its key; nothing is checked but its form.

    Raises:
        ImageForged: it is no image.
    """
    label, named, _ = _read(file)
    return label, named


def check_fits(label: Label, model: str, version: int) -> None:
    """Raise ImageRefused unless a terminal of this model and version may take the image."""
    if label.model != model:
        raise ImageRefused(
            Sentence("the image is for {model}, this is a {other}", model=label.model, other=model)
        )
    if label.version <= version:
        raise ImageRefused(
            Sentence("the image has version {version}, {has} is there", version=label.version, has=version)
        )
    if version < label.minimum_version:
        raise ImageRefused(
            Sentence(
                "the image needs version {least}, {has} is there", least=label.minimum_version, has=version
            )
        )


def keys_by_id(keys: Iterable[Ed25519PublicKey]) -> dict[bytes, Ed25519PublicKey]:
    """Return public keys by the id under which images and notices name them."""
    return {key_id(key): key for key in keys}


def _read(file: bytes) -> tuple[Label, bytes, int]:
    """Return label, key id, and how many bytes the signature covers."""
    try:
        magic, form, length = _START.unpack_from(file)
        named = file[_START.size : _START.size + length].decode("ascii")
        version, minimum, size, sha256, key_named, _ = _REST.unpack_from(file, _START.size + length)
        if magic != MAGIC or form != FORMAT:
            raise ImageForged(Sentence("this is no firmware image"))
        label = Label(named, version, minimum, size, sha256)
    except (struct.error, UnicodeDecodeError, ImageRefused) as error:
        raise ImageForged(Sentence("this is no firmware image")) from error
    return label, key_named, _START.size + length + _REST.size - _SIGNATURE_BYTES
