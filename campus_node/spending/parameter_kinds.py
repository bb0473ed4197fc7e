"""How the text of a parameter becomes a value, and what is said when it does not. Pure."""

import re
from dataclasses import dataclass
from typing import Final, Generic, NoReturn, Protocol, TypeVar

from campus_node.spending.moments import DAY_S, MEALS_MAX
from campus_node.wording import Sentence

ISSUER_BYTES: Final = 8
ISSUERS_MAX: Final = 256
STOPS_MAX: Final = 64
FARE_MAX_FEN: Final = 100_000

_WHOLE: Final = re.compile(r"[0-9]{1,12}")
_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_ISSUER: Final = re.compile(r"[0-9A-Fa-f]{16}")
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")

T_co = TypeVar("T_co", covariant=True)


class Kind(Protocol, Generic[T_co]):
    """What texts of a parameter are good."""

    @property
    def unit(self) -> str:
        """The unit, for the list of parameters."""

    @property
    def span(self) -> str:
        """Which values are good, for the list of parameters."""

    def read(self, text: str) -> T_co:
        """Return the value. Raise ValueError if the text is no good one."""

    def wanted(self) -> Sentence:
        """Say what is wanted, for people."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number."""

    unit: str
    least: int
    most: int

    @property
    def span(self) -> str:
        return f"{self.least:,} to {self.most:,}"

    def read(self, text: str) -> int:
        if not _WHOLE.fullmatch(text) or not self.least <= int(text) <= self.most:
            raise ValueError(text)
        return int(text)

    def wanted(self) -> Sentence:
        return Sentence("a whole number from {least} to {most}", least=self.least, most=self.most)


@dataclass(frozen=True, slots=True)
class Percent:
    """A percentage with up to two decimals; its value is in hundredths of a per cent."""

    most: int = 200
    unit: str = "%"

    @property
    def span(self) -> str:
        return f"0 to {self.most}, two decimals"

    def read(self, text: str) -> int:
        parts = _PERCENT.fullmatch(text)
        share = int(parts[1]) * 100 + int((parts[2] or "").ljust(2, "0")) if parts else -1
        if not 0 <= share <= self.most * 100:
            raise ValueError(text)
        return share

    def wanted(self) -> Sentence:
        return Sentence("a percentage from 0 to {most} with two decimals at most", most=self.most)


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no."""

    unit: str = "yes or no"
    span: str = "yes, no"

    def read(self, text: str) -> bool:
        return {"yes": True, "no": False}[text] if text in {"yes", "no"} else _refuse(text)

    def wanted(self) -> Sentence:
        return Sentence("yes or no")


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """A time of day with its minute, as HH:MM."""

    unit: str = "HH:MM"
    span: str = "00:00 to 23:59"

    def read(self, text: str) -> str:
        parts = _TIME.fullmatch(text)
        return text if parts and parts[3] is None else _refuse(text)

    def wanted(self) -> Sentence:
        return Sentence("a time of day such as 03:00")


@dataclass(frozen=True, slots=True)
class MealEnds:
    """The last second of each meal, in the order of a day; the last one may lie after midnight."""

    unit: str = "HH:MM[:SS], …"
    span: str = f"1 to {MEALS_MAX} times in the order of a day"

    def read(self, text: str) -> tuple[int, ...]:
        ends = []
        for part in text.split(","):
            parts = _TIME.fullmatch(part.strip())
            if parts is None:
                raise ValueError(text)
            ends.append(int(parts[1]) * 3600 + int(parts[2]) * 60 + int(parts[3] or 0))
        lengths = [(end - ends[at - 1]) % DAY_S for at, end in enumerate(ends)]
        once_round = len(ends) == 1 or (0 not in lengths and sum(lengths) == DAY_S)
        return tuple(ends) if once_round and len(ends) <= MEALS_MAX else _refuse(text)

    def wanted(self) -> Sentence:
        return Sentence("1 to {most} times in the order of a day, such as 10:00,14:00,20:00", most=MEALS_MAX)


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone's name; whether it exists is found out where calendars are made."""

    unit: str = "IANA name"
    span: str = "for example Asia/Shanghai"

    def read(self, text: str) -> str:
        return text if _ZONE.fullmatch(text) else _refuse(text)

    def wanted(self) -> Sentence:
        return Sentence("a time zone such as Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Issuers:
    """Issuers by their ids."""

    most: int = ISSUERS_MAX
    unit: str = "issuer ids, 16 hexadecimal digits each, with commas"

    @property
    def span(self) -> str:
        return f"0 to {self.most}"

    def read(self, text: str) -> frozenset[bytes]:
        names = [part.strip() for part in text.split(",")] if text else []
        if len(names) > self.most or not all(_ISSUER.fullmatch(name) for name in names):
            raise ValueError(text)
        return frozenset(bytes.fromhex(name) for name in names)

    def wanted(self) -> Sentence:
        return Sentence("at most {most} issuer ids of 16 hexadecimal digits, with commas", most=self.most)


@dataclass(frozen=True, slots=True)
class FareMatrix:
    """Fares by stop of entry and stop of exit."""

    unit: str = "fen; a row for each stop of entry, rows with ; and fares with ,"
    span: str = f"0 to {STOPS_MAX} rows of as many fares, 0 to {FARE_MAX_FEN:,} each"

    def read(self, text: str) -> tuple[tuple[int, ...], ...]:
        rows = [row.split(",") for row in text.split(";")] if text else []
        fares = tuple(tuple(_fare(fare.strip()) for fare in row) for row in rows)
        square = len(rows) <= STOPS_MAX and all(len(row) == len(rows) for row in rows)
        return fares if square else _refuse(text)

    def wanted(self) -> Sentence:
        return Sentence("as many rows as stops of as many fares, such as 0,200;200,0")


def _fare(text: str) -> int:
    return Whole("fen", 0, FARE_MAX_FEN).read(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)
