"""Chinese of devices, topology and health."""

from typing import Final

DEVICES: Final[dict[str, str]] = {}
