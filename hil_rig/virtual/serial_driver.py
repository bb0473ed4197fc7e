"""A port of the modelled RS-485 bus, as lines use one, with planned faults on what it sends and hears."""

import random
from typing import Final

from campus_node.lines.errors import LineDown
from campus_node.wording import Sentence
from hil_rig.faults import Counted, Fault, FaultRecord, What
from hil_rig.virtual.serial_model import SerialModel, SerialPort

MILLISECOND_NS: Final = 1_000_000


class VirtualSerialPort:
    """A node of the model. Faults of the frames it sends: FRAME_LOST, BIT_ERROR, FRAME_TWICE, FRAME_LATE.

    Args:
        model: the bus.
        name: of the node, which is the faults' place.
        baud: bits a second.
        faults: what is planned for this run.
        byte_errors: how often, 0.0 to 1.0, a byte that it hears is a wrong one.
        seed: of those.
    """

    slack_s = 0.0

    def __init__(
        self,
        model: SerialModel,
        name: str,
        baud: int,
        *,
        faults: FaultRecord | None = None,
        byte_errors: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.wrong_bytes = 0
        self._model = model
        self._port = model.attach(name, baud, told=self._heard)
        self._faults = faults
        self._byte_errors = byte_errors
        self._random = random.Random(f"{name} {seed}")  # noqa: S311 - repeatable, not secret
        self._received = bytearray()
        self._open = True

    @property
    def node(self) -> SerialPort:
        """The node, to pull its plug or let its transmitter stick."""
        return self._port

    @property
    def baud(self) -> int:
        return self._port.baud

    def set_baud(self, baud: int) -> None:
        self._demand_open()
        self._port.baud = baud

    def write(self, frame: bytes) -> None:
        self._demand_open()
        for fault in self._faults.count(self._port.name, Counted.FRAME) if self._faults else ():
            frame = self._meet(fault, frame)
            assert self._faults is not None
            self._faults.fired(fault)
        self._port.write(frame)

    def read(self) -> bytes:
        self._demand_open()
        received = bytes(self._received)
        self._received.clear()
        return received

    def reopen(self) -> bool:
        return self._open

    def descriptor(self) -> int | None:
        return None

    def close(self) -> None:
        if self._open:
            self._open = False
            self._model.detach(self._port)

    def _meet(self, fault: Fault, frame: bytes) -> bytes:
        match fault.what:
            case What.FRAME_LOST:
                return b""
            case What.BIT_ERROR:
                hit = bytearray(frame)
                hit[fault.size % len(hit)] ^= 1 << fault.size % 8
                return bytes(hit)
            case What.FRAME_TWICE:
                return frame * 2
            case What.FRAME_LATE:
                late_ns = self._model.now_ns + fault.size * MILLISECOND_NS
                self._port.sending_until_ns = max(self._port.sending_until_ns, late_ns)
                return frame
        raise AssertionError(f"{fault.what} is nothing that a serial port can suffer")

    def _heard(self, _port: SerialPort, content: bytes) -> None:
        if self._byte_errors and self._random.random() < 1 - (1 - self._byte_errors) ** len(content):
            self.wrong_bytes += 1
            wrong = bytearray(content)
            wrong[self._random.randrange(len(wrong))] ^= 1 << self._random.randrange(8)
            content = bytes(wrong)
        self._received += content

    def _demand_open(self) -> None:
        if not self._open:
            raise LineDown(Sentence("the line {name} is closed", name=self._port.name))
