"""One peer, one class: messages cut into ISO-TP frames and put together again (ISO 15765-2).

The state machine is can-isotp's; it is driven here without a thread, and its timers, which read the machine's
clock, are off: deadlines are kept here, in the time that is given. It opens and answers every message; what
then follows in order is only gathered, see `Following`, and anything else is the state machine's again.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

import isotp

from campus_node.lines.can.following import Following
from campus_node.lines.can.ids import FRAME_BYTES_MAX, Frame, Priority
from campus_node.lines.line import MESSAGE_BYTES_MAX

NEVER_S: Final = float("inf")
REPEATED_WITHIN_S: Final = 0.005  # a controller that saw an error in the last bit sends its frame again
_LOGGER: Final = "campus_node.lines.can.isotp"
_OFF_MS: Final = 2**31  # far beyond any transfer
_FIRST_FRAME: Final = 1
_CONSECUTIVE_FRAME: Final = 2
_FLOW_CONTROL: Final = 3

logging.getLogger(_LOGGER).disabled = True  # every noise on the wire would write a line; we count instead


def _no_wait(_seconds: float) -> None:
    """The library tries its waiting function once; nobody waits here."""


_PARAMETERS: Final = {
    "stmin": 0,
    "blocksize": 0,  # one flow control a message
    "override_receiver_stmin": 0.0,
    "rx_flowcontrol_timeout": _OFF_MS,
    "rx_consecutive_frame_timeout": _OFF_MS,
    "max_frame_size": MESSAGE_BYTES_MAX,
    "logger_name": _LOGGER,
    "wait_func": _no_wait,
}


def is_first(frame: Frame) -> bool:
    """Return whether a transfer's frame opens a message of several frames."""
    return bool(frame.payload) and frame.payload[0] >> 4 == _FIRST_FRAME


def is_single(frame: Frame) -> bool:
    """Return whether a transfer's frame is a message by itself."""
    return bool(frame.payload) and frame.payload[0] >> 4 == 0


def is_flow_control(frame: Frame) -> bool:
    """Return whether a transfer's frame lets a message go on."""
    return bool(frame.payload) and frame.payload[0] >> 4 == _FLOW_CONTROL


def is_consecutive(frame: Frame) -> bool:
    """Return whether a transfer's frame continues a message."""
    return bool(frame.payload) and frame.payload[0] >> 4 == _CONSECUTIVE_FRAME


class Transfer:
    """Both directions with one peer in one class.

    Args:
        priority: P2 or P6.
        own: this end's address.
        peer: the other end's address.
        post: takes frames to be sent, in order.
        answer_within_s: how long flow control may take; a head lets terminals wait for their turn.
        pause_s: the longest silence between two frames of one message.
        attempts: how often a message is begun before it is given up.
    """

    def __init__(
        self,
        priority: Priority,
        own: int,
        peer: int,
        post: Callable[[Frame], None],
        *,
        answer_within_s: float,
        pause_s: float,
        attempts: int,
    ) -> None:
        self.received: deque[bytes] = deque()
        self.broken_count = 0
        self.failed_count = 0  # messages given up in a row
        self.waiting: deque[bytes] = deque()
        self._post = post
        self._answer_within_s = answer_within_s
        self._pause_s = pause_s
        self._attempts = attempts
        self._tries = 0
        self._answer_due_s = NEVER_S
        self._frame_due_s = NEVER_S
        self._last, self._last_s = Frame(0, b""), 0.0
        self._inbox: deque[isotp.CanMessage] = deque()
        self._following = Following()
        self._followed = 0
        address = isotp.Address(
            isotp.AddressingMode.NormalFixed_29bits,
            target_address=peer,
            source_address=own,
            physical_id=(0x08DA if priority is Priority.P2 else 0x18DA) << 16,
        )
        self._logic = isotp.TransportLayerLogic(
            self._next_frame, self._emit, address, error_handler=self._count, params=_PARAMETERS
        )

    @property
    def receiving(self) -> bool:
        """Whether a message of several frames has begun and not ended."""
        return self._logic.rx_state is not self._logic.RxState.IDLE

    @property
    def sending(self) -> bool:
        """Whether a message waits for flow control."""
        return self._logic.transmitting()

    def send(self, message: bytes, now_s: float) -> None:
        """Queue a message of 1 to MESSAGE_BYTES_MAX bytes."""
        self.waiting.append(message)
        self._advance(now_s)

    def take(self, frame: Frame, now_s: float) -> None:
        """Take a frame that the peer sent to this end in this class; whatever it holds, nothing is raised."""
        repeated = frame == self._last and (
            is_consecutive(frame) or (is_single(frame) and now_s - self._last_s < REPEATED_WITHIN_S)
        )
        self._last, self._last_s = frame, now_s
        if repeated or not 1 <= len(frame.payload) <= FRAME_BYTES_MAX:
            self.broken_count += not repeated
            return
        if is_consecutive(frame) and self._following.take(frame.payload):
            self._followed_on(now_s)
            return
        if not is_flow_control(frame):
            self._inbox.extend(map(_for_library, self._following.give_back()))
        self._inbox.append(_for_library(frame))
        while self._inbox:  # one call may leave some: it answers a first frame before it reads on
            self._logic.process()
        if is_first(frame) and self.receiving:
            self._following.begin(frame)
        self._frame_due_s = now_s + self._pause_s if self.receiving else NEVER_S
        while (message := self._logic.recv()) is not None:
            self.received.append(bytes(message))
        if not self._logic.transmitting():
            if self._answer_due_s != NEVER_S:  # it was being sent, and now is
                self._sent(given_up=False)
            self._advance(now_s)

    def follow(self, frame: Frame, now_s: float) -> bool:
        """Take a frame from the middle of a message that arrives in order; False: it is for `take`.

        The first and the last that follow are never taken here, so that whoever gives turns hears of them.
        """
        if not self._following.goes_on(frame.payload):
            return False
        self._last = frame
        self._frame_due_s = now_s + self._pause_s
        self._followed += 1
        return True

    def take_followed(self) -> int:
        """Return how many frames `follow` took since this was asked last."""
        count, self._followed = self._followed, 0
        return count

    @property
    def follows(self) -> bool:
        """Whether the next frame may be one for `follow`."""
        return self._following.lacking > 1

    def step(self, now_s: float) -> float:
        """Give up what is overdue and return the next deadline; NEVER_S when nothing is under way."""
        if now_s >= self._frame_due_s:
            self._logic.stop_receiving()
            self._inbox.clear()
            self._following.clear()
            self._frame_due_s = NEVER_S
            self.broken_count += 1
        if now_s >= self._answer_due_s:
            self._logic.stop_sending()
            self._answer_due_s = NEVER_S
            if self._tries >= self._attempts:
                self._sent(given_up=True)
            self._advance(now_s)
        return min(self._answer_due_s, self._frame_due_s)

    def reset(self) -> None:
        """Forget what is half done; messages not yet begun stay."""
        self._logic.reset()
        self._inbox.clear()
        self._following.clear()
        self._answer_due_s = self._frame_due_s = NEVER_S
        self._tries = 0

    def resume(self, now_s: float) -> None:
        """Begin again what waits, after a reset."""
        self._advance(now_s)

    def _followed_on(self, now_s: float) -> None:
        self._frame_due_s = now_s + self._pause_s
        message = self._following.message()
        if message is not None:
            self._logic.stop_receiving()
            self._frame_due_s = NEVER_S
            self.received.append(message)

    def _sent(self, *, given_up: bool) -> None:
        self.waiting.popleft()
        self.failed_count = self.failed_count + 1 if given_up else 0
        self._tries = 0
        self._answer_due_s = NEVER_S

    def _advance(self, now_s: float) -> None:
        """Begin the oldest message, again if it was begun before; single frames are sent at once."""
        while self.waiting and not self._logic.transmitting():
            self._tries += 1
            self._logic.send(self.waiting[0])
            self._logic.process()
            if self._logic.transmitting():
                self._answer_due_s = now_s + self._answer_within_s
            else:
                self._sent(given_up=False)

    def _next_frame(self, _timeout_s: float) -> isotp.CanMessage | None:
        return self._inbox.popleft() if self._inbox else None

    def _emit(self, message: isotp.CanMessage) -> None:
        self._post(Frame(message.arbitration_id, bytes(message.data)))

    def _count(self, _error: Exception) -> None:
        self.broken_count += 1


def _for_library(frame: Frame) -> isotp.CanMessage:
    return isotp.CanMessage(frame.can_id, len(frame.payload), frame.payload, extended_id=True)
