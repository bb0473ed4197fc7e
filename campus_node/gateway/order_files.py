"""Orders and images on a gateway's disk: they go on after kill -9, also while the node is away (A10)."""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from campus_node.lines.distribution import IMAGE_BYTES_MAX, Manifest, manifest_of
from campus_node.lines.errors import FrameBroken
from campus_node.lines.notice import HEAD_BYTES
from campus_node.pki import files
from campus_node.wording import Sentence
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import Misconfigured, Tampered, Unavailable

_RANKS: Final[dict[int, int]] = {
    wire.DISTRIBUTION_KIND_HOTLIST: 0,
    wire.DISTRIBUTION_KIND_PARAMETERS: 1,
    wire.DISTRIBUTION_KIND_FIRMWARE: 2,
}


class ImageUnkept(Unavailable):
    """The disk did not take a part of an image: it is fetched later."""


class ImageWrong(Tampered):
    """What was fetched is not what was announced: all of it is fetched again."""


@dataclass(frozen=True, slots=True)
class Task:
    """An order as it is carried out.

    Args:
        order: as the node gave it.
        announced: the manifest in its notice.
        manifest: the same, checked.
        expires_at_unix_ms: nobody takes it any more after that.
    """

    order: pb.Order
    announced: wire.Manifest
    manifest: Manifest
    expires_at_unix_ms: int

    @property
    def rank(self) -> tuple[int, int]:
        """What goes first: revoked cards, then parameters, then firmware; then what was ordered first."""
        return _RANKS.get(self.announced.kind, len(_RANKS)), self.order.order


def task_of(order: pb.Order) -> Task:
    """Return an order with what its notice announces. Raise FrameBroken if that makes no sense.

    The signature is not looked at: the node gave the order, and terminals verify the notice.
    """
    notice = wire.Notice()
    try:
        notice.ParseFromString(order.notice[HEAD_BYTES:])
    except DecodeError as error:
        raise FrameBroken(Sentence("this is no notice")) from error
    if notice.WhichOneof("body") != "manifest":
        raise FrameBroken(Sentence("this is no notice"))
    return Task(order, notice.manifest, manifest_of(notice.manifest), notice.expires_at_unix_ms)


class OrderFiles:
    """A directory with a file for each order and for each image.

    Args:
        directory: made if it is not there.

    Raises:
        Misconfigured: it cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        self._orders = directory / "orders"
        self._images = directory / "images"
        files.make_private_directory(self._orders)
        files.make_private_directory(self._images)

    def orders(self) -> list[pb.Order]:
        """Return the orders that are kept; what is damaged is left out: the node gives it again."""
        found = []
        for path in sorted(self._orders.iterdir()):
            with suppress(OSError, DecodeError):
                found.append(pb.Order.FromString(path.read_bytes()))
        return [order for order in found if order.order]

    def keep(self, order: pb.Order) -> None:
        """Keep an order, durably. Raise ImageUnkept."""
        try:
            files.write_private(self._orders / str(order.order), order.SerializeToString())
        except Misconfigured as error:
            raise ImageUnkept(Sentence("{cause}", cause=error)) from error

    def drop(self, number: int) -> None:
        """Forget an order."""
        with suppress(OSError):
            (self._orders / str(number)).unlink(missing_ok=True)

    def image(self, manifest: Manifest) -> bytes | None:
        """Return an image that is here whole, None if it is not."""
        try:
            content = self._whole(manifest).read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).digest() == manifest.image_sha256 else None

    def offset(self, manifest: Manifest) -> int:
        """Return how many bytes of an image are here, so that the rest can be fetched."""
        try:
            return min(self._part(manifest).stat().st_size, manifest.image_bytes)
        except OSError:
            return 0

    def add(self, manifest: Manifest, offset: int, content: bytes) -> None:
        """Keep a part of an image.

        Raises:
            ImageWrong: it does not follow what is here.
            ImageUnkept: the disk did not take it.
        """
        if offset != self.offset(manifest) or offset + len(content) > manifest.image_bytes:
            raise ImageWrong(Sentence("a part of an image that does not follow what is here"))
        try:
            with self._part(manifest).open("ab") as file:
                file.write(content)
        except OSError as error:
            raise ImageUnkept(Sentence("an image cannot be kept: {cause}", cause=error)) from error

    def complete(self, manifest: Manifest) -> bytes:
        """Return an image that has been fetched, once it is known to be what was announced, and durable.

        Raises:
            ImageWrong: it is not; what was fetched is gone.
            ImageUnkept: the disk failed.
        """
        path = self._part(manifest)
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).digest() != manifest.image_sha256:
                path.unlink()
                raise ImageWrong(Sentence("an image that is not what was announced"))
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            path.replace(self._whole(manifest))
        except OSError as error:
            raise ImageUnkept(Sentence("an image cannot be kept: {cause}", cause=error)) from error
        return content

    def drop_images_but(self, manifests: Iterable[Manifest]) -> None:
        """Forget the images that no order needs any more."""
        needed = {path.name for each in manifests for path in (self._whole(each), self._part(each))}
        with suppress(OSError):
            for path in self._images.iterdir():
                if path.name not in needed:
                    path.unlink(missing_ok=True)

    def _whole(self, manifest: Manifest) -> Path:
        assert manifest.image_bytes <= IMAGE_BYTES_MAX, "a manifest is checked when it is made"
        return self._images / manifest.image_sha256.hex()

    def _part(self, manifest: Manifest) -> Path:
        return self._images / f"{manifest.image_sha256.hex()}.part"
