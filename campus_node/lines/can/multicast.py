"""Firmware, hotlist deltas and parameters to everybody at once: the frames of class P7 (B4.4, A15).

| K | frame | index | payload |
|---|---|---|---|
| 0 | POLL | round | transfer1 ‖ what1 ‖ manifest bytes2 ‖ first 4 bytes of the manifest's SHA-256 |
| 1 | NACK window | source8 ‖ window12 | 64 bits: frames of the image that are missing of this window |
| 2 | DONE | source8 ‖ 0 | transfer1 ‖ result1 ‖ 0 0 ‖ first 4 bytes of the manifest's SHA-256 |
| 3 | NACK list | source8 ‖ 0 | three numbers of 20 bits, the last repeated; 4 bits 0 |
| 4 | MANIFEST | number | 8 bytes of the signed manifest |
| 5 | IMAGE | number | 8 bytes of the image |
| 6 | NACK blocks | source8 ‖ group12 | 64 bits: whole blocks that are missing of this group of 64 |
| 7 | NACK manifest | source8 ‖ window12 | as NACK window |

The last frame may be shorter. CAN frames reach all listeners or none, but a listener may be busy and lose
one: after each round the head polls, hears what is missing, and repeats just that.

None of these frames is authenticated. What is stored is: the manifest is signed and has a hash of each block,
so that a stranger's frames cost time and nothing else. DONE is a hint; an upgrade counts when the terminal
says so in a sealed message.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from campus_node.lines.can.ids import INDEX_MAX, Frame, Multicast, Spread, meaning, multicast_id
from campus_node.lines.distribution import Manifest, Result

FRAME_BYTES: Final = 8
WINDOW: Final = 64
LISTED: Final = 3


class Asked(IntEnum):
    """What a POLL wants to know."""

    NOTHING = 0  # it announces a manifest
    MANIFEST = 1
    IMAGE = 2


class Poll(NamedTuple):
    """The head asks, or announces."""

    turn: int
    transfer: int  # 0 to 255
    asked: Asked
    manifest_bytes: int
    manifest_mark: bytes  # first 4 bytes of its SHA-256


class Done(NamedTuple):
    """A receiver has finished."""

    source: int
    transfer: int
    result: Result
    manifest_mark: bytes


class Missing(NamedTuple):
    """A receiver lacks frames of the image or of the manifest, or whole blocks."""

    source: int
    spread: Spread
    numbers: tuple[int, ...]


def part_frame(spread: Spread, whole: bytes, number: int) -> Frame:
    """Return frame `number` of a manifest or an image."""
    return Frame(multicast_id(spread, number), whole[number * FRAME_BYTES : (number + 1) * FRAME_BYTES])


def poll_frame(poll: Poll) -> Frame:
    """Return the frame of a POLL."""
    payload = bytes([poll.transfer, poll.asked]) + poll.manifest_bytes.to_bytes(2) + poll.manifest_mark
    return Frame(multicast_id(Spread.POLL, poll.turn & INDEX_MAX), payload)


def done_frame(done: Done) -> Frame:
    """Return the frame of a DONE."""
    payload = bytes([done.transfer, done.result, 0, 0]) + done.manifest_mark
    return Frame(multicast_id(Spread.DONE, done.source << 12), payload)


def missing_frames(source: int, spread: Spread, numbers: Sequence[int], most: int) -> list[Frame]:
    """Return at most `most` frames that name missing numbers, in ascending order.

    Args:
        spread: NACK_WINDOW (lists are used where they are shorter), NACK_BLOCKS or NACK_MANIFEST.
    """
    windows: dict[int, list[int]] = {}
    for number in numbers:
        windows.setdefault(number // WINDOW, []).append(number)
    frames: list[Frame] = []
    few: list[int] = []
    for window, inside in windows.items():
        if spread is Spread.NACK_WINDOW and len(inside) < LISTED:
            few += inside
            continue
        bits = sum(1 << (WINDOW - 1 - number % WINDOW) for number in inside)
        frames.append(Frame(multicast_id(spread, source << 12 | window), bits.to_bytes(8)))
    for at in range(0, len(few), LISTED):
        listed = few[at : at + LISTED]
        listed += [listed[-1]] * (LISTED - len(listed))
        packed = (listed[0] << 40 | listed[1] << 20 | listed[2]) << 4
        frames.append(Frame(multicast_id(Spread.NACK_LIST, source << 12), packed.to_bytes(8)))
    return frames[:most]


def heard(frame: Frame) -> Poll | Done | Missing | None:
    """Return what a P7 frame other than MANIFEST and IMAGE says, or None if it makes no sense."""
    about = meaning(frame.can_id)
    if not isinstance(about, Multicast) or len(frame.payload) != FRAME_BYTES:
        return None
    source, low = about.number >> 12, about.number & 0xFFF
    match about.spread:
        case Spread.POLL:
            transfer, asked = frame.payload[:2]
            if asked not in _ALL_ASKED:
                return None
            size = int.from_bytes(frame.payload[2:4])
            return Poll(about.number, transfer, Asked(asked), size, frame.payload[4:])
        case Spread.DONE:
            transfer, result = frame.payload[:2]
            if result not in _ALL_RESULTS:
                return None
            return Done(source, transfer, Result(result), frame.payload[4:])
        case Spread.NACK_LIST:
            packed = int.from_bytes(frame.payload) >> 4
            numbers: Iterable[int] = {packed >> 40, packed >> 20 & INDEX_MAX, packed & INDEX_MAX}
            return Missing(source, Spread.NACK_WINDOW, tuple(sorted(numbers)))
        case Spread.NACK_WINDOW | Spread.NACK_BLOCKS | Spread.NACK_MANIFEST:
            bits = int.from_bytes(frame.payload)
            numbers = (low * WINDOW + at for at in range(WINDOW) if bits >> (WINDOW - 1 - at) & 1)
            return Missing(source, about.spread, tuple(numbers))
    return None


_ALL_ASKED: Final = frozenset(int(asked) for asked in Asked)
_ALL_RESULTS: Final = frozenset(int(result) for result in Result)


def frames_in(size: int) -> int:
    """Return how many frames a manifest, an image or a block of this size takes."""
    return -(-size // FRAME_BYTES)


def frames_of(manifest: Manifest, block: int) -> range:
    """Return the numbers of the frames of a block."""
    first = block * frames_in(manifest.block_bytes)
    return range(first, first + frames_in(manifest.size_of(block)))
