"""What is gathered without the state machine is what it would have made of it, whatever comes."""

import random

import isotp
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.lines.can import transfer as module
from campus_node.lines.can.ids import Frame, Priority, physical_id
from campus_node.lines.can.transfer import Transfer, is_consecutive

FROM_TILL = physical_id(Priority.P6, 0, 7)


class Library:
    """can-isotp alone: every frame goes through its state machine."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.posted: list[bytes] = []
        self.errors = 0
        self._inbox: list[isotp.CanMessage] = []
        address = isotp.Address(
            isotp.AddressingMode.NormalFixed_29bits,
            target_address=7,
            source_address=0,
            physical_id=0x18DA0000,
        )
        self._logic = isotp.TransportLayerLogic(
            lambda _: self._inbox.pop(0) if self._inbox else None,
            lambda message: self.posted.append(bytes(message.data)),
            address,
            error_handler=self._count,
            params=module._PARAMETERS,
        )

    def take(self, payload: bytes) -> None:
        self._inbox.append(isotp.CanMessage(FROM_TILL, len(payload), payload, extended_id=True))
        while self._inbox:
            self._logic.process()
        while (message := self._logic.recv()) is not None:
            self.received.append(bytes(message))

    @property
    def receiving(self) -> bool:
        return self._logic.rx_state is not self._logic.RxState.IDLE

    def _count(self, _error: Exception) -> None:
        self.errors += 1


class Both:
    """The transfer, as a line drives it, beside the library."""

    def __init__(self) -> None:
        self.posted: list[Frame] = []
        self.transfer = Transfer(
            Priority.P6, 0, 7, self.posted.append, answer_within_s=1, pause_s=1, attempts=1
        )
        self.library = Library()
        self._last = b""

    def take(self, payload: bytes) -> None:
        frame = Frame(FROM_TILL, payload)
        repeated = payload == self._last and (is_consecutive(frame) or payload[:1] < b"\x10")
        self._last = payload
        if not self.transfer.follow(frame, 0.0):
            self.transfer.take(frame, 0.0)
        if payload and not repeated:
            self.library.take(payload)

    def check(self) -> None:
        assert list(self.transfer.received) == self.library.received
        assert [frame.payload for frame in self.posted] == self.library.posted


def frames_of(message: bytes) -> list[bytes]:
    """Cut a message as ISO 15765-2 says."""
    if len(message) <= 7:
        return [bytes([len(message)]) + message]
    frames = [(0x1000 | len(message)).to_bytes(2) + message[:6]]
    for number, at in enumerate(range(6, len(message), 7), 1):
        frames.append(bytes([0x20 | number & 15]) + message[at : at + 7])
    return frames


@settings(max_examples=300, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=6),
    faults=st.dictionaries(
        st.integers(0, 200), st.sampled_from(["drop", "twice", "short", "long", "swap", "alter", "fc"])
    ),
    luck=st.randoms(use_true_random=False),
)
def test_damaged_streams_end_as_in_the_library(
    sizes: list[int], faults: dict[int, str], luck: random.Random
) -> None:
    stream = [frame for size in sizes for frame in frames_of(luck.randbytes(size))]
    for at, fault in sorted(faults.items(), reverse=True):
        if at >= len(stream):
            continue
        match fault:
            case "drop":
                del stream[at]
            case "twice":
                stream.insert(at, stream[at])
            case "short":
                stream[at] = stream[at][:-1]
            case "long":
                stream[at] = (stream[at] + bytes(8))[:8]
            case "swap":
                stream[at - 1], stream[at] = stream[at], stream[at - 1]
            case "alter":
                stream[at] = bytes([luck.randrange(256)]) + stream[at][1:]
            case "fc":
                stream.insert(at, bytes([0x30, 0, 0]))
    both = Both()
    for payload in stream:
        both.take(payload)
    both.check()


@settings(max_examples=300, deadline=None)
@given(stream=st.lists(st.binary(max_size=8), max_size=60))
def test_noise_ends_as_in_the_library(stream: list[bytes]) -> None:
    both = Both()
    for payload in stream:
        both.take(payload)
    both.check()


def test_the_middle_of_a_whole_message_is_followed_but_not_what_opens_or_ends_it() -> None:
    both = Both()
    frames = frames_of(bytes(range(200)))
    for payload in frames:
        both.take(payload)
    both.check()
    assert both.library.received == [bytes(range(200))]
    assert both.transfer.take_followed() == len(frames) - 3
    assert both.transfer.take_followed() == 0
    assert both.transfer.broken_count == both.library.errors == 0
    assert not both.transfer.receiving


def test_a_message_that_stops_half_way_is_given_up_and_the_next_one_arrives() -> None:
    both = Both()
    for payload in frames_of(bytes(100))[:6]:
        both.take(payload)
    assert both.transfer.receiving
    assert both.transfer.step(1.5) == float("inf")
    assert both.transfer.broken_count == 1
    for payload in frames_of(b"again" * 10):
        both.transfer.take(Frame(FROM_TILL, payload), 2.0)
    assert list(both.transfer.received) == [b"again" * 10]
