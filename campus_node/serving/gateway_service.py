"""What a node offers its gateways: `Gateways` of protos/campuscard/v1/gateway.proto."""

from typing import TYPE_CHECKING

from campus_node.serving.callers import Callers
from campuscard.v1.gateway_pb2_grpc import GatewaysServicer
from federation.errors import Unavailable

if TYPE_CHECKING:
    from campus_node.serving.calls import Context


class GatewayService(GatewaysServicer):
    """Serves the gateways of one campus.

    Args:
        callers: recognises them.
    """

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def Attach(  # type: ignore[override]  # noqa: N802  # gRPC takes coroutines too
        self, _messages: object, context: "Context"
    ) -> None:
        """The stream of one gateway."""
        del context
        raise Unavailable("not served yet")

    def recheck(self) -> None:
        """Cut the streams of gateways that are not accepted any more."""
