"""Plays an APDU trace against a card or a PSAM and tells the first difference.

What a trace hides is not compared, and a command with hidden bytes is not sent unless somebody fills them
in; both are counted. A card draws random numbers, and all that follows depends on them: a card in this
process is given those that the trace has (`recorded_random`), so that it must answer to the byte. With a
real card the first difference is the first random number.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from campus_node.purse.channel import CardChannel
from campus_node.purse.trace_file import POWER_ON, Exchange, Veiled

_GET_CHALLENGE: Final = (0x00, 0x84)
_INIT: Final = (0x80, 0x50)
_VERIFY: Final = (0x00, 0x20)
_RANDOM_AT: Final[Mapping[int, int]] = {
    0: 8,
    1: 11,
    2: 11,
    3: 11,
    4: 11,
    5: 8,
}  # P1 of an INIT → offset of 4 bytes
_INIT_RANDOM_BYTES: Final = 4
_SERIAL_BYTES: Final = 8

Fill = Callable[[Exchange], bytes | None]


class TraceExhausted(Exception):
    """The device drew more random bytes, or other numbers of them, than the trace has."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where the device did otherwise.

    Args:
        line: of the trace, where the exchange begins.
        device: "card" or "sam".
        command: what was sent, hidden bytes as `**`; or the name of a reset.
        position: in the answer, from 0; the status word is its last two bytes.
        expected: the recorded answer, hidden bytes as `**`.
        answered: what came now.
        skipped_before: commands to this device that were skipped before; it may come from that.
    """

    line: int
    device: str
    command: str
    position: int
    expected: str
    answered: str
    skipped_before: int = 0


@dataclass(slots=True)
class Replayed:
    """What became of a replay.

    Args:
        sent: commands and resets that were sent.
        skipped: exchanges that were not: bytes of the command are hidden, or no answer was recorded.
        compared_bytes, hidden_bytes: of the answers.
        difference: None = there is none.
    """

    sent: int = 0
    skipped: int = 0
    compared_bytes: int = 0
    hidden_bytes: int = 0
    difference: Difference | None = field(default=None)


def replay(
    trace: Sequence[Exchange], channels: Mapping[str, CardChannel], fill: Fill = lambda _: None
) -> Replayed:
    """Send what the trace sent, in its order, and stop at the first difference.

    Args:
        trace: as read_trace gives it.
        channels: by device; exchanges with others are skipped.
        fill: gives the whole of a command that has hidden bytes; None = skip it.

    Raises:
        CardLeft, ReaderLost: the device went away.
    """
    outcome = Replayed()
    skipped: Counter[str] = Counter()
    for each in trace:
        channel = channels.get(each.device)
        command = each.command.octets if not each.command.hidden else fill(each)
        if channel is None or each.answer is None or command is None:
            outcome.skipped += 1
            skipped[each.device] += 1
            continue
        if each.action:
            answered = channel.power_on() if each.action == POWER_ON else channel.reset()
        else:
            answered = channel.transmit(command)
        outcome.sent += 1
        hidden = len(each.answer.hidden)
        outcome.compared_bytes += len(each.answer.octets) - hidden
        outcome.hidden_bytes += hidden
        position = each.answer.differs_from(answered)
        if position is not None:
            before = skipped[each.device]
            outcome.difference = _difference(each, each.answer, answered, position, before)
            break
    return outcome


def recorded_random(trace: Sequence[Exchange], device: str) -> Callable[[int], bytes]:
    """Return a source of the random bytes that a device drew when the trace was written, in that order.

    It raises TraceExhausted when asked for another number of bytes than was drawn, or for more.
    """
    drawn = _drawn(trace, device)

    def draw(count: int) -> bytes:
        octets = next(drawn, b"")
        if len(octets) != count:
            raise TraceExhausted(f"the device draws {count} random bytes, the trace has {len(octets)} here")
        return octets

    return draw


def fill_in(asn: bytes, pin: bytes | None = None) -> Fill:
    """Return what completes commands whose hidden bytes are of this card's serial number or its PIN.

    Args:
        asn: 10 bytes.
        pin: 2 to 6 bytes; None = VERIFY stays skipped.
    """
    serial = asn[-_SERIAL_BYTES:]

    def fill(each: Exchange) -> bytes | None:
        octets = bytearray(each.command.octets)
        if tuple(octets[:2]) == _VERIFY and pin is not None and octets[4] == len(octets) - 5 == len(pin):
            octets[5:] = pin
            return bytes(octets)
        return _with_serial(each.command, serial)

    return fill


def _with_serial(command: Veiled, serial: bytes) -> bytes | None:
    """Return the command with the serial where it fits over what is hidden; None = that is not all."""
    octets, hidden = bytearray(command.octets), set(command.hidden)
    for start in range(5, len(octets) - len(serial) + 1):
        places = range(start, start + len(serial))
        if start + 2 in hidden and all(i in hidden or octets[i] == serial[i - start] for i in places):
            octets[start : start + len(serial)] = serial
            hidden -= set(places)
    return None if hidden else bytes(octets)


def _drawn(trace: Sequence[Exchange], device: str) -> Iterator[bytes]:
    for each in trace:
        if each.device != device or each.action or each.answer is None:
            continue
        content, kind = each.answer.octets[:-2], tuple(each.command.octets[:2])
        if not content:
            continue  # refused: nothing was drawn
        if kind == _GET_CHALLENGE:
            yield content
        elif kind == _INIT and (at := _RANDOM_AT.get(each.command.octets[2])) is not None:
            yield content[at : at + _INIT_RANDOM_BYTES]


def _difference(
    each: Exchange, expected: Veiled, answered: bytes, position: int, skipped_before: int
) -> Difference:
    shown = Veiled(answered, expected.hidden & frozenset(range(len(answered))))
    return Difference(
        each.line,
        each.device,
        each.action or each.command.text(),
        position,
        expected.text(),
        shown.text(),
        skipped_before,
    )
