"""The `pki/` directory of a campus: what issues, what was issued, what was revoked.

root.pem                        the scheme's root
root/root.pem, root/root.key    only where a campus made its own root: keep them offline
root/campuses/<number>-<name>.pem   the intermediates that this root signed
campus.pem, campus.key          the intermediate that issues leaves
campus.crl.pem                  what it revoked
leaves/<role>-<name>.pem, .key  leaf followed by campus.pem, and its key: this is what a machine is given
issued/<serial>.pem             every certificate ever issued
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography import x509

from campus_node.pki import certificates, files
from campus_node.pki.certificates import Authority
from campus_node.pki.trust import common_name, identity_in
from campus_node.wording import Sentence
from federation.errors import Misconfigured
from federation.identity import Identity, is_name

ROOT_NAME: Final = "root"


class Reason(StrEnum):
    """Why a certificate is revoked (RFC 5280, 5.3.1)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    SUPERSEDED = "superseded"
    CESSATION = "cessationOfOperation"


@dataclass(frozen=True, slots=True)
class Issued:
    """One leaf and what became of it."""

    identity: Identity
    certificate: x509.Certificate
    revoked: x509.RevokedCertificate | None

    @property
    def serial(self) -> str:
        """The serial number, upper-case hex."""
        return f"{self.certificate.serial_number:X}"


def make_root_directory(directory: Path, scheme: str, now_unix_ms: int) -> Path:
    """Make the root of a scheme in a directory; return its certificate's path.

    Raises:
        Misconfigured: there is one already.
    """
    certificate_path = directory / "root.pem"
    if certificate_path.exists() or (directory / "root.key").exists():
        raise Misconfigured(
            Sentence("{directory} holds a root already; a root is made once", directory=directory)
        )
    files.make_private_directory(directory / "campuses")
    root = certificates.make_root(scheme, now_unix_ms)
    files.write_private(directory / "root.key", files.key_pem(root.key))
    files.write_private(certificate_path, files.certificate_pem(root.certificate))
    return certificate_path


def find_root(directory: Path) -> Path:
    """Return where a root's files are: the directory itself, or `root/` or `pki/root/` in it.

    Raises:
        Misconfigured: in none of them.
    """
    for candidate in (directory, directory / "root", directory / "pki" / "root"):
        if (candidate / "root.key").exists():
            return candidate
    raise Misconfigured(
        Sentence("{directory} holds no root; make one with: campus pki root {directory}", directory=directory)
    )


def campuses_of(root_directory: Path) -> dict[int, str]:
    """Return number and name of the campuses whose intermediate this root signed."""
    parts = [path.stem.partition("-") for path in (root_directory / "campuses").glob("*.pem")]
    return {int(number): name for number, _, name in parts}


def next_free_number(root_directory: Path, campus: str) -> int:
    """Return the number by which this root knows a campus, else the lowest that it has not given out."""
    known = campuses_of(root_directory)
    own = [number for number, name in known.items() if name == campus]
    return own[0] if own else next(number for number in range(1, 10_000) if number not in known)


def read_authority(certificate_path: Path, key_path: Path) -> Authority:
    """Return a certificate with its key.

    Raises:
        Misconfigured: one is missing or unreadable, or they do not belong together.
    """
    certificate, key = files.read_certificate(certificate_path), files.read_key(key_path)
    if certificate.public_key() != key.public_key():
        raise Misconfigured(
            Sentence(
                "{key} is not the key of {certificate}: put back the two files that belong together",
                key=key_path,
                certificate=certificate_path,
            )
        )
    return Authority(certificate, key)


class CampusPki:
    """Issues, renews and revokes on one campus.

    Args:
        directory: the campus's `pki/`.
        campus: its name.
        domain: the DNS domain of its machines.
    """

    def __init__(self, directory: Path, campus: str, domain: str) -> None:
        self.directory = directory
        self._campus = campus
        self._domain = domain

    def make_authority(self, root_directory: Path, number: int, now_unix_ms: int) -> None:
        """Have the root sign this campus's intermediate, and make its first, empty revocation list.

        Args:
            root_directory: as `make_root_directory` made it.
            number: the campus's; a root gives each number to one campus only.
            now_unix_ms: when.

        Raises:
            Misconfigured: there is an intermediate already, no root in root_directory, or it knows this
                number or this name otherwise.
        """
        if self._authority_path.exists():
            raise Misconfigured(
                Sentence("{path} is there already: nothing was changed", path=self._authority_path)
            )
        root = read_authority(root_directory / "root.pem", root_directory / "root.key")
        for taken, campus in campuses_of(root_directory).items():
            if (taken == number) != (campus == self._campus):
                raise Misconfigured(
                    Sentence(
                        "this root knows campus {campus} by the number {number}: names and numbers are given "
                        "once; choose another",
                        campus=campus,
                        number=taken,
                    )
                )
        files.make_private_directory(self.directory / "leaves")
        files.make_private_directory(self.directory / "issued")
        authority = certificates.make_campus_authority(root, self._campus, self._domain, now_unix_ms)
        files.write_private(self.directory / "root.pem", files.certificate_pem(root.certificate))
        files.write_private(self.directory / "campus.key", files.key_pem(authority.key))
        files.write_private(self._authority_path, files.certificate_pem(authority.certificate))
        crl = certificates.make_crl(authority, [], 1, now_unix_ms)
        files.write_private(self._crl_path, files.crl_pem(crl))
        files.write_private(
            root_directory / "campuses" / f"{number:04d}-{self._campus}.pem",
            files.certificate_pem(authority.certificate),
        )

    def issue(self, identity: Identity, now_unix_ms: int, *, renew: bool = False) -> Issued:
        """Issue a leaf for a machine and write it to `leaves/`.

        Args:
            identity: the machine; must be of this campus.
            renew: replace the leaf that is there, keeping its key. Without it a leaf that is there is an
                error, unless it was revoked; then the machine gets a new key.

        Raises:
            Misconfigured: another campus's identity, no intermediate here, a leaf there already, none or a
                revoked one to renew.
        """
        if identity.campus != self._campus or not is_name(identity.name):
            raise Misconfigured(
                Sentence(
                    "{uri} is no machine of {campus}: names are 1 to 63 of a-z, 0-9 and hyphen",
                    uri=identity.uri,
                    campus=self._campus,
                )
            )
        leaf_path, key_path = self.leaf_paths(identity)
        machine = identity.originator_name
        with self._locked():
            authority = self._authority()
            if renew:
                if not key_path.exists():
                    raise Misconfigured(
                        Sentence(
                            "{machine} has no leaf to renew; issue one: campus pki leaf", machine=machine
                        )
                    )
                if self._is_revoked(leaf_path):
                    raise Misconfigured(
                        Sentence(
                            "the leaf of {machine} was revoked; give it a new key: campus pki leaf",
                            machine=machine,
                        )
                    )
                key = files.read_key(key_path)
            else:
                if leaf_path.exists() and not self._is_revoked(leaf_path):
                    raise Misconfigured(
                        Sentence("{machine} has a leaf; renew it with: campus pki renew", machine=machine)
                    )
                key = certificates.new_key()
                files.write_private(key_path, files.key_pem(key))
            leaf = certificates.make_leaf(authority, identity, self._domain, key.public_key(), now_unix_ms)
            pem = files.certificate_pem(leaf)
            files.write_private(self.directory / "issued" / f"{leaf.serial_number:X}.pem", pem)
            files.write_private(leaf_path, pem + files.certificate_pem(authority.certificate))
        return Issued(identity, leaf, None)

    def revoke(self, identity: Identity, reason: Reason, now_unix_ms: int) -> list[Issued]:
        """Put every leaf of a machine that is not out of date on the revocation list: they share a key.

        Returns:
            What was revoked now; those that were revoked before stay as they are.

        Raises:
            Misconfigured: this machine never had a certificate.
        """
        now = certificates.instant(now_unix_ms)
        with self._locked():
            of_machine = [issued for issued in self.issued() if issued.identity == identity]
            if not of_machine:
                raise Misconfigured(
                    Sentence(
                        "{machine} never had a certificate; list them with: campus pki show",
                        machine=identity.originator_name,
                    )
                )
            revoked = [
                replace(issued, revoked=_revocation(issued.certificate, reason, now))
                for issued in of_machine
                if issued.revoked is None and issued.certificate.not_valid_after_utc >= now
            ]
            if revoked:
                entries = [issued.revoked for issued in revoked if issued.revoked is not None]
                self._write_crl([*self.crl(), *entries], now_unix_ms)
        return revoked

    def renew_crl(self, now_unix_ms: int) -> x509.CertificateRevocationList:
        """Sign the list again with a later date."""
        with self._locked():
            return self._write_crl(list(self.crl()), now_unix_ms)

    def issued(self) -> list[Issued]:
        """Return every leaf issued here, by identity, newest last."""
        crl = self.crl()
        found = []
        for path in (self.directory / "issued").glob("*.pem"):
            leaf = files.read_certificate(path)
            revoked = crl.get_revoked_certificate_by_serial_number(leaf.serial_number)
            found.append(Issued(identity_in(leaf), leaf, revoked))
        return sorted(found, key=lambda i: (i.identity.originator_name, i.certificate.not_valid_before_utc))

    def authority_certificate(self) -> x509.Certificate:
        return files.read_certificate(self._authority_path)

    def root_certificate(self) -> x509.Certificate:
        return files.read_certificate(self.directory / "root.pem")

    def crl(self) -> x509.CertificateRevocationList:
        return files.read_crl(self._crl_path)

    def leaf_paths(self, identity: Identity) -> tuple[Path, Path]:
        """Return where a machine's certificate and key are."""
        stem = self.directory / "leaves" / f"{identity.role}-{identity.name}"
        return stem.with_name(f"{stem.name}.pem"), stem.with_name(f"{stem.name}.key")

    @property
    def _authority_path(self) -> Path:
        return self.directory / "campus.pem"

    @property
    def _crl_path(self) -> Path:
        return self.directory / "campus.crl.pem"

    def _locked(self) -> AbstractContextManager[None]:
        if not self._authority_path.exists():
            raise Misconfigured(
                Sentence(
                    "{path} is not there: this campus has no authority; make one with: campus pki campus",
                    path=self._authority_path,
                )
            )
        return files.locked(self.directory)

    def _is_revoked(self, leaf_path: Path) -> bool:
        serial = files.read_certificate(leaf_path).serial_number
        return self.crl().get_revoked_certificate_by_serial_number(serial) is not None

    def _authority(self) -> Authority:
        return read_authority(self._authority_path, self.directory / "campus.key")

    def _write_crl(
        self, revoked: list[x509.RevokedCertificate], now_unix_ms: int
    ) -> x509.CertificateRevocationList:
        number = self.crl().extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        crl = certificates.make_crl(self._authority(), revoked, number + 1, now_unix_ms)
        files.write_private(self._crl_path, files.crl_pem(crl))
        return crl


def _revocation(leaf: x509.Certificate, reason: Reason, now: datetime) -> x509.RevokedCertificate:
    return (
        x509.RevokedCertificateBuilder()
        .serial_number(leaf.serial_number)
        .revocation_date(now)
        .add_extension(x509.CRLReason(x509.ReasonFlags(reason.value)), critical=False)
        .build()
    )


def describe(certificate: x509.Certificate) -> dict[str, object]:
    """Return what people want to know about any certificate, as JSON values."""
    described: dict[str, object] = {
        "subject": common_name(certificate),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:X}",
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
    }
    for extension in certificate.extensions:
        match extension.value:
            case x509.SubjectAlternativeName() as names:
                described["dns"] = names.get_values_for_type(x509.DNSName)
                described["uri"] = names.get_values_for_type(x509.UniformResourceIdentifier)
            case x509.NameConstraints(permitted_subtrees=permitted):
                described["permitted"] = [str(name.value) for name in permitted or []]
            case x509.BasicConstraints(ca=ca):
                described["authority"] = ca
    return described
