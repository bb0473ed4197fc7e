"""Chinese of firmware, hotlists and parameters on their way to terminals."""

from typing import Final

FIRMWARE: Final[dict[str, str]] = {}
