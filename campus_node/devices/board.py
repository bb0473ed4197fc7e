"""The board of all devices: what gateways tell of their lines, and what devices of others tell of themselves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from campus_node.devices.reports import DeviceReport
from campus_node.devices.topology import Topology

if TYPE_CHECKING:
    from campuscard.v1.gateway_pb2 import GatewayState


class DeviceBoard:
    """Keeps the state of everything that hangs on a gateway or reports by itself.

    Everything may be repeated. It raises StoreDown or OutcomeUnknown while the database is away. Safe to call from
    several threads.

    Args:
        db: where it stands.
        started_at_unix_ms: when this node began to listen: nothing counts as silent for what was missed before.
        silent_after_s: a gateway that was not heard for so long is silent.
    """

    def __init__(self, db: Engine, started_at_unix_ms: int, silent_after_s: float = 60.0) -> None:
        self._db = db

    def gateway_seen(self, gateway: str, now_unix_ms: int, version: str = "") -> None:
        """Take that a gateway is there: at its hello, and with every message; most cost nothing.

        Args:
            gateway: its name, from its certificate.
            version: of its software, where known.
        """

    def gateway_gone(self, gateway: str, now_unix_ms: int) -> None:
        """Take that a gateway's stream ended. It counts as silent only after a while."""

    def take_state(self, gateway: str, state: "GatewayState", now_unix_ms: int) -> None:
        """Take what a gateway tells of its lines and devices; what it does not name stays as it was.

        Raises:
            Unreadable: a line's name, an address or a terminal's number is none; nothing was taken.
        """

    def take_reports(self, key: str, reports: Sequence[DeviceReport], now_unix_ms: int) -> int:
        """Take how devices of others are; return how many reports were newer than what was known.

        Args:
            key: name of the key that they came under.
            reports: checked.

        Raises:
            Refused: this key has named too many devices.
        """
        raise NotImplementedError

    def look(self, now_unix_ms: int) -> None:
        """Find who has become silent. Call it every few seconds."""

    def all(self, now_unix_ms: int) -> Topology:
        """Return everything, as a tree."""
        raise NotImplementedError
