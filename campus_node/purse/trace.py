"""A trace of what goes over a card channel: for people to read, for the rig to replay, without any secret.

PINs, keys, what CIPHER DATA works on and whatever travels under secure messaging are never written. The
middle of a card's serial number and what is about the cardholder are hidden unless the trace is asked to be
full.
"""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from campus_node.purse.channel import CardChannel
from campus_node.purse.errors import CardLeft, ReaderLost
from campus_node.purse.instructions import name_of
from campus_node.purse.status_words import meaning_of
from campus_node.purse.trace_fields import PUBLIC_FILE, Field, Form, Layout, layout_of
from campus_node.purse.trace_file import FIRST_LINE, LOST, POWER_ON, RESET, Veiled
from campus_node.wording import Sentence
from federation.clock import Clock

Device = Literal["card", "sam"]
Say = Callable[[Sentence | str], str]

_FCI_FILE: Final = b"\x9f\x0c"  # the tag under which SELECT gives file 0015
_GET_RESPONSE: Final = 0xC0
_SELECT: Final = 0xA4
_FILE_BYTES: Final = 30  # of file 0015; what a product keeps behind is about its holder
_ASN_BYTES: Final = 10
_SERIAL_BYTES: Final = 8
_HIDDEN_OF_SERIAL: Final = range(2, 6)
_ALSO_HIDDEN: Final = frozenset({Form.ASN, Form.SERIAL, Form.PERSONAL})


class Trace:
    """Writes a trace file; as a context it closes it.

    Args:
        path: the file; written anew, readable by its owner only.
        clock: when something happened, and how long it took.
        say: puts a sentence into the reader's language.
        full: serial numbers and what is about the cardholder in clear. Keys and PINs never are.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, clock: Clock, say: Say = str, *, full: bool = False) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fchmod(descriptor, 0o600)  # the file may have been there before
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")
        self.clock = clock
        self._say = say
        self.full = full
        self._serials: set[bytes] = set()
        self._file.write(f"{FIRST_LINE}\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._file.close()

    def channel(self, inner: CardChannel, device: Device) -> "TracedChannel":
        """Return a channel that does what inner does and writes it down."""
        self._file.write(f"# {device}: {inner.reader}\n")
        self._file.flush()
        return TracedChannel(inner, self, device)

    def action(self, device: Device, action: str, answer: bytes | None, took_s: float, why: str) -> None:
        """Write down a reset."""
        text = LOST if answer is None else Veiled(answer).text()
        told = why or self._say(Sentence("answer to reset"))
        self._write(
            device, self._say(Sentence("reset")), action, "", text, [f"{told} ({took_s * 1000:.3f} ms)"]
        )

    def exchange(
        self, device: Device, command: bytes, answer: bytes | None, layout: Layout, took_s: float, why: str
    ) -> None:
        """Write down a command and its answer; None = none came, and why says why."""
        name = self._say(name_of(*command[:4])) if len(command) >= 4 else "?"
        head, body = _head_and_body(command)
        if layout.sent and layout.sent[0].form is Form.SECRET:
            body = command[5:]  # what looks like an Le may be the end of a PIN with a wrong length
        groups = [len(head), *_groups(layout.sent, len(body))]
        sent = Veiled(command, self._hidden(layout.sent, body, len(head)))
        told = self._told(layout.sent, body)
        if answer is None:
            self._write(device, name, sent.text(groups), told, LOST, [f"{why} ({took_s * 1000:.3f} ms)"])
            return
        content, sw = answer[:-2], int.from_bytes(answer[-2:], "big")
        self._learn(layout.answered, content)
        came = Veiled(answer, self._hidden(layout.answered, content, 0))
        status = f"{self._say(meaning_of(sw))} ({took_s * 1000:.3f} ms)"
        lines = [line for line in (self._told(layout.answered, content), status) if line]
        came_groups = [*_groups(layout.answered, len(content)), 2]
        self._write(device, name, sent.text(groups), told, came.text(came_groups), lines)

    def _write(self, device: str, name: str, sent: str, told: str, came: str, lines: Sequence[str]) -> None:
        now = datetime.fromtimestamp(self.clock.unix_ms() / 1000, UTC)
        at = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z"
        text = [f"{at} {device} {name}", f"  > {sent}"]
        text += [f"      {told}"] if told else []
        text += [f"  < {came}", *(f"      {line}" for line in lines)]
        self._file.write("\n".join(text) + "\n")
        self._file.flush()

    def _told(self, fields: Sequence[Field], octets: bytes) -> str:
        parts, at = [], 0
        for field in fields:
            piece = octets[at : at + field.length] if field.length else octets[at:]
            hidden = self._hidden([field], piece, 0)
            at += len(piece)
            if piece and field.form is not Form.SECRET:
                parts.append(f"{self._say(field.name)} {_shown(field, piece, hidden)}")
        return ", ".join(parts)

    def _hidden(self, fields: Sequence[Field], octets: bytes, start: int) -> frozenset[int]:
        """Return the positions to hide; start is where the bytes stand in the whole APDU."""
        found: set[int] = set()
        at = 0
        for field in fields:
            length = min(field.length, len(octets) - at) if field.length else len(octets) - at
            found.update(start + at + i for i in _hidden_of(field.form, octets[at : at + length], self.full))
            at += length
        found.update(
            start + i for i in range(at, len(octets))
        )  # longer than described: nobody knows what it is
        for serial in () if self.full else self._serials:
            place = octets.find(serial)
            while place >= 0:
                found.update(start + place + i for i in _HIDDEN_OF_SERIAL)
                place = octets.find(serial, place + 1)
        return frozenset(found)

    def _learn(self, fields: Sequence[Field], octets: bytes) -> None:
        """Remember a serial number, so that it is hidden wherever it comes again."""
        if fields and fields[0].form is Form.FCI:
            place = octets.find(_FCI_FILE)
            fields, octets = PUBLIC_FILE, octets[place + 3 :] if place >= 0 else b""
        at = 0
        for field in fields:
            piece = octets[at : at + field.length]
            if field.form is Form.ASN and len(piece) == _ASN_BYTES:
                self._serials.add(piece[-_SERIAL_BYTES:])
            at += field.length


class TracedChannel:
    """A card channel that hands everything on and writes it down.

    Args:
        inner: the channel to the card.
        trace: where it is written.
        device: "card" or "sam".
    """

    def __init__(self, inner: CardChannel, trace: Trace, device: Device) -> None:
        self._inner = inner
        self._trace = trace
        self._device: Device = device
        self._selected = 0
        self._waiting: Layout | None = None  # the answer of this command is fetched by GET RESPONSE

    @property
    def reader(self) -> str:
        """The reader's name."""
        return self._inner.reader

    def power_on(self) -> bytes:
        """See CardChannel."""
        return self._act(POWER_ON, self._inner.power_on)

    def reset(self) -> bytes:
        """See CardChannel."""
        return self._act(RESET, self._inner.reset)

    def transmit(self, command: bytes) -> bytes:
        """See CardChannel."""
        layout = layout_of(self._device, command[:4], self._selected) if len(command) >= 4 else _UNREADABLE
        if command[1:2] == bytes([_GET_RESPONSE]) and self._waiting is not None:
            layout = Layout((), self._waiting.answered)
        began_s = self._trace.clock.monotonic_s()
        try:
            answer = self._inner.transmit(command)
        except (CardLeft, ReaderLost) as error:
            took_s = self._trace.clock.monotonic_s() - began_s
            self._trace.exchange(self._device, command, None, layout, took_s, _why(error))
            raise
        took_s = self._trace.clock.monotonic_s() - began_s
        self._trace.exchange(self._device, command, answer, layout, took_s, "")
        self._waiting = layout if answer[-2:-1] == b"\x61" else None
        if command[:1] == b"\x00" and command[1:2] == bytes([_SELECT]) and answer[-2:] == b"\x90\x00":
            by_identifier = command[2] == 0 and len(command) >= 7
            self._selected = int.from_bytes(command[5:7], "big") if by_identifier else 0
        return answer

    def close(self) -> None:
        """See CardChannel."""
        self._inner.close()

    def _act(self, action: str, act: Callable[[], bytes]) -> bytes:
        self._selected, self._waiting = 0, None
        began_s = self._trace.clock.monotonic_s()
        try:
            answer = act()
        except (CardLeft, ReaderLost) as error:
            self._trace.action(
                self._device, action, None, self._trace.clock.monotonic_s() - began_s, _why(error)
            )
            raise
        self._trace.action(self._device, action, answer, self._trace.clock.monotonic_s() - began_s, "")
        return answer


_UNREADABLE: Final = layout_of("card", b"\xff\xff\xff\xff", 0)


def _why(error: CardLeft | ReaderLost) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _head_and_body(command: bytes) -> tuple[bytes, bytes]:
    """Return header with Lc, and body, of a short APDU; what does not add up is body. Le is in neither."""
    if len(command) <= 5:
        return command, b""
    count = command[4]
    return command[:5], command[5 : 5 + count] if len(command) - 5 in {count, count + 1} else command[5:]


def _groups(fields: Sequence[Field], length: int) -> list[int]:
    groups, left = [], length
    for field in fields:
        taken = min(field.length, left) if field.length else left
        groups.append(taken)
        left -= taken
    return [*groups, left] if left else groups


def _hidden_of(form: Form, octets: bytes, full: bool) -> Sequence[int]:
    if form is Form.SECRET or (form is Form.PERSONAL and not full):
        return range(len(octets))
    if full or form not in _ALSO_HIDDEN | {Form.FCI}:
        return ()
    if form is Form.FCI:
        place = octets.find(_FCI_FILE)
        start = place + 3 + 10  # tag, length, then the ASN at offset 10 of file 0015
        hidden = [*range(start + 4, start + 8), *range(place + 3 + _FILE_BYTES, len(octets))]
        return [i for i in hidden if i < len(octets)] if place >= 0 else ()
    if len(octets) < (_ASN_BYTES if form is Form.ASN else _SERIAL_BYTES):
        return range(len(octets))
    return range(len(octets) - 6, len(octets) - 2)


def _shown(field: Field, octets: bytes, hidden: frozenset[int]) -> str:
    number = int.from_bytes(octets, "big")
    match field.form:
        case Form.YUAN:
            return f"{number // 100}.{number % 100:02d}"
        case Form.NUMBER:
            return str(number)
        case Form.DATE if len(octets) == 4:
            digits = octets.hex()
            return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
        case Form.TIME if len(octets) == 3:
            digits = octets.hex()
            return f"{digits[:2]}:{digits[2:4]}:{digits[4:]}"
        case _:
            return Veiled(octets, hidden).text()
