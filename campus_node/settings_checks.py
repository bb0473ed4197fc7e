"""What a single setting must look like. Each check returns the value or raises with the sentence to show."""

import re
from typing import Final
from urllib.parse import urlsplit

from pydantic_core import PydanticCustomError

from campus_node.firmware.meals import MealTimes
from campus_node.wording import Sentence
from federation.business_date import BusinessCalendar
from federation.errors import Misconfigured
from federation.identity import is_name

_LISTEN: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})")
_DATABASES: Final = ("sqlite", "postgresql")


def _wrong(template: str, **fields: object) -> PydanticCustomError:
    return PydanticCustomError("sentence", "{sentence}", {"sentence": Sentence(template, **fields)})


def no_truth_value(value: object) -> object:
    """Refuse true and false where a number is wanted; Python would take them for 1 and 0."""
    if isinstance(value, bool):
        raise _wrong("is a truth value, not a number")
    return value


def name(text: str) -> str:
    """A DNS label."""
    if not is_name(text):
        raise _wrong("is no name: use 1 to 63 of a-z, 0-9 and hyphen, beginning with a letter or digit")
    return text


def domain(text: str) -> str:
    """DNS labels joined by dots, or nothing."""
    if text and (len(text) > 180 or not all(is_name(label) for label in text.split("."))):
        raise _wrong("is no DNS domain: labels of a-z, 0-9 and hyphen, joined by dots")
    return text


def timezone(text: str) -> str:
    """An IANA time zone."""
    try:
        BusinessCalendar(timezone=text)
    except Misconfigured as error:
        raise _wrong("is no IANA time zone") from error
    return text


def cut_off(text: str) -> str:
    """A time of day, HH:MM."""
    if re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text) is None:
        raise _wrong("is no time of day from 00:00 to 23:59")
    return text


def meals(text: str) -> str:
    """Windows of local time."""
    try:
        MealTimes(text)
    except Misconfigured as error:
        raise _wrong("is no list of meals: HH:MM-HH:MM, by commas") from error
    return text


def listen(text: str) -> str:
    """HOST:PORT."""
    match = _LISTEN.fullmatch(text)
    if match is None:
        raise _wrong("is not HOST:PORT")
    if int(match["port"]) > 65_535:
        raise _wrong("has a port above 65535")
    return text


def split_listen(text: str) -> tuple[str, int]:
    """Return host (without brackets) and port of a checked HOST:PORT."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def path(text: str) -> str:
    """A path that is not empty."""
    if not text.strip():
        raise _wrong("is empty")
    return text


def database(text: str) -> str:
    """sqlite:///PATH or postgresql://HOST/NAME."""
    scheme = text.partition("://")[0] if "://" in text else ""
    if scheme not in _DATABASES:
        raise _wrong("is no database this system writes to: it begins with sqlite:/// or postgresql://")
    if scheme == "sqlite":
        rest = text.removeprefix("sqlite:///")
        if rest == text or not rest or rest == ":memory:":
            raise _wrong("names no file: write three slashes, then the path")
        return text
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise _wrong("is no well-formed URL: percent-encode special characters in the password") from error
    if not parts.path.strip("/"):
        raise _wrong("names no database: the name stands after the last slash")
    return text
