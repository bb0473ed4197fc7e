"""Chinese of records of terminals, terminals and cards at the node."""

from typing import Final

RECORDS: Final[dict[str, str]] = {}
