"""The descriptors of CREATE FILE (docs/cos.md): what an application and its files are made from."""

from collections.abc import Iterator
from typing import Final

from campus_node.purse.files import (
    HOLDER_BYTES,
    HOLDER_SFI,
    LOG_BYTES,
    LOG_RECORDS_MIN,
    LOG_SFI,
    PUBLIC_BYTES,
    PUBLIC_SFI,
)
from campus_node.purse.profile import CardProfile, ProfileFile

_FREE, _MAINTENANCE, _NEVER = 0x00, 0x03, 0xFF
_WRITE: Final = {"free": _FREE, "maintenance": _MAINTENANCE, "never": _NEVER}


def card_files(profile: CardProfile) -> Iterator[tuple[int, bytes]]:
    """Yield the files of an application and their CREATE FILE descriptors (docs/cos.md)."""
    for file_id, sfi, size in ((0x0015, PUBLIC_SFI, PUBLIC_BYTES), (0x0016, HOLDER_SFI, HOLDER_BYTES)):
        yield file_id, _binary(sfi, _MAINTENANCE, size)
    yield 0x0018, bytes((0x2E, LOG_SFI, _FREE, _NEVER, LOG_RECORDS_MIN, LOG_BYTES))
    for file_id, purse in ((0x0001, profile.ed), (0x0002, profile.ep)):
        if purse is not None:
            limits = purse.balance_fen_max.to_bytes(4, "big") + purse.overdraft_fen.to_bytes(3, "big")
            yield file_id, b"\x2f" + limits
    for file in profile.files:
        yield file.file_id, _descriptor(file)


def _descriptor(file: ProfileFile) -> bytes:
    if file.records:
        size = sum(map(len, file.records))
        return bytes((0x2C, file.sfi, _FREE, _MAINTENANCE)) + size.to_bytes(2, "big")
    return _binary(file.sfi, _WRITE[file.write], len(file.content))


def _binary(sfi: int, write: int, size: int) -> bytes:
    return bytes((0x28, sfi, _FREE, write)) + size.to_bytes(2, "big")


def application_descriptor(options: int, mac2_tries: int, name: bytes) -> bytes:
    """Return the descriptor of an application; `mac2_tries` is 0 for a card's."""
    return bytes((0x38, options)) + mac2_tries.to_bytes(2, "big") + name
