"""Secure messaging: who may write into a directory proves it with a MAC under its maintenance key."""

from hmac import compare_digest
from typing import Final

from hil_rig.virtual import status
from hil_rig.virtual.chip import Chip, Request
from hil_rig.virtual.crypto import MAC_BYTES, Key
from hil_rig.virtual.file_system import StoredKey

TDES_CHALLENGES: Final = (4, 8)


def key_in_force(chip: Chip) -> StoredKey:
    """Return the maintenance key of the current directory, else of the MF. End with 6985 if there is none."""
    key = chip.directory.maintenance_key() or chip.files.mf.maintenance_key()
    if key is None:
        raise status.Ended(status.CONDITIONS)
    return key


def opened(chip: Chip, request: Request) -> bytes:
    """Return the plain content of a command whose MAC under the key in force is right."""
    return opened_under(key_in_force(chip).cipher, request)


def opened_under(key: Key, request: Request) -> bytes:
    """Return the content before the MAC. End with 6985 (no challenge), 6987 (no MAC) or 6988 (wrong MAC)."""
    iv = _iv(key, request)
    if len(request.content) < MAC_BYTES:
        raise status.Ended(status.MAC_MISSING)
    content, mac = request.content[:-MAC_BYTES], request.content[-MAC_BYTES:]
    if not compare_digest(key.mac(request.header + content, iv), mac):
        raise status.Ended(status.MAC_WRONG)
    return content


def decrypted(key: Key, cipher: bytes) -> bytes:
    """Return what was encrypted as Ld ‖ plain, padded only if needed. End with 6A80 if it is nothing such."""
    if not cipher or len(cipher) % key.block:
        raise status.Ended(status.WRONG_CONTENT)
    blocks = key.decrypt(cipher)
    end = 1 + blocks[0]
    padding = blocks[end:]
    whole = end <= len(blocks) and len(padding) < key.block
    if not whole or (padding and padding != b"\x80".ljust(len(padding), b"\0")):
        raise status.Ended(status.WRONG_CONTENT)
    return blocks[1:end]


def answered(chip: Chip, request: Request, content: bytes) -> bytes:
    """Return the answer to a `04` reading command: content and a MAC over header and content. Unverified."""
    key = key_in_force(chip).cipher
    le = (request.le or 0) & 0xFF
    header = bytes((request.cla, request.ins, request.p1, request.p2, le))
    return content + key.mac(header + content, _iv(key, request))


def _iv(key: Key, request: Request) -> bytes:
    length = len(request.challenge)
    if length == 0 or (key.block == 8 and length not in TDES_CHALLENGES):
        raise status.Ended(status.CONDITIONS)
    return request.challenge
