"""What is typed on a till before a card is laid on it: an amount, a sum, items of a menu. Pure."""

from dataclasses import dataclass, replace
from typing import Final

from campus_node.terminal.pos.settings import Key

YUAN_DIGITS_MAX: Final = 5
FEN_DIGITS: Final = 2
PARTS_MAX: Final = 20  # of a sum, or of a menu
ITEM_DIGITS: Final = 2
PIN_DIGITS_MAX: Final = 12
PIN_DIGITS_MIN: Final = 4


@dataclass(frozen=True, slots=True)
class Typed:
    """An amount in yuan, as it is typed; `12`, `+`, `3.5` is 15.50.

    Args:
        text: what stands in the field now.
        parts_fen: what was added before.
    """

    text: str = ""
    parts_fen: tuple[int, ...] = ()

    @property
    def amount_fen(self) -> int:
        """The sum so far, in fen."""
        return sum(self.parts_fen) + fen_of(self.text)

    @property
    def empty(self) -> bool:
        return not self.text and not self.parts_fen


def fen_of(text: str) -> int:
    """Return what was typed, in fen: `12` is 1200, `.5` is 50."""
    yuan, _, fen = text.partition(".")
    return int(yuan or "0") * 100 + int(fen.ljust(FEN_DIGITS, "0") or "0")


def typed(before: Typed, key: Key) -> Typed:
    """Return the entry after a key; one that makes no sense there changes nothing."""
    yuan, dot, fen = before.text.partition(".")
    if key.value.isdecimal():
        fits = len(fen) < FEN_DIGITS if dot else len(yuan) < YUAN_DIGITS_MAX
        return replace(before, text=before.text + key.value) if fits else before
    match key:
        case Key.DOT:
            return before if dot else replace(before, text=before.text + ".")
        case Key.PLUS:
            full = len(before.parts_fen) >= PARTS_MAX
            part_fen = fen_of(before.text)
            return before if full or not part_fen else Typed("", (*before.parts_fen, part_fen))
        case Key.CLEAR:
            return replace(before, text="") if before.text else Typed()
        case Key.CANCEL:
            return Typed()
    return before


@dataclass(frozen=True, slots=True)
class Chosen:
    """Items of a menu: a number, then `+`, as often as wanted.

    Args:
        text: the number that is being typed.
        items: number of the item and how many of it, in the order of their choice.
    """

    text: str = ""
    items: tuple[tuple[int, int], ...] = ()

    @property
    def all_items(self) -> tuple[tuple[int, int], ...]:
        """What is chosen, with the number that stands in the field."""
        return added(self).items

    @property
    def empty(self) -> bool:
        return not self.text and not self.items


def added(before: Chosen) -> Chosen:
    """Return the choice with what stands in the field."""
    number = int(before.text or "0")
    if not number:
        return replace(before, text="")
    counts = dict(before.items)
    if number not in counts and len(counts) >= PARTS_MAX:
        return before
    counts[number] = counts.get(number, 0) + 1
    return Chosen("", tuple(counts.items()))


def chosen(before: Chosen, key: Key) -> Chosen:
    """Return the choice after a key."""
    if key.value.isdecimal():
        return replace(before, text=before.text + key.value) if len(before.text) < ITEM_DIGITS else before
    match key:
        case Key.PLUS:
            return added(before)
        case Key.CLEAR:
            return replace(before, text="") if before.text else Chosen()
        case Key.CANCEL:
            return Chosen()
    return before


def pin_typed(before: str, key: Key) -> str:
    """Return the digits of a PIN after a key."""
    if key.value.isdecimal():
        return before + key.value if len(before) < PIN_DIGITS_MAX else before
    return before[:-1] if key is Key.CLEAR else before


def pin_bytes(digits: str) -> bytes | None:
    """Return a PIN as the card takes it, BCD, filled up with F; None = too short."""
    if len(digits) < PIN_DIGITS_MIN:
        return None
    return bytes.fromhex(digits + "F" * (len(digits) % 2))
