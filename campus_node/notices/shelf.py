"""The bytes that are distributed, each under its SHA-256: what gateways fetch, part by part."""

import hashlib
from pathlib import Path
from typing import Final

from campus_node.pki import files
from campus_node.wording import Sentence
from federation.errors import NotFound

PART_BYTES_MAX: Final = 65_536
_HASH_BYTES: Final = 32


class Shelf:
    """A directory of files named by their hash.

    Args:
        directory: made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, content: bytes) -> bytes:
        """Keep content, durably; return its SHA-256. Raise Misconfigured if it cannot be written."""
        digest = hashlib.sha256(content).digest()
        path = self._path(digest)
        if not path.exists():
            files.make_private_directory(self._directory)
            files.write_private(path, content)
        return digest

    def get(self, digest: bytes) -> bytes:
        """Return the whole content. Raise NotFound, also where the file is not what its name says."""
        try:
            content = self._path(digest).read_bytes()
        except OSError as error:
            raise self._not_found(digest) from error
        if hashlib.sha256(content).digest() != digest:
            raise self._not_found(digest)
        return content

    def part(self, digest: bytes, offset: int) -> bytes:
        """Return up to PART_BYTES_MAX bytes from an offset on; none at its end. Raise NotFound."""
        try:
            with self._path(digest).open("rb") as file:
                file.seek(offset)
                return file.read(PART_BYTES_MAX)
        except (OSError, ValueError) as error:
            raise self._not_found(digest) from error

    def _path(self, digest: bytes) -> Path:
        if len(digest) != _HASH_BYTES:
            raise self._not_found(digest)
        return self._directory / digest.hex()

    @staticmethod
    def _not_found(digest: bytes) -> NotFound:
        return NotFound(Sentence("there is no image {hash}", hash=digest.hex().upper()))
