"""Short command and response APDUs, and T=0's two ways of asking back (ISO/IEC 7816-3 and 7816-4)."""

from typing import Final, NamedTuple

from campus_node.purse.channel import CardChannel
from campus_node.purse.errors import CardLeft
from campus_node.purse.instructions import name_of
from campus_node.purse.status_words import refusal_of
from campus_node.wording import Sentence

SW_DONE: Final = 0x9000
LE_MAX: Final = 256
ANSWER_PARTS_MAX: Final = 32  # GET RESPONSEs for one command; a sound card needs one or two


class Command(NamedTuple):
    """A command APDU.

    Its repr shows the header and the number of bytes, never the bytes: they may be a PIN or a wrapped key.

    Args:
        cla: class byte, 0 to 255; the other three header bytes alike.
        data: 0 to 255 bytes; Lc is their number.
        le: how many bytes may come back, 1 to 256; None = the byte is left out.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int | None = None

    def encode(self) -> bytes:
        """Return the bytes of the short APDU, 4 to 261.

        Raises:
            ValueError: a header byte is none, the data is longer than 255 bytes, or le is not 1 to 256.
        """
        head = bytes(self[:4])
        if len(self.data) > 255:
            raise ValueError(f"{len(self.data)} bytes are too many for a short APDU, 255 at most")
        if self.le is not None and not 1 <= self.le <= LE_MAX:
            raise ValueError(f"le is {self.le}, must be 1 to {LE_MAX}")
        body = bytes([len(self.data)]) + self.data if self.data else b""
        return head + body + (b"" if self.le is None else bytes([self.le & 0xFF]))

    def __repr__(self) -> str:
        le = "" if self.le is None else f", Le {self.le}"
        return f"Command({bytes(self[:4]).hex(' ').upper()}, {len(self.data)} bytes{le})"


class Response(NamedTuple):
    """A response APDU: its bytes and the status word. Its repr shows how many bytes, never which."""

    data: bytes
    sw: int

    def __repr__(self) -> str:
        return f"Response({len(self.data)} bytes, {self.sw:04X})"


def exchange(channel: CardChannel, command: Command) -> Response:
    """Send a command and return the card's whole answer.

    A reader under T=0 hands two status words through: 61xx, whose answer is fetched by GET RESPONSE, and
    6Cxx, after which the same command is sent once more with that Le (the card has done nothing yet). Both
    are dealt with here; a card that never stops asking back is left with the status word it gave last.

    Raises:
        CardLeft: no answer, or one shorter than a status word.
        ReaderLost: the reader broke.
    """
    response = _once(channel, command)
    if response.sw >> 8 == 0x6C:
        response = _once(channel, command._replace(le=response.sw & 0xFF or LE_MAX))
    parts = 0
    while response.sw >> 8 == 0x61 and parts < ANSWER_PARTS_MAX:
        parts += 1
        fetch = Command(0x00, 0xC0, 0x00, 0x00, le=response.sw & 0xFF or LE_MAX)
        part = _once(channel, fetch)
        if part.sw >> 8 == 0x6C:
            part = _once(channel, fetch._replace(le=part.sw & 0xFF or LE_MAX))
        response = Response(response.data + part.data, part.sw)
    return response


def demand(channel: CardChannel, command: Command) -> bytes:
    """Send a command and return the bytes of its answer.

    Raises:
        CardRefused: the status word is not 9000; of the class that the table in status_words.py names.
        CardLeft, ReaderLost: see exchange.
    """
    response = exchange(channel, command)
    if response.sw != SW_DONE:
        raise refusal_of(response.sw, name_of(command.cla, command.ins, command.p1, command.p2))
    return response.data


def _once(channel: CardChannel, command: Command) -> Response:
    answer = channel.transmit(command.encode())
    if len(answer) < 2:
        raise CardLeft(Sentence("the card's answer is cut off"))
    return Response(answer[:-2], int.from_bytes(answer[-2:], "big"))
