"""A CAN bus as a bystander hears it: each frame and each whole message in words (B4.3, A12)."""

from typing import Final

import can

from campus_node.lines.can.broadcast import Gathering
from campus_node.lines.can.ids import (
    ALL_ADDRESSES,
    HEAD_ADDRESS,
    Frame,
    Functional,
    Multicast,
    Physical,
    Priority,
    Signalled,
    Spread,
    meaning,
)
from campus_node.lines.errors import FrameBroken
from campus_node.lines.monitor.iso_tp import IsoTpEar
from campus_node.lines.monitor.multicast_ear import MulticastEar
from campus_node.lines.monitor.seen import Layer, Seen
from campus_node.lines.monitor.signals_ear import SignalsEar
from campus_node.lines.monitor.talk import Heard, Talk
from campus_node.wording import Sentence

_FROM_HEAD: Final = (Spread.POLL, Spread.MANIFEST, Spread.IMAGE)
_RESTARTED: Final = 0x100  # flags of an error frame's id, as linux/can/error.h numbers them
_BUS_ERROR: Final = 0x80
_BUS_OFF: Final = 0x40
_NO_ACKNOWLEDGEMENT: Final = 0x20
_PROTOCOL: Final = 0x08
_CONTROLLER: Final = 0x04
_ARBITRATION: Final = 0x02
_OVERRUN: Final = 0x03  # in the second byte, with _CONTROLLER
_WARNING: Final = 0x0C
_PASSIVE: Final = 0x30


class CanEar:
    """Hears one bus.

    Args:
        talk: says what messages are.
    """

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._transfers = IsoTpEar()
        self._gathering = {priority: Gathering() for priority in (Priority.P2, Priority.P6)}
        self._multicast = MulticastEar()
        self._signals = SignalsEar()

    @property
    def unfinished(self) -> int:
        """How many transfers have begun and not ended."""
        return self._transfers.unfinished

    def take(self, message: can.Message) -> list[Seen]:
        """Return what a frame is, then what was complete with it. Nothing makes it raise."""
        at_s = message.timestamp
        if message.is_error_frame:
            return [_error(message).at(at_s, None, None)]
        payload = bytes(message.data)
        fields: dict[str, object] = {"id": f"{message.arbitration_id:08X}", "bytes": payload.hex().upper()}
        if not message.is_extended_id or message.is_remote_frame or message.is_fd:
            fields["id"] = f"{message.arbitration_id:03X}" if not message.is_extended_id else fields["id"]
            words = Sentence("a frame of somebody else's protocol, id {id}", id=fields["id"])
            return [Seen(at_s, Layer.FRAME, "foreign", words, fields=fields, trouble=True)]
        frame = Frame(message.arbitration_id, payload)
        about = meaning(frame.can_id)
        if about is None:
            words = Sentence("a frame of somebody else's protocol, id {id}", id=fields["id"])
            return [Seen(at_s, Layer.FRAME, "foreign", words, fields=fields, trouble=True)]
        seen = self._take(frame, about, at_s)
        seen[0] = _with(seen[0], fields)
        return seen

    def _take(
        self, frame: Frame, about: Physical | Functional | Signalled | Multicast, at_s: float
    ) -> list[Seen]:
        match about:
            case Physical(priority, target, source):
                return self._physical(frame, about, at_s)
            case Functional(priority, source):
                return self._functional(frame, priority, source, at_s)
            case Signalled(_, source):
                target = ALL_ADDRESSES if source == HEAD_ADDRESS else HEAD_ADDRESS
                return [self._signals.take(frame).at(at_s, source, target, "P3")]
            case Multicast(spread, number):
                return self._spread(frame, spread, number, at_s)

    def _physical(self, frame: Frame, about: Physical, at_s: float) -> list[Seen]:
        priority, target, source = about
        piece = self._transfers.take((priority, target, source), frame.payload)
        seen = [Seen(at_s, Layer.FRAME, piece.kind, piece.words, trouble=piece.trouble)]
        if piece.message is not None:
            seen += self._talk.take(Heard(source, target, piece.message))
        return [each.at(at_s, source, target, priority.name) for each in seen]

    def _functional(self, frame: Frame, priority: Priority, source: int, at_s: float) -> list[Seen]:
        position = frame.payload[0] & 31 if frame.payload else 0
        words = Sentence("part {number} of a message to all", number=position)
        seen = [Seen(at_s, Layer.FRAME, "part", words, trouble=source != HEAD_ADDRESS)]
        try:
            message = self._gathering[priority].take(frame, at_s)
        except FrameBroken:
            words = Sentence("a part of a message to all that fits nowhere")
            seen = [Seen(at_s, Layer.FRAME, "broken", words, trouble=True)]
        else:
            if message is not None:
                seen += self._talk.take(Heard(source, ALL_ADDRESSES, message))
        return [each.at(at_s, source, ALL_ADDRESSES, priority.name) for each in seen]

    def _spread(self, frame: Frame, spread: Spread, number: int, at_s: float) -> list[Seen]:
        source = HEAD_ADDRESS if spread in _FROM_HEAD else number >> 12
        target = ALL_ADDRESSES if spread in _FROM_HEAD else HEAD_ADDRESS
        known = self._multicast.signed
        seen = self._multicast.take(frame, Multicast(spread, number))
        if self._multicast.signed is not None and known is None:
            seen += self._talk.take(Heard(source, target, self._multicast.signed))
        return [each.at(at_s, source, target, "P7") for each in seen]


def _with(seen: Seen, fields: dict[str, object]) -> Seen:
    return Seen(
        seen.at_s, seen.layer, seen.kind, seen.words, seen.source, seen.target, seen.grade,
        {**fields, **seen.fields}, seen.trouble,
    )  # fmt: skip


def _error(message: can.Message) -> Seen:
    flags = message.arbitration_id
    second = message.data[1] if len(message.data) > 1 else 0
    fields: dict[str, object] = {"flags": f"{flags:03X}", "bytes": bytes(message.data).hex().upper()}
    if flags & _BUS_OFF:
        kind, words = "bus off", Sentence("this controller left the bus (bus off)")
    elif flags & _RESTARTED:
        kind, words = "restarted", Sentence("this controller is back on the bus")
    elif flags & _CONTROLLER and second & _PASSIVE:
        kind, words = "passive", Sentence("this controller is error passive: many frames go wrong")
    elif flags & _CONTROLLER and second & _WARNING:
        kind, words = "warning", Sentence("this controller counts many errors")
    elif flags & _CONTROLLER and second & _OVERRUN:
        kind, words = "overrun", Sentence("frames were lost here: this machine was too slow")
    elif flags & _NO_ACKNOWLEDGEMENT:
        kind, words = "no acknowledgement", Sentence("nobody acknowledged a frame")
    elif flags & (_PROTOCOL | _BUS_ERROR):
        kind, words = "bus error", Sentence("a frame was destroyed on the bus")
    elif flags & _ARBITRATION:
        kind, words = "arbitration lost", Sentence("this controller lost an arbitration")
    else:
        kind, words = (
            "error",
            Sentence("the controller reports an error, flags {flags}", flags=f"{flags:03X}"),
        )
    return Seen(0.0, Layer.WIRE, kind, words, fields=fields, trouble=kind != "restarted")
