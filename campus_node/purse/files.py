"""The files of a purse card and of a PSAM, field by field.

`parse` raises AnswerUnreadable for content that is too short; content that is longer is a product's own and
is kept in `rest` where there is such a field. Dates are 4 bytes BCD YYYYMMDD as the card has them: a card's
date may be none.
"""

from dataclasses import dataclass
from typing import Final

from campus_node.purse.errors import AnswerUnreadable
from campus_node.wording import Sentence

PUBLIC_SFI: Final = 0x15
HOLDER_SFI: Final = 0x16
COMMON_SFI: Final = 0x17
LOG_SFI: Final = 0x18
ETC_CAPP_SFI: Final = 0x19
PUBLIC_BYTES: Final = 30
HOLDER_BYTES: Final = 39
LOG_BYTES: Final = 23
LOG_RECORDS_MIN: Final = 10
NAME_ENCODING: Final = "gb18030"


@dataclass(frozen=True, slots=True)
class PublicFile:
    """File 0015, public facts of the application, 30 bytes or more.

    Args:
        issuer: 8 bytes.
        application_type, application_version: one byte each.
        asn: application serial number, 10 bytes; the last 8 are the card's diversification factor.
        starts, expires: 4 bytes BCD YYYYMMDD.
        fci: the issuer's own FCI bytes, 2.
        rest: what a product keeps behind (a toll card: its plate).
    """

    issuer: bytes
    application_type: int
    application_version: int
    asn: bytes
    starts: bytes
    expires: bytes
    fci: bytes
    rest: bytes = b""

    @property
    def card_factor(self) -> bytes:
        """The last 8 bytes of the serial number, by which the card's keys are diversified."""
        return self.asn[2:]

    @classmethod
    def parse(cls, content: bytes) -> "PublicFile":
        """Return the file's fields."""
        _at_least("0015", content, PUBLIC_BYTES)
        return cls(
            content[:8],
            content[8],
            content[9],
            content[10:20],
            content[20:24],
            content[24:28],
            content[28:30],
            content[30:],
        )

    def encode(self) -> bytes:
        """Return the file's content. Raise ValueError for a field of the wrong length."""
        _lengths((self.issuer, self.asn, self.starts, self.expires, self.fci), (8, 10, 4, 4, 2))
        kind = bytes((self.application_type, self.application_version))
        return self.issuer + kind + self.asn + self.starts + self.expires + self.fci + self.rest


@dataclass(frozen=True, slots=True, repr=False)
class HolderFile:
    """File 0016, the cardholder, 39 bytes or more. Its repr tells nothing of the person.

    Args:
        card_type: one byte.
        staff: whether the holder works here.
        name: as people read it; at most 20 bytes of GB 18030 in the card.
        id_number: at most 16 ASCII characters.
        id_type: one byte.
        rest: what a product keeps behind.
    """

    card_type: int
    staff: bool
    name: str
    id_number: str
    id_type: int
    rest: bytes = b""

    @classmethod
    def parse(cls, content: bytes) -> "HolderFile":
        """Return the file's fields; what is no text is shown with replacement characters."""
        _at_least("0016", content, HOLDER_BYTES)
        name = content[2:22].rstrip(b"\0\xff ").decode(NAME_ENCODING, "replace")
        id_number = content[22:38].rstrip(b"\0\xff ").decode("ascii", "replace")
        return cls(content[0], content[1] != 0, name, id_number, content[38], content[39:])

    def encode(self) -> bytes:
        """Return the file's content. Raise ValueError for a text that does not fit."""
        name, id_number = self.name.encode(NAME_ENCODING), self.id_number.encode("ascii")
        if len(name) > 20 or len(id_number) > 16:
            raise ValueError(
                f"name and id number have {len(name)} and {len(id_number)} bytes, 20 and 16 at most"
            )
        head = bytes((self.card_type, self.staff))
        return head + name.ljust(20, b"\0") + id_number.ljust(16) + bytes([self.id_type]) + self.rest

    def __repr__(self) -> str:
        return "HolderFile(…)"


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of file 0018, 23 bytes; record 1 is the newest.

    Args:
        seq: the card's counter of this transaction. Whether it is the one before or after it went up is
            **unverified** and differs by product; a public trace of a real card has the one after.
        overdraft_fen: the overdraft limit then.
        amount_fen: what moved.
        transaction_type: see TransactionType; a card of somebody else may have others.
        terminal_id: 6 bytes.
        made_at: 7 bytes BCD YYYYMMDDhhmmss.
    """

    seq: int
    overdraft_fen: int
    amount_fen: int
    transaction_type: int
    terminal_id: bytes
    made_at: bytes

    @classmethod
    def parse(cls, record: bytes) -> "LogRecord | None":
        """Return the record's fields; None for a place that was never written (all 00 or all FF)."""
        _at_least("0018", record, LOG_BYTES)
        if set(record[:LOG_BYTES]) <= {0x00} or set(record[:LOG_BYTES]) <= {0xFF}:
            return None
        return cls(
            int.from_bytes(record[:2], "big"),
            int.from_bytes(record[2:5], "big"),
            int.from_bytes(record[5:9], "big"),
            record[9],
            record[10:16],
            record[16:23],
        )

    def encode(self) -> bytes:
        """Return the 23 bytes. Raise ValueError or OverflowError for a field that does not fit."""
        _lengths((self.terminal_id, self.made_at), (6, 7))
        return (
            self.seq.to_bytes(2, "big")
            + self.overdraft_fen.to_bytes(3, "big")
            + self.amount_fen.to_bytes(4, "big")
            + self.transaction_type.to_bytes(1, "big")
            + self.terminal_id
            + self.made_at
        )


@dataclass(frozen=True, slots=True)
class CappRecord:
    """A record of a CAPP file: id, length, lock, content.

    Args:
        record_id: one byte.
        lock: 0 = open; else the application that holds it.
        content: up to 252 bytes. The length byte in the card counts the lock and these.
    """

    record_id: int
    lock: int
    content: bytes

    @classmethod
    def parse(cls, record: bytes) -> "CappRecord":
        """Return the record's fields; what lies behind its length is ignored."""
        _at_least("CAPP", record, 3)
        end = 2 + record[1]
        if record[1] < 1:
            raise _too_short("CAPP", record, 3)
        _at_least("CAPP", record, end)
        return cls(record[0], record[2], record[3:end])

    def encode(self) -> bytes:
        """Return the whole record. Raise ValueError for content that is too long."""
        if len(self.content) > 252:
            raise ValueError(f"the record's content has {len(self.content)} bytes, 252 at most")
        return bytes((self.record_id, len(self.content) + 1, self.lock)) + self.content


@dataclass(frozen=True, slots=True)
class Fci:
    """What SELECT answers (6F): the application's name and what describes it.

    Args:
        name: tag 84; empty if it is missing.
        sfi: tag 88 of a directory; None if it is missing.
        public: tag 9F0C, a copy of file 0015; None if it is missing.
    """

    name: bytes
    sfi: int | None
    public: PublicFile | None

    @classmethod
    def parse(cls, answer: bytes) -> "Fci":
        """Return the template's fields; tags that we do not know are passed over."""
        outer = _tags(answer).get(0x6F, b"")
        described = _tags(outer)
        own = _tags(described.get(0xA5, b""))
        sfi, public = own.get(0x88, b""), own.get(0x9F0C, b"")
        return cls(
            described.get(0x84, b""),
            sfi[0] if sfi else None,
            PublicFile.parse(public) if len(public) >= PUBLIC_BYTES else None,
        )


@dataclass(frozen=True, slots=True)
class PsamSerial:
    """File 15 of a PSAM, 14 bytes.

    Args:
        serial: 10 bytes.
        version: one byte; 05 and more (FF excepted) can do SM4.
        card_type: one byte.
        fci: 2 bytes.
    """

    serial: bytes
    version: int
    card_type: int
    fci: bytes

    @property
    def does_sm4(self) -> bool:
        """Whether this PSAM has SM4."""
        return 0x05 <= self.version != 0xFF

    @classmethod
    def parse(cls, content: bytes) -> "PsamSerial":
        """Return the file's fields."""
        _at_least("15", content, 14)
        return cls(content[:10], content[10], content[11], content[12:14])

    def encode(self) -> bytes:
        """Return the file's content. Raise ValueError for a field of the wrong length."""
        _lengths((self.serial, self.fci), (10, 2))
        return self.serial + bytes((self.version, self.card_type)) + self.fci


def _tags(encoded: bytes) -> dict[int, bytes]:
    """Return the BER-TLV objects of one level; stops where the bytes are none."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(encoded):
        size = 2 if encoded[at] & 0x1F == 0x1F else 1
        tag = int.from_bytes(encoded[at : at + size], "big")
        at += size
        if at >= len(encoded):
            break
        length = encoded[at]
        at += 1
        if length == 0x81 and at < len(encoded):
            length = encoded[at]
            at += 1
        if at + length > len(encoded):
            break
        found[tag] = encoded[at : at + length]
        at += length
    return found


def _at_least(file: str, content: bytes, length: int) -> None:
    if len(content) < length:
        raise _too_short(file, content, length)


def _too_short(file: str, content: bytes, length: int) -> AnswerUnreadable:
    return AnswerUnreadable(
        Sentence(
            "file {file} of the card has {given} bytes, fewer than {length}",
            file=file,
            given=len(content),
            length=length,
        )
    )


def _lengths(fields: tuple[bytes, ...], wanted: tuple[int, ...]) -> None:
    given = tuple(map(len, fields))
    if given != wanted:
        raise ValueError(f"lengths are {given}, must be {wanted}")
