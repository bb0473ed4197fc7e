"""What a stranger hears on a bus, and plays again: frames as they were, and the messages in them."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import can

from campus_node.lines.serial.frames import FrameParser, Kind, SerialFrame
from campus_node.lines.serial.serial_port import SerialDevice
from hil_rig.virtual.can_bus.broker_node import BrokerNode

TO_THE_HEAD: Final = 0x18DA_0000  # P6, target 00; the source is the last byte

LISTEN_EVERY_S: Final = 0.02
SEND_S_MAX: Final = 5.0


class Tap(Protocol):
    """Somebody with a clip on the wire."""

    def listen(self) -> None:
        """Take down what was said since the last call."""

    def messages_of(self, source: int) -> list[bytes]:
        """Return the whole messages that this address sent to the head."""

    def replay(self, source: int) -> int:
        """Put this address's frames on the wire again as they were; return how many."""

    def close(self) -> None: ...


@contextmanager
def listening(taps: Collection[Tap]) -> Iterator[None]:
    """Let them take everything down while the block runs, and close them."""
    ending = threading.Event()

    def listen() -> None:
        while not ending.wait(LISTEN_EVERY_S):
            for tap in taps:
                tap.listen()

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        for tap in taps:
            tap.close()


class CanTap:
    """On a broker's bus. Args: channel: its socket."""

    def __init__(self, channel: str) -> None:
        self._bus = BrokerNode(channel, "tap")
        self._heard: list[can.Message] = []
        self._one_at_a_time = threading.Lock()  # who sends may read, too, to learn of a place in the queue

    def listen(self) -> None:
        with self._one_at_a_time:
            while (message := self._bus.recv(0)) is not None:
                if not message.is_error_frame:
                    self._heard.append(message)

    def messages_of(self, source: int) -> list[bytes]:
        whole: list[bytes] = []
        begun, length = bytearray(), 0
        for frame in self._of(source):
            kind, payload = frame.data[0] >> 4, bytes(frame.data)
            if kind == 0:
                whole.append(payload[1 : 1 + payload[0]])
            elif kind == 1:
                begun, length = bytearray(payload[2:]), int.from_bytes(payload[:2], "big") & 0x0FFF
            elif kind == 2 and length:
                begun += payload[1:]
                if len(begun) >= length:
                    whole.append(bytes(begun[:length]))
                    length = 0
        return whole

    def replay(self, source: int) -> int:
        frames = self._of(source)
        for frame in frames:
            self._send(frame)
        return len(frames)

    def flood(self, source: int, count: int) -> None:
        """Send that many frames that nobody let this address send."""
        for number in range(count):
            payload = bytes((0x20 | number & 0x0F,)) + number.to_bytes(7, "big")
            self._send(can.Message(arbitration_id=TO_THE_HEAD | source, data=payload, is_extended_id=True))

    def close(self) -> None:
        self._bus.shutdown()

    def _send(self, frame: can.Message) -> None:
        with self._one_at_a_time:
            self._bus.send(frame, timeout=SEND_S_MAX)

    def _of(self, source: int) -> list[can.Message]:
        return [message for message in self._heard if message.arbitration_id == TO_THE_HEAD | source]


class SerialTap:
    """On a hub's bus. Args: device: its own pseudo-terminal there. baud: of the line."""

    def __init__(self, device: str, baud: int) -> None:
        self._device = SerialDevice(device, baud)
        self._parser = FrameParser()
        self._heard: list[SerialFrame] = []

    def listen(self) -> None:
        self._heard += self._parser.feed(self._device.read())

    def messages_of(self, source: int) -> list[bytes]:
        return [frame.payload for frame in self._of(source) if frame.first and frame.last]

    def replay(self, source: int) -> int:
        frames = self._of(source)
        for frame in frames:
            self._device.write(frame.encode())
        return len(frames)

    def close(self) -> None:
        self._device.close()

    def _of(self, source: int) -> list[SerialFrame]:
        return [frame for frame in self._heard if frame.source == source and frame.kind is Kind.SEGMENT]
