"""Where what is distributed to terminals joins the gateway: what it is given, and what it must offer.

`Building` is what the gateway offers to `distribution.py`; `Distributor` is what it calls there.
"""

from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple, Protocol

from campus_node.lines.line import Line, Peer
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire


class Place(NamedTuple):
    """Where a terminal's session stands: the line's name and the address on it, 1 to 254."""

    line: str
    address: Peer


class Building(Protocol):
    """The gateway as a distribution sees it. Every method may be called by any thread and never waits."""

    def lines(self) -> Mapping[str, Line]:
        """Return the lines that are open now, by name. One that is a `Distributing` can multicast."""

    def place_of(self, terminal_id: bytes) -> Place | None:
        """Return where a terminal has a session now; None = it has none."""

    def planned(self, terminal_id: bytes) -> pb.RolledTerminal | None:
        """Return what the roll says of a terminal: model, ring, planned place; None = not one of ours."""

    def tell(self, terminal_id: bytes, message: wire.FromGateway) -> bool:
        """Send a sealed message to a terminal; False if it has no session or its line takes nothing now."""

    def progress(self, progress: pb.OrderProgress) -> None:
        """Tell the node how far an order has come; kept until the stream stands, the newest of each order."""

    def load_percent(self, line: str) -> int:
        """Return how much of a line a distribution may take where its order does not say, in hundredths."""


class Images(Protocol):
    """Where images come from."""

    def fetch_image(self, digest: bytes, offset: int) -> AsyncIterator[pb.ImagePart]:
        """Yield parts of an image from an offset on; raise NotFound, Unavailable while the node is away."""


class Distributor(Protocol):
    """What distribution.py is: it executes orders. `run` is a task of the loop; nothing else waits."""

    def take_order(self, order: pb.Order) -> None:
        """Begin, change or call off; an order of the same id is the same order. Called on the loop."""

    def heard(self, terminal_id: bytes, report: wire.DistributionReport) -> None:
        """Take what a terminal said in a sealed message. Called by any thread."""

    async def run(self) -> None:
        """Distribute until cancelled."""
