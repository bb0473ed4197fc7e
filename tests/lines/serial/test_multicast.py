"""Images to many over RS-485: only what lacks is repeated, only what is signed is stored (B4.4, A15)."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from campus_node.lines.block_file import BlockFile
from campus_node.lines.distribution import BLOCK_BYTES, BlockReceiver, Manifest, NotAddressed, Result
from campus_node.lines.errors import Forged
from campus_node.lines.line import HEAD
from campus_node.lines.serial.frames import Kind, SerialFrame
from campus_node.lines.serial.spread import NOTICE_NUMBER, missing_payload, piece_payload
from campus_node.lines.serial.spread_sender import SILENT_ROUNDS_MAX, SpreadSender
from federation.errors import Unavailable
from hil_rig.virtual.line_time import LineTime, node_name

TRANSFER = 7


class Spreading:
    """An image, its manifest (whose signature is a fixed word here) and a receiver at each terminal."""

    def __init__(
        self,
        bus: LineTime,
        directory: Path,
        size: int,
        *,
        expected: set[int] | None = None,
        block_bytes: int = BLOCK_BYTES,
        load: float = 0.9,
    ) -> None:
        self.bus = bus
        self.directory = directory
        self.image = random.Random(f"image {size}").randbytes(size)
        self.manifest = Manifest.of(self.image, block_bytes)
        rest = random.Random("manifest").randbytes(100 + 16 * self.manifest.blocks)
        self.signed = b"signed" + rest
        self.receivers = {address: self.attach(address) for address in bus.tills}
        bus.run(1.0, lambda: bus.head.addresses().known == bus.tills.keys())
        self.begun_s = bus.now_s
        self.sender = bus.head.distribute(
            TRANSFER, self.signed, self.image, expected or set(bus.tills), block_bytes=block_bytes, load=load
        )

    def attach(self, address: int, trust: Callable[[bytes], bool] = lambda _signed: True) -> BlockReceiver:
        def open_manifest(signed: bytes) -> Manifest:
            if signed != self.signed or not trust(signed):
                raise Forged("signature")
            return self.manifest

        receiver = BlockReceiver(open_manifest, BlockFile(self.path(address)))
        self.bus.tills[address].attach_receiver(receiver)
        return receiver

    def path(self, address: int) -> Path:
        return self.directory / f"{address}.image"

    def run(self, for_s: float) -> bool:
        return self.bus.run(for_s, lambda: self.sender.over)

    def whole(self) -> set[int]:
        return {
            a for a in self.bus.tills if self.path(a).exists() and self.path(a).read_bytes() == self.image
        }

    @property
    def pieces(self) -> int:
        return len(self.image) // 900


@pytest.mark.parametrize(
    ("terminals", "size", "byte_errors"),
    [(10, 64 * 1024, 1e-6), (5, 20_001, 1e-4), (3, 9, 0.0), (2, 30_000, 2e-4)],
)
def test_everybody_gets_the_whole_image_and_only_what_was_lost_is_repeated(
    tmp_path: Path, terminals: int, size: int, byte_errors: float, seed: int
) -> None:
    bus = LineTime(terminals, byte_errors=byte_errors, seed=seed)
    spread = Spreading(bus, tmp_path, size)
    assert spread.run(120), spread.sender.waiting_for
    assert spread.sender.stored == spread.whole() == set(bus.tills)
    hits = sum(port.wrong_bytes for port in bus.ports.values())
    assert hits or byte_errors < 1e-4
    least = -(-size // 976)
    assert least <= spread.sender.piece_count <= least + 4 + hits
    bus.close()


def test_an_image_goes_on_while_records_are_taken(tmp_path: Path) -> None:
    bus = LineTime(3)
    spread = Spreading(bus, tmp_path, 32 * 1024, load=0.5)
    for line in bus.tills.values():
        for _ in range(6):
            line.send(HEAD, bytes(96))
    bus.run(1.0)
    assert not spread.sender.over
    assert sum(1 for _ in iter(lambda: bus.head.receive(0), None)) == 18, "records go in between"
    assert spread.run(60)
    assert spread.whole() == {1, 2, 3}
    taken_s = bus.now_s - spread.begun_s
    assert taken_s > 32 * 1024 * 10 / 115_200 / 0.5 * 0.9, "it leaves half of the line to others"
    bus.close()


def test_a_terminal_goes_on_after_a_power_cut_with_what_it_had(tmp_path: Path) -> None:
    bus = LineTime(2)
    spread = Spreading(bus, tmp_path, 64 * 1024)
    bus.run(3.0)
    blocks, total = spread.receivers[2].progress
    assert 0 < blocks < total
    spread.attach(2)  # all that was in memory is gone, the file is there
    bus.head.stop_distribution()
    bus.run(0.5)
    again = spread.bus.head.distribute(
        TRANSFER, spread.signed, spread.image, {1, 2}, block_bytes=BLOCK_BYTES, load=0.9
    )
    assert bus.run(30, lambda: again.over)
    assert spread.whole() == again.stored == {1, 2}
    assert again.piece_count <= 4 * (total - blocks + 1), "what everybody has is not sent again"
    bus.close()


def test_a_terminal_that_comes_late_gets_everything_and_one_that_is_away_is_named(tmp_path: Path) -> None:
    bus = LineTime(4)
    for address in (3, 4):
        bus.ports[node_name(address)].node.unplug()
    spread = Spreading(bus, tmp_path, 8 * 1024)
    bus.run(1.5)
    bus.ports[node_name(3)].node.plug()
    assert spread.run(60)
    assert spread.whole() == spread.sender.stored == {1, 2, 3}
    assert spread.sender.silent == {4}
    bus.close()


def test_a_manifest_with_a_wrong_signature_is_refused_and_nothing_is_stored(tmp_path: Path) -> None:
    bus = LineTime(2)
    spread = Spreading(bus, tmp_path, 4096)
    suspicious = spread.attach(2, trust=lambda _signed: False)
    assert spread.run(30)
    assert spread.sender.refused == {2}
    assert spread.sender.stored == {1}
    assert suspicious.result is Result.REFUSED
    assert not spread.path(2).exists()
    bus.close()


def test_who_is_not_meant_says_so_and_stores_nothing(tmp_path: Path) -> None:
    bus = LineTime(2)
    spread = Spreading(bus, tmp_path, 4096)

    def open_manifest(_signed: bytes) -> Manifest:
        raise NotAddressed("for others")

    bus.tills[2].attach_receiver(BlockReceiver(open_manifest, BlockFile(spread.path(2))))
    assert spread.run(30)
    assert (spread.sender.stored, spread.sender.refused) == ({1}, {2})
    assert not spread.path(2).exists()
    bus.close()


def test_a_strangers_pieces_cost_time_and_are_not_stored(tmp_path: Path, seed: int) -> None:
    bus = LineTime(2)
    spread = Spreading(bus, tmp_path, 32 * 1024, load=0.6)
    stranger, rng = bus.model.attach("stranger", 115_200), random.Random(f"stranger {seed}")
    for _ in range(8):
        bus.run(0.1)
        offset = rng.randrange(9) * BLOCK_BYTES + rng.randrange(4) * 976
        payload = piece_payload(TRANSFER, offset, rng.randbytes(976))
        stranger.write(SerialFrame(0xFF, 0, Kind.BLOCK, payload=payload).encode())
    assert spread.run(60)
    assert spread.whole() == spread.sender.stored == {1, 2}
    bus.close()


class ForgetfulStore:
    """A store that fails to open some times, as a full disk does."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.blocks: dict[int, bytes] = {}

    def begin(self, _manifest: Manifest) -> set[int]:
        if self.failures:
            self.failures -= 1
            raise Unavailable("the disk is full")
        return set(self.blocks)

    def write(self, _manifest: Manifest, block: int, content: bytes) -> None:
        self.blocks[block] = content

    def complete(self, manifest: Manifest) -> bool:
        return len(self.blocks) == manifest.blocks


def test_a_store_that_fails_for_a_while_has_it_all_in_the_end(tmp_path: Path) -> None:
    bus = LineTime(2)
    spread = Spreading(bus, tmp_path, 9_000)
    store = ForgetfulStore(3)
    bus.tills[2].attach_receiver(BlockReceiver(lambda _signed: spread.manifest, store))
    assert spread.run(60)
    assert spread.sender.stored == {1, 2}
    assert b"".join(store.blocks[block] for block in sorted(store.blocks)) == spread.image
    bus.close()


def test_another_transfer_under_the_same_number_is_not_taken_for_this_one(tmp_path: Path) -> None:
    bus = LineTime(1)
    (tmp_path / "a").mkdir()
    first = Spreading(bus, tmp_path / "a", 3_000)
    assert first.run(20)
    (tmp_path / "b").mkdir()
    second = Spreading(bus, tmp_path / "b", 5_000)
    assert second.run(20)
    assert second.whole() == second.sender.stored == {1}
    bus.close()


def test_answers_that_nobody_can_mean_do_not_stop_a_transfer() -> None:
    sender = SpreadSender(1, b"signed" * 400, bytes(3_000), {1}, block_bytes=1_000, load=1.0)
    now_s, pieces, rounds = 0.0, 0, 0
    while not sender.over and rounds < 3_000:
        now_s, rounds = now_s + 0.1, rounds + 1
        frame = sender.frame(now_s)
        if frame is None:
            continue
        if frame.kind is Kind.MISSING:
            sender.answered(1, missing_payload(1, [3, 4, 5_000, NOTICE_NUMBER + 900]))
        else:
            pieces += 1
    assert sender.over, "it ends after so many rounds"
    assert sender.silent == {1}
    assert pieces > SILENT_ROUNDS_MAX


@pytest.mark.parametrize(
    ("transfer", "notice", "image", "block_bytes", "load"),
    [
        (0, b"n", b"i", 8, 0.5),
        (256, b"n", b"i", 8, 0.5),
        (1, b"", b"i", 8, 0.5),
        (1, b"n", b"", 8, 0.5),
        (1, b"n", b"i", 12, 0.5),
        (1, b"n", b"i", 8, 0.0),
        (1, b"n", bytes(300_000), 8, 1.0),
    ],
)
def test_what_cannot_be_spread_is_refused_at_once(
    transfer: int, notice: bytes, image: bytes, block_bytes: int, load: float
) -> None:
    with pytest.raises(ValueError, match=r"none|too small"):
        SpreadSender(transfer, notice, image, {1}, block_bytes=block_bytes, load=load)
