"""The blocks of an image in a file: what a receiver goes on from after a power cut (B4.4)."""

import hashlib
import os
from pathlib import Path

from campus_node.lines.distribution import Manifest, block_hash
from campus_node.wording import Sentence
from federation.errors import Unavailable


class StorageFailed(Unavailable):
    """The file cannot be read or written."""


class BlockFile:
    """A `BlockStore` in one file. There is no list of what it holds: on opening, the hashes tell.

    Args:
        path: the file; made when an image begins, and made anew for one of another size.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, manifest: Manifest) -> set[int]:
        """See `BlockStore.begin`."""
        try:
            is_new = not self._path.exists()
            with self._path.open("w+b" if is_new else "r+b") as file:
                file.truncate(manifest.image_bytes)
                os.posix_fallocate(file.fileno(), 0, manifest.image_bytes)  # a disk that is full says so now
                if is_new:
                    self._keep_name()
                return {
                    block
                    for block, wanted in enumerate(manifest.block_hashes)
                    if block_hash(file.read(manifest.size_of(block))) == wanted
                }
        except OSError as error:
            raise StorageFailed(Sentence("the image's file cannot be used: {cause}", cause=error)) from error

    def write(self, manifest: Manifest, block: int, content: bytes) -> None:
        """See `BlockStore.write`."""
        try:
            with self._path.open("r+b") as file:
                file.seek(block * manifest.block_bytes)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageFailed(Sentence("the image's file cannot be used: {cause}", cause=error)) from error

    def read(self) -> bytes:
        """Return all of it. Raise StorageFailed."""
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise StorageFailed(Sentence("the image's file cannot be used: {cause}", cause=error)) from error

    def complete(self, manifest: Manifest) -> bool:
        """See `BlockStore.complete`."""
        try:
            with self._path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest() == manifest.image_sha256
        except OSError:
            return False

    def _keep_name(self) -> None:
        """Make the file's name survive a power cut as well."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
