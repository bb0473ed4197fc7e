"""Chinese of campus line: watching and searching lines."""

from typing import Final

MONITOR: Final[dict[str, str]] = {}
