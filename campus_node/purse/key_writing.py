"""Keys in a card or a PSAM through a reader: which are there, and the commands that write and delete them.

The commands are those of docs/cos.md; a product that differs gets a module beside this one. A key travels
enciphered under the maintenance key in force, with a MAC that is bound to a challenge of the card (B2.3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from campus_node.keys.hierarchy import FACTOR_BYTES, Usage, campus_key
from campus_node.keys.messaging import StoredMessagingKey
from campus_node.keys.store import Factors
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.apdu import Command, demand, exchange
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import select_file, select_name
from campus_node.purse.errors import AnswerUnreadable
from campus_node.purse.instructions import Ins
from campus_node.purse.profile import ProfileKey
from campus_node.purse.secure_messaging import challenge_of, send, signed_part, with_mac
from campus_node.wording import Sentence

MASTER_FILE: Final = 0x3F00
TYPE_PIN: Final = 0x0B
SW_WRONG_STATE: Final = 0x6985  # here: it is there already
SW_DONE: Final = 0x9000
_TYPES: Final = {
    Usage.MAINTENANCE: 0x01,
    Usage.MF_MAINTENANCE: 0x01,
    Usage.PSAM_MAINTENANCE: 0x01,
    Usage.PURCHASE: 0x02,
    Usage.LOAD: 0x03,
    Usage.UNLOAD: 0x04,
    Usage.OVERDRAFT: 0x05,
    Usage.TAC: 0x06,
    Usage.PIN_UNBLOCK: 0x07,
    Usage.PIN_RELOAD: 0x08,
    Usage.EXTERNAL_AUTH: 0x09,
    Usage.INTERNAL_AUTH: 0x0A,
}
CARD_USAGE_OF: Final = {
    number: usage
    for usage, number in _TYPES.items()
    if usage not in {Usage.MF_MAINTENANCE, Usage.PSAM_MAINTENANCE}
}


@dataclass(frozen=True, slots=True, order=True)
class KeyInCard:
    """One row of GET KEY LIST: what is there, never its value."""

    usage_byte: int
    index: int
    version: int
    algorithm_byte: int

    @property
    def type(self) -> int:
        """What it is for: the low five bits."""
        return self.usage_byte & 0x1F

    @property
    def algorithm(self) -> Algorithm:
        """What it computes with. Raise AlgorithmUnknown."""
        return Algorithm.from_byte(self.algorithm_byte)


def key_list(channel: CardChannel) -> list[KeyInCard]:
    """Return the keys of the selected application or master file.

    Raises:
        AnswerUnreadable: the answer is no list.
        CardRefused, CardLeft, ReaderLost: see `apdu.demand`.
    """
    answer = demand(channel, Command(0x80, Ins.LIST_KEYS, 0x00, 0x00, le=256))
    if len(answer) % 4:
        raise AnswerUnreadable(Sentence("the card's key list is cut off"))
    return [KeyInCard(*answer[at : at + 4]) for at in range(0, len(answer), 4)]


def usage_byte(key: ProfileKey) -> int:
    """Return the usage byte of WRITE KEY: levels << 5 | type; the type of a session key is its index."""
    return key.levels << 5 | _TYPES.get(key.usage, key.index)


def row_of(key: ProfileKey) -> KeyInCard:
    """Return what a key list shows once this key is written."""
    return KeyInCard(usage_byte(key), key.index, key.version, key.algorithm)


def is_there(row: KeyInCard, rows: Sequence[KeyInCard], *, any_index: bool = False) -> bool:
    """Tell whether a list has the key; 3DES may be shown as 00 or as 01.

    Args:
        any_index: a PSAM tells its keys apart by usage byte, version and algorithm alone.
    """
    return any(
        (each.usage_byte, each.version) == (row.usage_byte, row.version)
        and (any_index or each.index == row.index)
        and each.algorithm is row.algorithm
        for each in rows
    )


def write_key_command(
    row: KeyInCard, issuer: bytes, usage: Usage, factors: Factors, under: StoredMessagingKey
) -> Command:
    """Return WRITE KEY for a key of the store, enciphered; a MAC has still to be added."""
    header = bytes((row.usage_byte, row.version, row.algorithm))
    target = campus_key(usage, row.version, row.algorithm, issuer)
    return Command(0x80, Ins.WRITE_KEY, 0x00, row.index, under.wrap(target, factors, header))


def write_key(
    channel: CardChannel,
    row: KeyInCard,
    issuer: bytes,
    usage: Usage,
    factors: Factors,
    under: StoredMessagingKey,
) -> None:
    """Write one key. Raise MacRefused where `under` is not the key in force."""
    command = write_key_command(row, issuer, usage, factors, under)
    challenge = challenge_of(channel)
    demand(channel, with_mac(command, under.mac(challenge, signed_part(command))))


def delete_key_command(row: KeyInCard) -> Command:
    """Return the command that deletes one key; a MAC has still to be added."""
    header = bytes((row.usage_byte, row.version, row.algorithm_byte))
    return Command(0x80, Ins.WRITE_KEY, 0x01, row.index, header)


def write_pin(channel: CardChannel, pin: bytes, tries: int, under: StoredMessagingKey) -> None:
    """Write the PIN of the selected application, enciphered."""
    header = bytes((TYPE_PIN, tries, 0x00))
    send(channel, Command(0x80, Ins.WRITE_KEY, 0x00, 0x00, header + pin), under, encrypt=True)


def select(channel: CardChannel, name: bytes | int) -> bool:
    """Select an application by its name, or a file by its id; False where there is none."""
    command = select_file(name) if isinstance(name, int) else select_name(name)
    return exchange(channel, command).sw == SW_DONE


def end_of(serial: bytes) -> tuple[bytes]:
    """Return the factors from a campus-level key to the card or PSAM of a serial number, 10 bytes."""
    return (serial[-FACTOR_BYTES:],)
