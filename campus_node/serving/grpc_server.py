"""The gRPC server of a node: mutual TLS, message sizes, keepalive, how many calls at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import grpc
import structlog

from campus_node.pki import files
from campus_node.pki.credentials import load_credentials
from campus_node.settings import Settings
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import Misconfigured

KEEPALIVE_TIMEOUT_MS: Final = 10_000
PING_INTERVAL_MIN_MS: Final = 10_000  # callers that ping more often are cut off
HANDSHAKE_MAX_MS: Final = 10_000  # who connects and says nothing, or garbage, does not keep a socket
STREAMS_PER_CONNECTION_MAX: Final = 1_024
METADATA_BYTES_MAX: Final = 8_192
CALLS_SPARE: Final = 1_024  # beyond what the queue takes: reads, health, streams

_log = structlog.get_logger(__name__)


class NodeCertificate:
    """The node's certificate as gRPC asks for it at every handshake: a renewed one counts without a restart.

    Args:
        directory: the campus's.
        settings: where its files are.
        clock: wall time.

    Raises:
        Misconfigured: a file is missing or wrong.
    """

    def __init__(self, directory: Path, settings: Settings, clock: Clock) -> None:
        self._directory = directory
        self._settings = settings
        self._clock = clock
        pki = settings.pki
        names = (pki.node_certificate, pki.node_key, pki.campus_ca, pki.root)
        self._paths = [directory / name for name in names]
        self._version = self._stamp()
        self._configuration = self._load()

    def credentials(self, *, callers_have_certificates: bool = True) -> grpc.ServerCredentials:
        """Return credentials that ask us at every handshake.

        Args:
            callers_have_certificates: ask every caller for one; without, they show otherwise who they are.
        """
        # Its documentation lets the function return None; its type does not say so.
        fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._fetch)
        return grpc.dynamic_ssl_server_credentials(
            self._configuration, fetch, require_client_authentication=callers_have_certificates
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the newest configuration; None = as before. Called by gRPC on a thread of its own."""
        version = self._stamp()
        if version == self._version:
            return None
        self._version = version
        try:
            return self._load()
        except Misconfigured as error:  # half written, or wrong: go on with what we have
            _log.warning("tls.certificate_not_reloaded", why=str(error))
            return None

    def _stamp(self) -> tuple[int, ...]:
        return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in self._paths)

    def _load(self) -> grpc.ServerCertificateConfiguration:
        credentials = load_credentials(self._directory, self._settings, self._clock.unix_ms())
        # TLS admits every campus of the scheme, so that whoever comes to the wrong one is told so in words;
        # `Callers` admits our own campus only.
        roots = files.read(self._directory / self._settings.pki.root) + credentials.authority_pem
        return grpc.ssl_server_certificate_configuration(
            [(credentials.key_pem, credentials.chain_pem)], root_certificates=roots
        )


def make_server(settings: Settings) -> grpc.aio.Server:
    """Return a server with the limits of the settings and no service."""
    bytes_max = settings.grpc.message_bytes_max
    return grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", bytes_max),
            ("grpc.max_send_message_length", bytes_max),
            ("grpc.max_metadata_size", METADATA_BYTES_MAX),
            ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
            ("grpc.keepalive_time_ms", round(settings.grpc.keepalive_s * 1000)),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_INTERVAL_MIN_MS),
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_MAX_MS),
            ("grpc.so_reuseport", 0),  # two nodes never share a port by mistake
        ],
        maximum_concurrent_rpcs=settings.ledger.queue_items_max + CALLS_SPARE,
    )


def bind(
    server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials, setting: str = "grpc.listen"
) -> int:
    """Bind the port and return its number.

    Args:
        setting: where the port was chosen, for the message.

    Raises:
        Misconfigured: it cannot be had.
    """
    try:
        port = server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        port = 0
        why = str(error).splitlines()[0]
    else:
        why = "no address could be bound"
    if not port:
        raise Misconfigured(
            Sentence(
                "{setting}: {listen} cannot be had ({why}): choose another port, or 0",
                setting=setting,
                listen=listen,
                why=why,
            )
        )
    return port
