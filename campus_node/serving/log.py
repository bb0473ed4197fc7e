"""Logs: one event a line, key=value or JSON, on standard error; card numbers masked, secrets never."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal

import structlog

SECRET_NAMES: Final = re.compile(r"(^|_)(key|keys|mac|mac1|mac2|tac|pin|password|secret|token|dsn)($|_)")
_ASN: Final = re.compile(r"(?<!\d)(0000\d{4})\d{8}(\d{4})(?!\d)")  # 10 bytes BCD; the serial's head is hidden

# structlog's own type of an event; values are whatever was logged.
Event = MutableMapping[str, Any]


def mask(_logger: object, _method: str, event: Event) -> Event:
    """Hide what a log must not keep: the middle of card numbers, and whatever is named as a secret."""
    for name, value in event.items():
        event[name] = _shown(name, value)
    return event


def masked(text: str) -> str:
    """Return the text with the middle of every ASN hidden."""
    return _ASN.sub(r"\1********\2", text)


def _shown(name: str, value: object) -> object:
    if SECRET_NAMES.search(name):
        return "***"
    match value:
        case bytes() | bytearray():
            return masked(value.hex().upper())
        case str():
            return masked(value)
        case Mapping():
            return {key: _shown(str(key), member) for key, member in value.items()}
        case list() | tuple():
            return [_shown("", member) for member in value]
    return value


def configure(level: str, style: Literal["logfmt", "json"]) -> None:
    """Send the events of structlog and of the standard library, one a line, to standard error.

    Args:
        level: debug, info, warning or error.
        style: how a line looks.
    """
    # The processors of structlog have no common type that is worth naming.
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask,
    ]
    render: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if style == "json"
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(level.upper())
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every look at the schema
