"""What a terminal takes: signed, newer, meant for it, whole; and what a power cut leaves (B4.4, A15)."""

import errno
import random
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from os import strerror as errno_text
from pathlib import Path

import pytest

from campus_node.firmware.image import sign
from campus_node.lines import notice
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import VirtualClock
from tests.firmware.terminals import MAKER, NOTICE_KEY, STRANGER, Till, announce, blocks_of, terminal_id

CONTENT = random.Random("firmware").randbytes(5_000)
IMAGE = sign(MAKER, CONTENT, "pos-2", 7, 3)
ISSUER = bytes(7) + b"\x12"
RECEIVING, STORED = wire.DISTRIBUTION_STATE_RECEIVING, wire.DISTRIBUTION_STATE_STORED
REFUSED, FAILED, ACTIVE = (
    wire.DISTRIBUTION_STATE_REFUSED,
    wire.DISTRIBUTION_STATE_FAILED,
    wire.DISTRIBUTION_STATE_ACTIVE,
)


@pytest.fixture
def till(tmp_path: Path, clock: VirtualClock) -> Till:
    return Till(tmp_path / "till", 17, clock)


def give(till: Till, content: bytes) -> None:
    for message in blocks_of(content):
        till.receiver.heed(message)


def hotlist(number: int, before: int, after: int) -> bytes:
    delta = wire.HotlistDelta(issuer=ISSUER, from_version=before, to_version=after)
    delta.added.add(asn=bytes(10), reason=wire.HOTLIST_REASON_LOST)
    return notice.sign(NOTICE_KEY, wire.Notice(number=number, expires_at_unix_ms=1 << 50, hotlist=delta))


def test_an_image_is_announced_comes_in_blocks_and_is_stored(till: Till) -> None:
    till.receiver.notice(announce(IMAGE))
    assert (till.last().state, till.last().blocks, till.last().first_missing) == (RECEIVING, 11, 0)
    give(till, IMAGE)
    assert (till.last().state, till.last().blocks_stored) == (STORED, 11)
    assert (till.directory / "firmware.blocks").read_bytes() == IMAGE
    assert [label.version for label in till.images] == [7]


def test_a_power_cut_at_every_block_and_within_it_costs_only_that_block(
    tmp_path: Path, clock: VirtualClock
) -> None:
    signed, messages = announce(IMAGE), blocks_of(IMAGE)
    for cut in range(len(messages) + 1):
        for torn_bytes in (0, 1, 100, 511):
            till = Till(tmp_path / f"{cut}-{torn_bytes}", 17, clock)
            till.receiver.notice(signed)
            for message in messages[:cut]:
                till.receiver.heed(message)
            if cut < len(messages):  # the power goes while the next block is being written
                with (till.directory / "firmware.blocks").open("r+b") as file:
                    file.seek(cut * 512)
                    file.write(messages[cut].block.content[:-1][:torn_bytes])
            till.start()
            till.receiver.notice(signed)
            assert till.receiver.blocks.progress == (cut, len(messages))
            for number in till.receiver.blocks.missing:
                till.receiver.heed(messages[number])
            assert till.last().state == STORED
            assert (till.directory / "firmware.blocks").read_bytes() == IMAGE


def test_after_a_restart_what_was_stored_is_still_said_to_be(till: Till) -> None:
    till.receiver.notice(announce(IMAGE))
    give(till, IMAGE)
    till.start()
    till.receiver.notice(announce(IMAGE))
    assert till.last().state == STORED
    till.version = 7
    till.start()
    till.receiver.notice(announce(IMAGE))
    assert till.last().state == ACTIVE, "it runs by now"


def test_a_strangers_notice_is_counted_and_disturbs_nothing(till: Till) -> None:
    till.receiver.notice(announce(IMAGE))
    other = sign(STRANGER, b"evil", "pos-2", 9)
    for forged in (announce(other, 2, key=STRANGER), announce(other, 2)[:-1] + b"x", b"\x21garbage", b""):
        till.receiver.notice(forged)
    give(till, IMAGE)
    assert till.last().state == STORED
    assert sum(till.receiver.counts.values()) == 4


def test_a_strangers_blocks_are_not_stored(till: Till) -> None:
    till.receiver.notice(announce(IMAGE))
    for message in blocks_of(IMAGE):
        wrong = wire.FromGateway()
        wrong.CopyFrom(message)
        wrong.block.content = bytes(len(message.block.content))
        till.receiver.heed(wrong)
        wrong.block.number = 1 << 30
        till.receiver.heed(wrong)
    assert till.last().blocks_stored == 0
    assert till.receiver.blocks.bad_block_count == 11


def test_an_image_that_its_maker_did_not_sign_is_refused_though_the_campus_announced_it(till: Till) -> None:
    evil = sign(STRANGER, CONTENT, "pos-2", 7, 3)
    till.receiver.notice(announce(evil))
    give(till, evil)
    assert till.last().state == REFUSED
    assert till.images == []


@pytest.mark.parametrize(
    ("image", "version", "models"),
    [
        (sign(MAKER, CONTENT, "pos-3", 7), 7, ("pos-2",)),  # announced for us, made for others
        (sign(MAKER, CONTENT, "pos-2", 6), 7, ("pos-2",)),  # not the version that was announced
        (sign(MAKER, CONTENT, "pos-2", 9, 6), 9, ("pos-2",)),  # needs a version that is not there
        (sign(MAKER, CONTENT, "pos-2", 4), 4, ("pos-2",)),  # older
    ],
)
def test_another_model_or_version_is_refused(
    till: Till, image: bytes, version: int, models: tuple[str, ...]
) -> None:
    till.receiver.notice(announce(image, version=version, models=models))
    give(till, image)
    assert till.last().state == REFUSED
    assert till.images == []


def test_another_model_that_is_named_refuses_and_one_that_is_not_named_says_nothing(till: Till) -> None:
    till.receiver.notice(announce(IMAGE, 1, models=("pos-3",), terminal_ids=terminal_id(17)))
    assert till.last().state == REFUSED
    till.reports.clear()
    till.receiver.notice(announce(IMAGE, 2, models=("pos-3",)))
    till.receiver.notice(announce(IMAGE, 3, terminal_ids=terminal_id(18) + terminal_id(19)))
    till.receiver.step(100.0)
    assert till.reports == []
    assert till.receiver.counts["NotAddressed"] == 2


def test_a_notice_for_others_leaves_what_is_under_way(till: Till) -> None:
    till.receiver.notice(announce(IMAGE, 1))
    give(till, IMAGE[:1024])
    till.receiver.notice(announce(sign(MAKER, b"for others", "pos-2", 8), 2, terminal_ids=terminal_id(18)))
    give(till, IMAGE)
    assert till.last().state == STORED


def test_an_older_announcement_is_a_replay_also_after_a_restart(till: Till) -> None:
    newer = sign(MAKER, CONTENT, "pos-2", 8)
    till.receiver.notice(announce(newer, 5, version=8))
    till.start()
    till.receiver.notice(announce(IMAGE, 4))
    assert till.receiver.counts["Replayed"] == 1
    till.receiver.notice(announce(newer, 5, version=8))
    give(till, newer)
    assert till.last().state == STORED, "the last one itself may come again"


def test_a_revocation_between_the_blocks_of_firmware_is_taken_and_the_firmware_goes_on(till: Till) -> None:
    till.receiver.notice(announce(IMAGE, 1))
    give(till, IMAGE[:1024])
    till.receiver.notice(hotlist(2, 0, 1))
    assert till.hotlist_version == 1
    give(till, IMAGE)
    assert till.last().state == STORED


def test_a_revocation_is_taken_once_also_after_a_restart(till: Till) -> None:
    till.receiver.notice(hotlist(7, 0, 1))
    till.start()
    till.receiver.notice(hotlist(6, 1, 2))
    assert till.hotlist_version == 1
    assert till.receiver.counts["Replayed"] == 1
    till.receiver.notice(hotlist(8, 1, 2))
    assert till.hotlist_version == 2


def test_an_expired_notice_is_not_taken(till: Till, clock: VirtualClock) -> None:
    till.receiver.notice(announce(IMAGE, expires_at_unix_ms=clock.unix_ms()))
    assert till.receiver.counts["Replayed"] == 1
    assert till.receiver.blocks.manifest is None


def test_hotlists_and_parameters_come_the_same_way_and_are_in_force_at_once(till: Till) -> None:
    delta = wire.HotlistDelta(issuer=ISSUER, to_version=3)
    for number in range(100):
        delta.added.add(asn=number.to_bytes(10), reason=wire.HOTLIST_REASON_LOST)
    content = delta.SerializeToString()
    till.receiver.notice(announce(content, 1, kind=wire.DISTRIBUTION_KIND_HOTLIST, version=3))
    give(till, content)
    assert (till.last().state, till.hotlist_version) == (ACTIVE, 3)
    content = wire.Parameters(version=4).SerializeToString()
    till.receiver.notice(announce(content, 2, kind=wire.DISTRIBUTION_KIND_PARAMETERS, version=4))
    give(till, content)
    assert (till.last().state, till.parameters_version) == (ACTIVE, 4)


def test_a_delta_that_does_not_fit_is_refused(till: Till) -> None:
    delta = wire.HotlistDelta(issuer=ISSUER, from_version=2, to_version=3).SerializeToString()
    till.receiver.notice(announce(delta, kind=wire.DISTRIBUTION_KIND_HOTLIST, version=3))
    give(till, delta)
    assert (till.last().state, till.hotlist_version) == (REFUSED, 0)


def test_a_distribution_that_is_called_off_is_forgotten(till: Till) -> None:
    till.receiver.notice(announce(IMAGE, 1))
    stopped = wire.Notice(number=2, expires_at_unix_ms=1 << 50)
    stopped.stopped.transfer = 2
    till.receiver.notice(notice.sign(NOTICE_KEY, stopped))
    give(till, IMAGE)
    assert till.receiver.blocks.manifest is None
    assert till.images == []


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Let the system refuse to make files larger than this: as on a full disk, writing fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_is_said_and_it_goes_on_when_there_is_room(till: Till) -> None:
    signed = announce(IMAGE)
    with no_file_above(2_000):
        with pytest.raises(OSError, match=errno_text(errno.EFBIG)):
            (till.directory / "probe").write_bytes(bytes(3_000))
        till.receiver.notice(signed)
        assert till.last().state == FAILED
    till.receiver.notice(signed)
    give(till, IMAGE)
    assert till.last().state == STORED


def test_a_report_that_the_line_did_not_take_is_said_again(till: Till) -> None:
    till.send = lambda _report: False
    till.receiver.notice(announce(IMAGE))
    assert till.receiver.step(10.0) == 11.0
    till.send = lambda _report: True
    assert till.receiver.step(10.5) == 11.0
    assert till.reports == []
    till.receiver.step(11.0)
    assert [report.state for report in till.reports] == [RECEIVING]
    assert till.receiver.step(12.0) == float("inf"), "nothing new"


def test_a_damaged_memory_of_notices_counts_as_none(till: Till) -> None:
    till.receiver.notice(hotlist(7, 0, 1))
    for damage in (b"", b"{", b"[]", b'{"a": 1}', b"\xff"):
        (till.directory / "notices.json").write_bytes(damage)
        till.start()
        till.hotlist_version = 0
        till.receiver.notice(hotlist(7, 0, 1))
        assert till.hotlist_version == 1
