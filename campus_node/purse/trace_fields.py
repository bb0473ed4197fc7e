"""What the fields of commands and answers are called, how they are shown, and which a trace must hide.

A command that is not in the table is hidden whole: what nobody described cannot leak.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from campus_node.wording import Sentence


class Form(Enum):
    """How a field is shown."""

    HEX = auto()
    YUAN = auto()  # fen, unsigned, big-endian
    NUMBER = auto()
    DATE = auto()  # BCD YYYYMMDD
    TIME = auto()  # BCD HHMMSS
    ASN = auto()  # 10 bytes; the head of the serial is hidden
    SERIAL = auto()  # the last 8 bytes of an ASN, hidden likewise
    PERSONAL = auto()  # about the cardholder: hidden like an ASN
    SECRET = auto()  # hidden for ever: PIN, key, session key, cryptogram of a key
    FCI = auto()  # answer of SELECT; it may contain file 0015


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Args:
        name: what people call it.
        length: bytes; 0 = all that is left.
        form: how it is shown.
    """

    name: Sentence
    length: int
    form: Form = Form.HEX


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of a command: what is sent after the header, what comes back before the status word."""

    sent: Sequence[Field] = ()
    answered: Sequence[Field] = ()


_AMOUNT: Final = Field(Sentence("amount"), 4, Form.YUAN)
_BALANCE: Final = Field(Sentence("balance"), 4, Form.YUAN)
_TYPE: Final = Field(Sentence("type"), 1)
_TERMINAL: Final = Field(Sentence("terminal"), 6)
_TERMINAL_SEQ: Final = Field(Sentence("terminal counter"), 4, Form.NUMBER)
_DATE: Final = Field(Sentence("date"), 4, Form.DATE)
_TIME: Final = Field(Sentence("time"), 3, Form.TIME)
_KEY_INDEX: Final = Field(Sentence("key index"), 1)
_KEY_VERSION: Final = Field(Sentence("key version"), 1)
_ALGORITHM: Final = Field(Sentence("algorithm"), 1)
_RANDOM: Final = Field(Sentence("random"), 4)
_ONLINE_SEQ: Final = Field(Sentence("online counter"), 2, Form.NUMBER)
_OFFLINE_SEQ: Final = Field(Sentence("offline counter"), 2, Form.NUMBER)
_OVERDRAFT: Final = Field(Sentence("overdraft limit"), 3, Form.YUAN)
_MAC1: Final = Field(Sentence("MAC1"), 4)
_MAC2: Final = Field(Sentence("MAC2"), 4)
_MAC3: Final = Field(Sentence("MAC3"), 4)
_MAC: Final = Field(Sentence("MAC"), 4)
_TAC: Final = Field(Sentence("TAC"), 4)
_SECRET: Final = Field(Sentence("hidden"), 0, Form.SECRET)
_BYTES: Final = Field(Sentence("bytes"), 0)
_WRAPPED: Final = Layout((_SECRET,), (_SECRET,))

_INIT_PURCHASE: Final = Layout(
    (_KEY_INDEX, _AMOUNT, _TERMINAL),
    (_BALANCE, _OFFLINE_SEQ, _OVERDRAFT, _KEY_VERSION, _ALGORITHM, _RANDOM),
)
_INIT_LOAD: Final = Layout(
    (_KEY_INDEX, _AMOUNT, _TERMINAL),
    (_BALANCE, _ONLINE_SEQ, _KEY_VERSION, _ALGORITHM, _RANDOM, _MAC1),
)
_INIT_UPDATE: Final = Layout(
    (_KEY_INDEX, _TERMINAL),
    (_BALANCE, _ONLINE_SEQ, _OVERDRAFT, _KEY_VERSION, _ALGORITHM, _RANDOM, _MAC1),
)
_DEBIT: Final = Layout((_TERMINAL_SEQ, _DATE, _TIME, _MAC1), (_TAC, _MAC2))

# (class, instruction, P1); P1 of None is any.
LAYOUTS: Final[dict[tuple[int, int, int | None], Layout]] = {
    (0x00, 0xA4, None): Layout(
        (Field(Sentence("file or application"), 0),), (Field(Sentence("application"), 0, Form.FCI),)
    ),
    (0x00, 0x84, None): Layout((), (Field(Sentence("random"), 0),)),
    (0x00, 0x20, None): _WRAPPED,
    (0x00, 0x82, None): _WRAPPED,
    (0x00, 0x88, None): _WRAPPED,
    (0x00, 0xE2, None): Layout((_BYTES,)),
    (0x80, 0x5C, None): Layout((), (_BALANCE,)),
    (0x80, 0x50, 0x00): _INIT_LOAD,
    (0x80, 0x50, 0x01): _INIT_PURCHASE,
    (0x80, 0x50, 0x02): _INIT_PURCHASE,
    (0x80, 0x50, 0x03): _INIT_PURCHASE,
    (0x80, 0x50, 0x04): _INIT_UPDATE,
    (0x80, 0x50, 0x05): _INIT_LOAD,
    (0x80, 0x52, None): Layout((_DATE, _TIME, _MAC2), (_TAC,)),
    (0x80, 0x54, 0x01): _DEBIT,
    (0x80, 0x54, 0x03): Layout((_DATE, _TIME, _MAC2), (_MAC3,)),
    (0x80, 0x58, None): Layout((_OVERDRAFT, _DATE, _TIME, _MAC2), (_TAC,)),
    (0x80, 0x5A, None): Layout((Field(Sentence("counter"), 2, Form.NUMBER),), (_MAC, _TAC)),
    (0x80, 0xDC, None): Layout((_BYTES,)),
    (0x80, 0x5E, None): _WRAPPED,
    (0x80, 0x70, None): Layout(
        (
            _RANDOM,
            _OFFLINE_SEQ,
            _AMOUNT,
            _TYPE,
            _DATE,
            _TIME,
            _KEY_VERSION,
            _ALGORITHM,
            Field(Sentence("card serial"), 8, Form.SERIAL),
            Field(Sentence("further factors"), 0),
        ),
        (_TERMINAL_SEQ, _MAC1),
    ),
    (0x80, 0x72, None): Layout((_MAC2,)),
    (0x80, 0x1A, None): Layout(
        (Field(Sentence("card serial"), 8, Form.SERIAL), Field(Sentence("further factors"), 0))
    ),
    (0x80, 0xFA, None): _WRAPPED,
    (0x80, 0xCA, None): Layout((), (_BYTES,)),  # which keys there are, never their values
}
HIDDEN: Final = _WRAPPED

_PLAIN: Final = Layout((_BYTES,), (_BYTES,))
_LOG_RECORD: Final = Layout(
    (),
    (
        Field(Sentence("counter"), 2, Form.NUMBER), _OVERDRAFT, _AMOUNT, _TYPE, _TERMINAL, _DATE, _TIME,
    ),
)  # fmt: skip

# Files whose bytes have names, by (device, short identifier). Others are shown as bytes.
PUBLIC_FILE: Final = (
    Field(Sentence("issuer"), 8),
    Field(Sentence("application type"), 1),
    Field(Sentence("application version"), 1),
    Field(Sentence("ASN"), 10, Form.ASN),
    Field(Sentence("valid from"), 4, Form.DATE),
    Field(Sentence("valid until"), 4, Form.DATE),
    Field(Sentence("issuer's bytes"), 2),
    Field(Sentence("more"), 0, Form.PERSONAL),  # a toll card keeps its plate there
)
FILES: Final[dict[tuple[str, int], Sequence[Field]]] = {
    ("card", 0x15): PUBLIC_FILE,
    ("card", 0x16): (
        Field(Sentence("card type"), 1),
        Field(Sentence("staff"), 1),
        Field(Sentence("name"), 20, Form.PERSONAL),
        Field(Sentence("id number"), 0, Form.PERSONAL),
    ),
    ("sam", 0x15): (
        Field(Sentence("serial"), 10),
        Field(Sentence("version"), 1),
        Field(Sentence("bytes"), 0),
    ),
    ("sam", 0x16): (_TERMINAL,),
}
LOG_FILE: Final = 0x18
READ_RECORD: Final = 0xB2
UPDATE_RECORD: Final = 0xDC
READ_BINARY: Final = 0xB0
UPDATE_BINARY: Final = 0xD6


def layout_of(device: str, header: bytes, selected: int) -> Layout:
    """Return the fields of a command.

    Args:
        device: "card" or "sam".
        header: CLA INS P1 P2.
        selected: identifier of the file that SELECT chose last, for commands without a short one; 0 = none.
    """
    cla, ins, p1, p2 = header
    if cla & 0x0F == 0x04 and ins not in {READ_BINARY, READ_RECORD}:
        return HIDDEN  # secure messaging: keys travel in it
    if ins in {READ_BINARY, UPDATE_BINARY}:
        short = p1 & 0x80
        file, offset = (p1 & 0x1F, p2) if short else (selected & 0x1F, p1 << 8 | p2)
        fields = _from_offset(FILES.get((device, file), (_BYTES,)), offset)
        return Layout((), fields) if ins == READ_BINARY else Layout(fields)
    if cla in {0x00, 0x04} and ins in {READ_RECORD, UPDATE_RECORD}:
        file = p2 >> 3 or selected & 0x1F
        return _LOG_RECORD if (ins, file) == (READ_RECORD, LOG_FILE) else _PLAIN
    return LAYOUTS.get((cla, ins, p1)) or LAYOUTS.get((cla, ins, None)) or HIDDEN


def _from_offset(fields: Sequence[Field], offset: int) -> Sequence[Field]:
    """Leave out what stands before offset; a field that is cut hides all if it hid some."""
    left: list[Field] = []
    for field in fields:
        if not field.length:
            left.append(field)
        elif offset >= field.length:
            offset -= field.length
        elif offset:
            form = Form.PERSONAL if field.form in {Form.ASN, Form.SERIAL, Form.PERSONAL} else Form.HEX
            left.append(Field(field.name, field.length - offset, form))
            offset = 0
        else:
            left.append(field)
    return left
