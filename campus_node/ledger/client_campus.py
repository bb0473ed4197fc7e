"""A client for the node of a campus on this machine, from its directory."""

from pathlib import Path

from campus_node.campus_directory import CampusDirectory
from campus_node.ledger.client import LedgerClient, RetryPolicy, ServerAddress, TlsFiles
from campus_node.pki import files
from federation.identity import Identity, parse_identity


def address_of_campus(directory: Path) -> ServerAddress:
    """Return where the node of a campus directory listens now.

    Raises:
        Misconfigured: no campus there.
        Unavailable: its node is not running.
    """
    campus = CampusDirectory(directory)
    return ServerAddress(f"127.0.0.1:{campus.ports().grpc}", campus.settings().domain)


def tls_of_campus(directory: Path, originator: str = "node/1") -> TlsFiles:
    """Return the certificate files of one of a campus's machines.

    Args:
        directory: the campus's.
        originator: the machine, `<role>/<name>`; `campus pki leaf` makes new ones.

    Raises:
        Misconfigured: no campus there, or no such machine.
        NotPermitted: it is not <role>/<name>.
    """
    campus = CampusDirectory(directory)
    settings = campus.settings()
    pki = campus.pki(settings)
    leaf_path, key_path = pki.leaf_paths(_identity(settings.campus.name, originator))
    return TlsFiles(
        files.certificate_pem(pki.authority_certificate()), files.read(leaf_path), files.read(key_path)
    )


def client_of_campus(
    directory: Path, originator: str = "node/1", retry: RetryPolicy | None = None
) -> LedgerClient:
    """Return a client for the node of a campus directory, as one of its machines; raises as the parts do."""
    return LedgerClient(address_of_campus(directory), tls_of_campus(directory, originator), retry)


def _identity(campus: str, originator: str) -> Identity:
    return parse_identity(f"campuscard://{campus}/{originator}")
