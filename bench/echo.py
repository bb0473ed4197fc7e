"""The node's server stack without a ledger: `python -m bench.echo CAMPUS_DIRECTORY`, prints its port.

Same server options, TLS files and message shapes as the node; Post is answered at once. This is the reference
for what a unary call costs.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc

from campus_node.campus_directory import CampusDirectory
from campus_node.serving.grpc_server import NodeCertificate, bind, make_server
from campuscard.v1 import ledger_pb2 as pb
from federation.clock import SystemClock

if TYPE_CHECKING:
    from campus_node.serving.calls import Context


_SERVICE: Final = "campuscard.v1.Ledger"


async def post(request: pb.PostRequest, _context: "Context") -> pb.PostResponse:
    """Answer at once, in the shape of a ledger's answer."""
    return pb.PostResponse(answer=pb.Answer(seq=request.transfer.amount_fen))


async def serve(directory: Path) -> None:
    """Serve until SIGTERM."""
    settings = CampusDirectory(directory).settings()
    server = make_server(settings)
    echo = grpc.unary_unary_rpc_method_handler(
        post,
        request_deserializer=pb.PostRequest.FromString,
        response_serializer=pb.PostResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Post": echo}),))
    credentials = NodeCertificate(directory, settings, SystemClock()).credentials()
    port = bind(server, "127.0.0.1:0", credentials)
    await server.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(port, flush=True)
    await stop.wait()
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
