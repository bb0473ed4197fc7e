"""Terminals that take distributions, as real as they get without a line: files, keys, what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from campus_node.firmware.image import Label, keys_by_id
from campus_node.lines import notice
from campus_node.lines.distribution import Manifest
from campus_node.terminal.receiver import Itself, Receiver, Taking
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock

NOTICE_KEY = Ed25519PrivateKey.from_private_bytes(b"notice key of a test campus".ljust(32, b"."))
MAKER = Ed25519PrivateKey.from_private_bytes(b"maker of test firmware".ljust(32, b"."))
STRANGER = Ed25519PrivateKey.from_private_bytes(b"a stranger".ljust(32, b"."))
MODEL = "pos-2"


def terminal_id(number: int) -> bytes:
    return number.to_bytes(6)


@dataclass
class Till:
    """What a terminal keeps across restarts, and its receiver."""

    directory: Path
    number: int
    clock: Clock
    version: int = 5
    model: str = MODEL
    hotlist_version: int = 0
    parameters_version: int = 0
    images: list[Label] = field(default_factory=list)
    reports: list[wire.DistributionReport] = field(default_factory=list)
    send: Callable[[wire.DistributionReport], bool] = lambda _report: True  # over its line, if it has one

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin with what is on the disk: all that was in memory is gone."""
        self.receiver = Receiver(
            self.directory,
            Itself(terminal_id(self.number), self.model, self.version, self.number % 255),
            keys_by_id([NOTICE_KEY.public_key()]),
            keys_by_id([MAKER.public_key()]),
            Taking(self._hotlist, self._parameters, lambda _path, label: self.images.append(label)),
            clock=self.clock,
            say=self.say,
        )

    def say(self, report: wire.DistributionReport) -> bool:
        sent = self.send(report)
        if sent:
            self.reports.append(report)
        return sent

    def last(self) -> wire.DistributionReport:
        """Return what it says of itself now."""
        self.receiver.step(0.0)
        return self.reports[-1]

    def _hotlist(self, delta: wire.HotlistDelta) -> bool:
        if delta.from_version == self.hotlist_version or not delta.from_version:
            self.hotlist_version = max(delta.to_version, self.hotlist_version)
        return self.hotlist_version >= delta.to_version

    def _parameters(self, parameters: wire.Parameters) -> bool:
        self.parameters_version = max(parameters.version, self.parameters_version)
        return True


def announce(
    content: bytes,
    number: int = 1,
    *,
    key: Ed25519PrivateKey = NOTICE_KEY,
    kind: wire.DistributionKind.ValueType = wire.DISTRIBUTION_KIND_FIRMWARE,
    version: int = 7,
    models: tuple[str, ...] = (MODEL,),
    terminal_ids: bytes = b"",
    block_bytes: int = 512,
    expires_at_unix_ms: int = 1 << 50,
) -> bytes:
    """Return a signed notice that announces content."""
    manifest = Manifest.of(content, block_bytes)
    announced = wire.Manifest(
        transfer=number % 255 + 1,
        kind=kind,
        version=version,
        size=len(content),
        block_size=block_bytes,
        block_hashes=manifest.block_hashes,
        hash=manifest.image_sha256,
        models=models,
        terminal_ids=terminal_ids,
    )
    said = wire.Notice(number=number, expires_at_unix_ms=expires_at_unix_ms, manifest=announced)
    return notice.sign(key, said)


def blocks_of(content: bytes, block_bytes: int = 512) -> list[wire.FromGateway]:
    """Return content as the messages of a line without multicast."""
    digest = Manifest.of(content, block_bytes).image_sha256
    return [
        wire.FromGateway(
            block=wire.DistributionBlock(hash=digest, number=number, content=content[at : at + block_bytes])
        )
        for number, at in enumerate(range(0, len(content), block_bytes))
    ]
