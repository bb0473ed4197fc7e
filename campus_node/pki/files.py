"""Key and certificate files: readable by their owner only, written whole or not at all."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from campus_node.wording import Sentence
from federation.errors import Misconfigured


def make_private_directory(path: Path) -> None:
    """Make a directory that only its owner may enter, and its parents likewise where they are not there.

    Raises:
        Misconfigured: it cannot be made.
    """
    if not path.parent.exists():
        make_private_directory(path.parent)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Misconfigured(
            Sentence("{path} cannot be made a directory: {reason}", path=path, reason=error.strerror)
        ) from error


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; after a power cut either the old or the new one is there.

    Raises:
        Misconfigured: the place cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _fsync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Misconfigured(
            Sentence("{path} cannot be written: {reason}", path=path, reason=error.strerror)
        ) from error


def _fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes from issuing or revoking in this directory meanwhile."""
    with (directory / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        Misconfigured: it is not there or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise Misconfigured(
            Sentence("{path} cannot be read: {reason}", path=path, reason=error.strerror)
        ) from error


def read_certificate(path: Path) -> x509.Certificate:
    """Return the first certificate of a PEM file.

    Raises:
        Misconfigured: no file, or no certificate in it.
    """
    try:
        return x509.load_pem_x509_certificate(read(path))
    except ValueError as error:
        raise Misconfigured(Sentence("{path} holds no PEM certificate", path=path)) from error


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the private key of a PEM file.

    Raises:
        Misconfigured: no file, no key in it, or not one on P-256.
    """
    try:
        key = serialization.load_pem_private_key(read(path), password=None)
    except (ValueError, TypeError) as error:
        raise Misconfigured(Sentence("{path} holds no unencrypted PEM private key", path=path)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Misconfigured(Sentence("{path} holds a key that is not on the curve P-256", path=path))
    return key


def read_crl(path: Path) -> x509.CertificateRevocationList:
    """Return the revocation list of a PEM file.

    Raises:
        Misconfigured: no file, or no list in it.
    """
    try:
        return x509.load_pem_x509_crl(read(path))
    except ValueError as error:
        raise Misconfigured(Sentence("{path} holds no PEM revocation list", path=path)) from error


def certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def crl_pem(crl: x509.CertificateRevocationList) -> bytes:
    return crl.public_bytes(serialization.Encoding.PEM)
