"""Notices to all: signed, not secret. `21 ‖ key_id4 ‖ signature64 ‖ Notice`; docs/wire.md. Pure.

A notice calls off cards at once, or announces what is going to be distributed by multicast.
"""

import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from google.protobuf.message import DecodeError

from campus_node.lines.errors import Forged, FrameBroken, MessageSize, Replayed
from campus_node.lines.line import MESSAGE_BYTES_MAX
from campus_node.lines.messages import check_hotlist
from campus_node.wording import Sentence
from campuscard.v1 import terminal_pb2 as wire

NOTICE: Final = 0x21
KEY_ID_BYTES: Final = 4
SIGNATURE_BYTES: Final = 64
HEAD_BYTES: Final = 1 + KEY_ID_BYTES + SIGNATURE_BYTES
BLOCK_HASH_BYTES: Final = 16
HASH_BYTES: Final = 32
TRANSFER_MAX: Final = 255
ADDRESSES_BYTES_MAX: Final = 32
TERMINAL_ID_BYTES: Final = 6

_PROTOCOL: Final = b"campuscard notice 1"


class Heard(NamedTuple):
    """A notice that is good: who signed it and what it says."""

    key_id: bytes
    notice: wire.Notice


def key_id(key: Ed25519PublicKey) -> bytes:
    """Return by which 4 bytes a key is named."""
    return hashlib.sha256(key.public_bytes_raw()).digest()[:KEY_ID_BYTES]


def sign(key: Ed25519PrivateKey, notice: wire.Notice) -> bytes:
    """Return a notice as it goes over a line. Raise MessageSize if it is too long for one.

    Args:
        notice: its number must be above that of every notice signed with this key before.
    """
    content: bytes = notice.SerializeToString(deterministic=True)
    named = key_id(key.public_key())
    message = bytes((NOTICE,)) + named + key.sign(_PROTOCOL + named + content) + content
    if len(message) > MESSAGE_BYTES_MAX:
        raise MessageSize(len(message), MESSAGE_BYTES_MAX)
    return message


def hear(message: bytes, keys: Mapping[bytes, Ed25519PublicKey], last_number: int, now_unix_ms: int) -> Heard:
    """Return what a notice says, once it is known to be good.

    Args:
        keys: by `key_id`; whose notices are believed.
        last_number: of the last notice taken under the same key; kept durably by who takes it.
        now_unix_ms: by the receiver's own clock.

    Raises:
        FrameBroken: it is no notice, or says nothing that we know.
        Forged: signed by nobody whom we believe.
        Replayed: not above the last number, or past its expiry.
    """
    if not HEAD_BYTES < len(message) <= MESSAGE_BYTES_MAX or message[0] != NOTICE:
        raise FrameBroken(Sentence("this is no notice"))
    named, signature, content = message[1:5], message[5:HEAD_BYTES], message[HEAD_BYTES:]
    key = keys.get(named)
    if key is None:
        raise Forged(Sentence("a notice under an unknown key"))
    try:
        key.verify(signature, _PROTOCOL + named + content)
    except InvalidSignature as wrong:
        raise Forged(Sentence("the signature of a notice is wrong")) from wrong
    notice = wire.Notice()
    try:
        notice.ParseFromString(content)
    except DecodeError as error:
        raise FrameBroken(Sentence("this is no notice")) from error
    if notice.number <= last_number or notice.expires_at_unix_ms <= now_unix_ms:
        raise Replayed(Sentence("notice {number} is old", number=notice.number))
    match notice.WhichOneof("body"):
        case "hotlist":
            check_hotlist(notice.hotlist)
        case "manifest":
            _check_manifest(notice.manifest)
        case None:
            raise FrameBroken(Sentence("this is no notice"))
    return Heard(named, notice)


def _check_manifest(manifest: wire.Manifest) -> None:
    fits = (
        1 <= manifest.transfer <= TRANSFER_MAX
        and manifest.size > 0
        and manifest.block_size > 0
        and manifest.block_size % 8 == 0
        and len(manifest.block_hashes) == -(-manifest.size // manifest.block_size)
        and all(len(each) == BLOCK_HASH_BYTES for each in manifest.block_hashes)
        and len(manifest.hash) == HASH_BYTES
        and len(manifest.addresses) <= ADDRESSES_BYTES_MAX
        and len(manifest.terminal_ids) % TERMINAL_ID_BYTES == 0
    )
    if not fits:
        raise FrameBroken(Sentence("a manifest that contradicts itself"))
