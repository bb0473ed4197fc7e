"""Secure messaging: commands that carry a MAC, or are encrypted and carry a MAC (线路保护).

The low half of the class byte becomes 4, Lc counts the MAC, and the MAC covers CLA INS P1 P2 Lc and the
bytes before it, beginning from a challenge that the card has just given. A challenge is good for one
command.

Source: PBOC 2.0 e-purse; the worked key write is in tests/vectors/purse.toml.
"""

from dataclasses import dataclass, field
from typing import Final, Protocol

from campus_node.purse.algorithm import Algorithm, messaging_encrypt, messaging_mac, verify_mac
from campus_node.purse.answers import sized
from campus_node.purse.apdu import LE_MAX, Command, demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import get_challenge
from campus_node.purse.instructions import Ins
from campus_node.wording import Sentence

MAC_BYTES: Final = 4
SECURE: Final = 0x04  # in the class byte

# **Unverified**: one card manual has the key's index in P1 in its table and P1 P2 = 00 01 in its example.
PIN_UNBLOCK_P1_P2: Final = (0x00, 0x01)


class MessagingKey(Protocol):
    """A maintenance key that can be used and not seen: a key store's, or ClearKey."""

    def mac(self, challenge: bytes, message: bytes) -> bytes:
        """Return the MAC of a secure message, 4 bytes; see algorithm.messaging_mac."""

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return length byte and plaintext, encrypted; see algorithm.messaging_encrypt."""


@dataclass(frozen=True, slots=True)
class ClearKey:
    """A maintenance key in this process's memory: a test key, or one that a card is delivered with.

    Args:
        algorithm: what it is for.
        key: 16 bytes; not shown.
    """

    algorithm: Algorithm
    key: bytes = field(repr=False)

    def mac(self, challenge: bytes, message: bytes) -> bytes:
        return messaging_mac(self.algorithm, self.key, challenge, message)

    def encrypt(self, plaintext: bytes) -> bytes:
        return messaging_encrypt(self.algorithm, self.key, plaintext)


# What is sent protected


def card_block() -> Command:
    """Block the card for ever: afterwards it answers 6A81 to everything."""
    return Command(0x80, Ins.CARD_BLOCK, 0x00, 0x00)


def application_block(*, permanent: bool) -> Command:
    """Block the selected application; only a temporary block can be taken back."""
    return Command(0x80, Ins.APPLICATION_BLOCK, 0x00, 0x01 if permanent else 0x00)


def application_unblock() -> Command:
    """Take back a temporary block; three wrong MACs in a row lock the application for ever."""
    return Command(0x80, Ins.APPLICATION_UNBLOCK, 0x00, 0x00)


def pin_unblock(pin: bytes) -> Command:
    """Set the PIN, 2 to 6 bytes, and its tries anew. Send it encrypted, under the PIN unblock key."""
    if not 2 <= len(pin) <= 6:
        raise ValueError(f"the PIN has {len(pin)} bytes, must be 2 to 6")
    return Command(0x80, Ins.PIN_UNBLOCK, *PIN_UNBLOCK_P1_P2, pin)


# How it is protected


def encrypted(command: Command, key: MessagingKey) -> Command:
    """Return the command with its bytes encrypted; a MAC has still to be added."""
    return command._replace(data=key.encrypt(command.data))


def signed_part(command: Command) -> bytes:
    """Return what the MAC of a command covers, for one who makes the MAC elsewhere: header, Lc and bytes.

    Raises:
        ValueError: with the MAC it would be longer than a short APDU.
    """
    length = len(command.data) + MAC_BYTES
    if length > 255:
        raise ValueError(f"{len(command.data)} bytes and a MAC are too many for a short APDU")
    return bytes((command.cla | SECURE, command.ins, command.p1, command.p2, length)) + command.data


def with_mac(command: Command, mac: bytes) -> Command:
    """Return the command as it goes to the card: class byte marked, MAC behind its bytes."""
    if len(mac) != MAC_BYTES:
        raise ValueError(f"the MAC has {len(mac)} bytes, must be {MAC_BYTES}")
    return command._replace(cla=command.cla | SECURE, data=command.data + mac)


def protect(command: Command, key: MessagingKey, challenge: bytes, *, encrypt: bool = False) -> Command:
    """Return the command with its MAC, and with its bytes encrypted if asked for.

    Args:
        challenge: what GET CHALLENGE gave just now, 4, 8 or, under SM4, 16 bytes.
    """
    ready = encrypted(command, key) if encrypt else command
    return with_mac(ready, key.mac(challenge, signed_part(ready)))


def challenge_of(channel: CardChannel, length: int = 4) -> bytes:
    """Ask the card for a challenge of 4, 8 or 16 bytes. Raise CardRefused, CardLeft, ReaderLost."""
    return sized("GET CHALLENGE", demand(channel, get_challenge(length)), length)


def send(channel: CardChannel, command: Command, key: MessagingKey, *, encrypt: bool = False) -> bytes:
    """Ask for a challenge, send the command protected with it, and return the answer.

    Raises:
        MacRefused: the card finds the MAC wrong (6988) or missing (6987).
        CardSpent: it has found so once too often (9303).
        CardRefused, CardLeft, ReaderLost: see demand.
    """
    return demand(channel, protect(command, key, challenge_of(channel), encrypt=encrypt))


def read(channel: CardChannel, command: Command, key: MessagingKey) -> bytes:
    """Read a file with a MAC behind the answer, and return what was read.

    Args:
        command: read_binary of campus_node/purse/commands.py; its Le, 1 to 252, counts the content alone, and
            the card must have as much there.

    Raises:
        MacWrong: the answer's MAC does not follow from it.
        AnswerUnreadable: the answer has another length.
        CardRefused, CardLeft, ReaderLost: see demand.
        ValueError: Le is missing or too large.
    """
    if command.le is None or command.le > LE_MAX - MAC_BYTES:
        raise ValueError(f"le is {command.le}, must be 1 to {LE_MAX - MAC_BYTES}")
    challenge = challenge_of(channel)
    length = command.le + MAC_BYTES
    marked = command._replace(cla=command.cla | SECURE, le=length)
    answer = sized("READ BINARY", demand(channel, marked), length)
    content, mac = answer[:-MAC_BYTES], answer[-MAC_BYTES:]
    made = key.mac(challenge, answer_signed_part(marked, content))
    verify_mac(made, mac, Sentence("the MAC of what the card answered"))
    return content


def answer_signed_part(marked: Command, content: bytes) -> bytes:
    """Return what the MAC of a read's answer covers: the command as it was sent, and the content.

    **Unverified**: no manual at hand says more than that content and MAC come back. Here Le counts both, and
    the MAC begins from the challenge, as that of a command does.
    """
    return marked.encode() + content
