"""One TOML table of a profile: every entry is asked for by name, and what nobody asked for is unknown."""

from typing import Any

from campus_node.wording import Sentence
from federation.errors import Misconfigured


class ProfileTable:
    """One table of the file; every entry must be asked for, or it is unknown."""

    def __init__(self, content: dict[str, Any], where: str) -> None:  # whatever TOML holds
        self._left = dict(content)
        self._where = where

    def wrong(self, name: str, must: object) -> Misconfigured:
        return Misconfigured(
            Sentence("{where}: {name} must be: {must}", where=self._where, name=name, must=must)
        )

    def text(self, name: str, default: str | None = None) -> str:
        text: str = self._take(name, str, default, "text")
        return text

    def flag(self, name: str, *, default: bool) -> bool:
        flag: bool = self._take(name, bool, default, "true / false")
        return flag

    def number(self, name: str, most: int, default: int | None = None, least: int = 0) -> int:
        must = f"{least}–{most}"
        number: int = self._take(name, int, default, must)
        if isinstance(number, bool) or not least <= number <= most:
            raise self.wrong(name, must)
        return number

    def hex(self, name: str, *lengths: int, default: str | None = None) -> bytes:
        must = f"{' / '.join(map(str, lengths))} × 00–FF"
        text = self.text(name, default)
        try:
            content = bytes.fromhex(text)
        except ValueError:
            raise self.wrong(name, must) from None
        if text != content.hex().upper() or (lengths and len(content) not in lengths):
            raise self.wrong(name, must)
        return content

    def date(self, name: str) -> bytes:
        text = self.text(name)
        if len(text) != 8 or not text.isdecimal():
            raise self.wrong(name, "YYYYMMDD")
        return bytes.fromhex(text)

    def table(self, name: str) -> "ProfileTable | None":
        content = self._left.pop(name, None)
        if content is not None and not isinstance(content, dict):
            raise self.wrong(name, f"[{name}]")
        return None if content is None else ProfileTable(content, f"{self._where} [{name}]")

    def tables(self, name: str) -> "list[ProfileTable]":
        content = self._left.pop(name, [])
        if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
            raise self.wrong(name, f"[[{name}]]")
        return [
            ProfileTable(each, f"{self._where} [[{name}]] {n}") for n, each in enumerate(content, start=1)
        ]

    def close(self) -> None:
        if self._left:
            names = ", ".join(sorted(self._left))
            raise Misconfigured(Sentence("{where}: unknown: {names}", where=self._where, names=names))

    def has(self, name: str) -> bool:
        return name in self._left

    def texts(self, name: str) -> list[str]:
        content = self._left.pop(name, [])
        if not isinstance(content, list) or not all(isinstance(each, str) for each in content):
            raise self.wrong(name, "[text, …]")
        return content

    def _take(self, name: str, kind: type, default: Any, must: str) -> Any:  # of that kind
        if name not in self._left:
            if default is None:
                raise self.wrong(name, must)
            return default
        content = self._left.pop(name)
        if not isinstance(content, kind):
            raise self.wrong(name, must)
        return content
