"""Takes values out of one table of a profile, and refuses what is missing, wrong or left over by its name."""

from collections.abc import Iterable, Mapping
from typing import Final

from federation.errors import Misconfigured

_ABSENT: Final = object()


class Fields:
    """The entries of one TOML table.

    Args:
        table: as it was read.
        where: what people call the table, such as "psam.toml: [[key]] 2".
    """

    def __init__(self, table: Mapping[str, object], where: str) -> None:
        self._left = dict(table)
        self._where = where

    @property
    def where(self) -> str:
        """What people call this table."""
        return self._where

    def has(self, name: str) -> bool:
        """Whether the entry is there and was not taken."""
        return name in self._left

    def octets(self, name: str, lengths: Iterable[int], default: bytes | None = None) -> bytes:
        """Return hexadecimal digits as bytes; their number must be one of these."""
        text = self._take(name, default)
        if isinstance(text, bytes):
            return text
        allowed = sorted(lengths)
        span = str(allowed[0]) if len(allowed) == 1 else f"{allowed[0]} to {allowed[-1]}"
        expected = f"{span} bytes in upper-case hexadecimal"
        if (
            not isinstance(text, str)
            or text != text.upper()
            or any(c not in "0123456789ABCDEF" for c in text)
        ):
            raise self._wrong(name, expected)
        if len(text) % 2 or len(text) // 2 not in allowed:
            raise self._wrong(name, expected)
        return bytes.fromhex(text)

    def digits(self, name: str, length: int) -> bytes:
        """Return `length` bytes of decimal digits, BCD."""
        value = self.octets(name, [length])
        if any(digit not in "0123456789" for digit in value.hex()):
            raise self._wrong(name, f"{2 * length} decimal digits")
        return value

    def number(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """Return a whole number within these bounds."""
        value = self._take(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._wrong(name, f"a whole number from {least} to {most}")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """Return a string."""
        value = self._take(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, "a string")
        return value

    def choice(self, name: str, allowed: Iterable[str], default: str | None = None) -> str:
        """Return one of these strings."""
        value, known = self._take(name, default), list(allowed)
        if value not in known:
            raise self._wrong(name, "one of " + ", ".join(known))
        return str(value)

    def truth(self, name: str, *, default: bool | None = None) -> bool:
        """Return true or false."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def table(self, name: str, *, optional: bool = False) -> "Fields":
        """Return a table within this one; an absent one that is optional is empty."""
        value = self._take(name, {} if optional else None)
        if not isinstance(value, dict):
            raise self._wrong(name, "a table")
        return Fields(value, f"{self._where}: [{name}]")

    def tables(self, name: str) -> list["Fields"]:
        """Return a list of tables; an absent one is empty."""
        value = self._take(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._wrong(name, "a list of tables")
        return [Fields(item, f"{self._where}: [[{name}]] {number}") for number, item in enumerate(value, 1)]

    def strings(self, name: str) -> list[str]:
        """Return a list of strings."""
        value = self._take(name, None)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, "a list of strings")
        return value

    def done(self) -> None:
        """Raise Misconfigured if an entry was not taken."""
        if self._left:
            raise Misconfigured(f"{self._where}: nobody knows {', '.join(sorted(self._left))}")

    def refuse(self, name: str, expected: str) -> Misconfigured:
        """Return the error for an entry whose value fits its type and not its meaning."""
        return self._wrong(name, expected)

    def _take(self, name: str, default: object) -> object:
        value = self._left.pop(name, _ABSENT)
        if value is not _ABSENT:
            return value
        if default is None:
            raise Misconfigured(f"{self._where}: {name} is missing")
        return default

    def _wrong(self, name: str, expected: str) -> Misconfigured:
        return Misconfigured(f"{self._where}: {name} must be {expected}")
