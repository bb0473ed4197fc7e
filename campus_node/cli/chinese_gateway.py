"""Chinese of gateways: running one, its lines, its spool."""

from typing import Final

GATEWAY: Final[dict[str, str]] = {}
