"""The PSAM: the terminal's own card, which proves purchases to cards and checks what they answer.

Source: PBOC 2.0 PSAM as terminals drive it; every command is asserted as literal bytes in
tests/purse/test_tables.py.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from campus_node.purse.answers import sized
from campus_node.purse.apdu import Command, demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import select_name
from campus_node.purse.errors import MacRefused, MacWrong
from campus_node.purse.files import PsamSerial
from campus_node.purse.instructions import Ins
from campus_node.wording import Sentence

CIPHER_BYTES_MAX: Final = 240  # of one 80 FA: a whole number of blocks of either algorithm


class FactorOrder(Enum):
    """In which order INIT SAM FOR PURCHASE lists the diversification factors.

    **Unverified** which order a given product has; independent terminals agree on the card first.
    """

    CARD_FIRST = "card_first"
    BANK_FIRST = "bank_first"


class SamInit(NamedTuple):
    """Answer to INIT SAM FOR PURCHASE.

    Args:
        terminal_seq: the terminal's counter, 4 bytes, never given twice.
        mac1: 4 bytes, for the card.
    """

    terminal_seq: int
    mac1: bytes


class CipherMode(Enum):
    """P1 of CIPHER DATA."""

    ENCRYPT = 0x00
    ENCRYPT_MORE = 0x02
    MAC = 0x05
    MAC_FIRST = 0x07
    MAC_NEXT = 0x03
    MAC_LAST = 0x01
    DECRYPT = 0x80


class Psam:
    """A PSAM on a channel.

    Args:
        channel: where it is.
        factor_order: how this product wants the factors.
    """

    def __init__(self, channel: CardChannel, factor_order: FactorOrder = FactorOrder.CARD_FIRST) -> None:
        self.channel = channel
        self._factor_order = factor_order

    def select_issuer(self, issuer: bytes) -> None:
        """Select the application that has this issuer's keys, 8 bytes. Raise NotFoundInCard if none has."""
        demand(self.channel, select_name(issuer))

    def serial(self) -> PsamSerial:
        """Return file 15: serial number, version and type."""
        return PsamSerial.parse(demand(self.channel, read_serial()))

    def terminal_id(self) -> bytes:
        """Return file 16, 6 bytes: the number that stands in every MAC1 of this PSAM."""
        return sized("READ BINARY", demand(self.channel, read_terminal_id()), 6)

    def init_for_purchase(
        self,
        card_random: bytes,
        offline_seq: int,
        amount_fen: int,
        transaction_type: int,
        made_at: bytes,
        key_version: int,
        algorithm_byte: int,
        factors: Sequence[bytes],
    ) -> SamInit:
        """Return the terminal's counter and MAC1 for a purchase that the card has begun.

        Args:
            card_random: 4 bytes, as the card's INIT answered it, like the next and the two last but one.
            offline_seq: 0 to FFFF.
            amount_fen: 0 to FFFFFFFF.
            transaction_type: see TransactionType.
            made_at: 7 bytes BCD YYYYMMDDhhmmss, the terminal's clock.
            key_version: by which the PSAM finds its key.
            algorithm_byte: 0 to 255.
            factors: 8 bytes each, **the card's first**, one for each level between the PSAM's key and the
                card's.

        Raises:
            KeyNotFound: the PSAM has no such key version or algorithm.
            CardRefused: another status word.
            ValueError, OverflowError: a field does not fit.
        """
        listed = factors if self._factor_order is FactorOrder.CARD_FIRST else tuple(reversed(factors))
        command = sam_init_for_purchase(
            card_random,
            offline_seq,
            amount_fen,
            transaction_type,
            made_at,
            key_version,
            algorithm_byte,
            listed,
        )
        answer = sized("INIT SAM FOR PURCHASE", demand(self.channel, command), 8)
        return SamInit(int.from_bytes(answer[:4], "big"), answer[4:])

    def credit(self, mac2: bytes) -> None:
        """Check the card's MAC2, 4 bytes.

        Raises:
            MacWrong: the PSAM says that it does not follow from the purchase.
            AccessDenied: no purchase was begun.
        """
        try:
            demand(self.channel, sam_credit_for_purchase(mac2))
        except MacRefused as refusal:
            raise MacWrong(Sentence("the PSAM finds the card's MAC2 wrong")) from refusal

    def deliver_key(self, usage: int, version: int, factors: Sequence[bytes]) -> None:
        """Make the PSAM diversify a key into its volatile memory, for `cipher` to use.

        Args:
            usage: levels << 5 | type, one byte.
            version: of the key.
            factors: 8 bytes each, as many as the usage has levels, in the PSAM's order.

        Raises:
            AccessDenied: a key for purchases, which no cipher may use.
            KeyNotFound: no such key.
        """
        demand(self.channel, sam_deliver_key(usage, version, factors))

    def cipher(self, mode: CipherMode, blocks: bytes) -> bytes:
        """Return what the delivered key makes of whole blocks; for the MAC modes see `mac`."""
        return demand(self.channel, sam_cipher(mode, blocks))

    def mac(self, start: bytes, padded: bytes) -> bytes:
        """Return a MAC over padded blocks under the delivered key, 4 bytes.

        Args:
            start: the initial vector, one block: 8 bytes, under SM4 16.
            padded: one block or more; padding is the caller's.
        """
        if not padded or len(padded) % len(start):
            raise ValueError(f"{len(padded)} bytes are not whole blocks of {len(start)}")
        message = start + padded
        parts = [message[i : i + CIPHER_BYTES_MAX] for i in range(0, len(message), CIPHER_BYTES_MAX)]
        if len(parts) == 1:
            return _mac_of(self.cipher(CipherMode.MAC, message))
        self.cipher(CipherMode.MAC_FIRST, parts[0])
        for part in parts[1:-1]:
            self.cipher(CipherMode.MAC_NEXT, part)
        return _mac_of(self.cipher(CipherMode.MAC_LAST, parts[-1]))


def read_serial() -> Command:
    """Read file 15, 14 bytes."""
    return Command(0x00, Ins.READ_BINARY, 0x95, 0x00, le=14)


def read_terminal_id() -> Command:
    """Read file 16, 6 bytes."""
    return Command(0x00, Ins.READ_BINARY, 0x96, 0x00, le=6)


def sam_init_for_purchase(
    card_random: bytes,
    offline_seq: int,
    amount_fen: int,
    transaction_type: int,
    made_at: bytes,
    key_version: int,
    algorithm_byte: int,
    factors: Sequence[bytes],
) -> Command:
    """Begin a purchase in the PSAM; `factors` stand as listed. See Psam.init_for_purchase."""
    if len(card_random) != 4 or len(made_at) != 7:
        raise ValueError(f"lengths are {(len(card_random), len(made_at))}, must be (4, 7)")
    if not 1 <= len(factors) <= 3:
        raise ValueError(f"{len(factors)} factors, must be 1 to 3")
    order = (
        card_random
        + offline_seq.to_bytes(2, "big")
        + amount_fen.to_bytes(4, "big")
        + transaction_type.to_bytes(1, "big")
        + made_at
        + bytes((key_version, algorithm_byte))
    )
    return Command(0x80, Ins.SAM_INIT_FOR_PURCHASE, 0x00, 0x00, order + _joined(factors), 8)


def sam_credit_for_purchase(mac2: bytes) -> Command:
    """Let the PSAM check MAC2, 4 bytes."""
    if len(mac2) != 4:
        raise ValueError(f"MAC2 has {len(mac2)} bytes, must be 4")
    return Command(0x80, Ins.SAM_CREDIT_FOR_PURCHASE, 0x00, 0x00, mac2)


def sam_deliver_key(usage: int, version: int, factors: Sequence[bytes]) -> Command:
    """Let the PSAM diversify a key for CIPHER DATA. See Psam.deliver_key."""
    if len(factors) != usage >> 5:
        raise ValueError(f"usage {usage:02X} takes {usage >> 5} factors, not {len(factors)}")
    return Command(0x80, Ins.DELIVER_KEY, usage, version, _joined(factors))


def sam_cipher(mode: CipherMode, blocks: bytes) -> Command:
    """Let the PSAM encrypt, decrypt or MAC under the delivered key."""
    if not 1 <= len(blocks) <= 255:
        raise ValueError(f"{len(blocks)} bytes, must be 1 to 255")
    return Command(0x80, Ins.CIPHER, mode.value, 0x00, blocks)


def _joined(factors: Sequence[bytes]) -> bytes:
    if any(len(factor) != 8 for factor in factors):
        raise ValueError(f"factors of {[len(factor) for factor in factors]} bytes, must be 8 each")
    return b"".join(factors)


def _mac_of(answer: bytes) -> bytes:
    if len(answer) not in {4, 8, 16}:
        sized("CIPHER DATA", answer, 4)
    return answer[:4]
