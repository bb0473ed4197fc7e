"""Images and notices to all terminals of a bus: signed, verified at each terminal, stored in files."""

import random
from enum import Enum
from pathlib import Path
from typing import Final, Protocol, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.harness import BenchBroken
from bench.lines_buses import Bus
from campus_node.lines.block_file import BlockFile
from campus_node.lines.can.multicast_receiver import MulticastReceiver
from campus_node.lines.can.terminal import TerminalLine
from campus_node.lines.distribution import BLOCK_BYTES, BlockReceiver, Distributing, Manifest, manifest_of
from campus_node.lines.line import ALL
from campus_node.lines.notice import hear, key_id, sign
from campuscard.v1 import terminal_pb2 as wire

NOW_UNIX_MS: Final = 1_788_220_800_000
DAY_MS: Final = 86_400_000
ISSUER: Final = bytes.fromhex("4355434100000001")
SIGNATURE_BYTES: Final = 64
WITHIN_S: Final = 600.0


class Receiving(Protocol):
    """A terminal's line that takes a receiver."""

    def attach_receiver(self, receiver: BlockReceiver) -> None: ...


class Signer:
    """Signs notices, and hears them as a terminal does."""

    def __init__(self, seed: int) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(random.Random(f"signer {seed}").randbytes(32))
        public = self._key.public_key()
        self._keys = {key_id(public): public}
        self._number = 0

    def sign(self, **body: object) -> bytes:
        """Return a signed notice with this body."""
        self._number += 1
        expires = NOW_UNIX_MS + DAY_MS
        notice = wire.Notice(number=self._number, expires_at_unix_ms=expires, **body)  # type: ignore[arg-type]  # one body
        return sign(self._key, notice)

    def hear(self, message: bytes) -> wire.Notice:
        """Return what a notice says; raise Tampered."""
        return hear(message, self._keys, self._number - 1, NOW_UNIX_MS).notice

    def manifest(self, message: bytes) -> Manifest:
        """Return what a notice announces; raise Tampered."""
        return manifest_of(self.hear(message).manifest)


class Kind(Enum):
    """What is distributed."""

    FIRMWARE = wire.DISTRIBUTION_KIND_FIRMWARE
    HOTLIST = wire.DISTRIBUTION_KIND_HOTLIST


def cards(count: int, seed: int) -> wire.HotlistDelta:
    """Return a delta with so many lost cards and its issuer's signature."""
    draw = random.Random(f"cards {seed}")
    numbers = (bytes.fromhex(f"00000001{draw.randrange(10**12):012d}") for _ in range(count))
    added = [wire.HotlistEntry(asn=asn, reason=wire.HOTLIST_REASON_LOST) for asn in numbers]
    signature = draw.randbytes(SIGNATURE_BYTES)
    return wire.HotlistDelta(issuer=ISSUER, from_version=7, to_version=8, added=added, signature=signature)


def revoke(bus: Bus, seed: int) -> float:
    """Tell all terminals of one lost card; return after how many seconds the last one knew."""
    signer = Signer(seed)
    delta = cards(1, seed)
    notice = signer.sign(hotlist=delta)
    bus.run(1.0)  # heartbeats and time go on, as ever
    missing, begun_s = set(bus.tills), bus.now_s
    bus.head.send(ALL, notice, urgent=True)

    def pump() -> bool:
        for address in sorted(missing):
            received = bus.tills[address].receive(0)
            if received is not None and signer.hear(received.message).hotlist == delta:
                missing.discard(address)
        return not missing

    if not bus.run(WITHIN_S, pump):
        raise BenchBroken(f"{len(missing)} terminals did not hear of a lost card")
    return bus.now_s - begun_s


def spread(bus: Bus, image: bytes, kind: Kind, load: float, directory: Path, seed: int) -> float:
    """Distribute an image to all terminals; return after how many seconds the last one had stored it.

    Raises:
        BenchBroken: one of them has it not, or changed.
    """
    signer = Signer(seed)
    manifest = Manifest.of(image, BLOCK_BYTES)
    announced = wire.Manifest(
        transfer=1, kind=kind.value, version=8, size=len(image), block_size=BLOCK_BYTES,
        block_hashes=manifest.block_hashes, hash=manifest.image_sha256,
    )  # fmt: skip
    notice = signer.sign(manifest=announced)
    paths = {address: directory / f"{address}.image" for address in bus.tills}
    for address, path in paths.items():
        path.unlink(missing_ok=True)
        _attach(bus, address, BlockReceiver(signer.manifest, BlockFile(path)))
    bus.run(1.0)
    begun_s = bus.now_s
    head = cast("Distributing", bus.head)  # both lines are; their protocol is checked where they are made
    under_way = head.distribute(1, notice, image, set(bus.tills), block_bytes=BLOCK_BYTES, load=load)
    if not bus.run(WITHIN_S, lambda: under_way.over):
        raise BenchBroken(
            f"{len(under_way.waiting_for)} terminals have no whole image after {WITHIN_S:.0f} s"
        )
    took_s = bus.now_s - begun_s
    wrong = [address for address, path in paths.items() if path.read_bytes() != image]
    if wrong or under_way.stored != set(bus.tills):
        raise BenchBroken(f"terminals {wrong} stored another image than was sent")
    return took_s


def _attach(bus: Bus, address: int, receiver: BlockReceiver) -> None:
    line = bus.tills[address]
    if isinstance(line, TerminalLine):
        line.attach(MulticastReceiver(address, receiver))
    else:
        cast("Receiving", line).attach_receiver(receiver)


def random_image(size: int, seed: int) -> bytes:
    """Return an image that nothing compresses."""
    return random.Random(f"image {seed}").randbytes(size)
