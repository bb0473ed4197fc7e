"""`campus pki`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campus_node.cli.arguments import Directory, parse_machine
from campus_node.cli.register import command, group
from campus_node.cli.report import Column, Report, Table, columns_of
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from cryptography import x509

    from campus_node.pki.campus_pki import CampusPki, Issued
    from campus_node.settings import Settings

Machine = Annotated[
    str, typer.Argument(metavar="ROLE/NAME", help="node/1, gateway/canteen or terminal/0001.")
]


class RevocationReason(StrEnum):
    """Why a certificate is revoked, as on the command line."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key-compromise"
    SUPERSEDED = "superseded"
    CESSATION = "cessation"


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(app, "pki", "Certificates: root, campus, machines, revocation.", "campus pki show -C north")
    command(sub, "root", root, "campus pki root scheme", "campus pki root scheme --scheme 'Lake Cities'")
    command(sub, "campus", campus, "campus pki campus -C north --root scheme")
    command(sub, "leaf", leaf, "campus pki leaf terminal/0001 -C north")
    command(sub, "renew", renew, "campus pki renew node/1 -C north")
    command(sub, "revoke", revoke, "campus pki revoke terminal/0001 --reason key-compromise -C north")
    command(sub, "crl", crl, "campus pki crl -C north")
    command(sub, "show", show, "campus pki show -C north", "campus pki show north/pki/campus.pem")


def root(
    directory: Annotated[Path, typer.Argument(metavar="PKI_DIR", help="A new directory for the root.")],
    scheme: Annotated[
        str, typer.Option("--scheme", metavar="NAME", help="Name of the scheme.")
    ] = "campuscard",
) -> Report:
    """Make the root of a scheme, from which campuses get their authority. Keep it offline."""
    from campus_node.pki import files
    from campus_node.pki.campus_pki import describe, make_root_directory

    path = make_root_directory(directory, scheme, _now_unix_ms())
    return Report(
        {"certificate": str(path), **describe(files.read_certificate(path))},
        [
            Sentence("The root of {scheme} is in {directory}.", scheme=scheme, directory=directory),
            Sentence("Keep root.key offline: it is needed only to make campuses."),
            Sentence("Next: campus init DIR --campus NAME --root {directory}", directory=directory),
        ],
    )


def campus(
    root_directory: Annotated[Path, typer.Option("--root", metavar="PKI_DIR", help="Directory of the root.")],
    directory: Directory = Path(),
) -> Report:
    """Have a root sign this campus's authority; campus init does it for a new campus."""
    from campus_node.pki.campus_pki import describe, find_root

    pki, settings = _open(directory)
    pki.make_authority(find_root(root_directory), settings.campus.number, _now_unix_ms())
    told = describe(pki.authority_certificate())
    return Report(told, [Sentence("Campus {name} has its authority.", name=settings.campus.name)])


def leaf(machine: Machine, directory: Directory = Path()) -> Report:
    """Issue the certificate of a machine: 30 days, good as server and as client."""
    return _issue(machine, directory, renewed=False)


def renew(machine: Machine, directory: Directory = Path()) -> Report:
    """Issue a machine's certificate anew for 30 days, keeping its key."""
    return _issue(machine, directory, renewed=True)


def revoke(
    machine: Machine,
    reason: Annotated[
        RevocationReason,
        typer.Option(
            "--reason", metavar="REASON", help="unspecified, key-compromise, superseded or cessation."
        ),
    ] = RevocationReason.UNSPECIFIED,
    directory: Directory = Path(),
) -> Report:
    """Revoke all certificates of a machine that are in date; a running node notices within seconds."""
    from campus_node.pki.campus_pki import Reason

    pki, settings = _open(directory)
    identity = parse_machine(machine, settings.campus.name)
    revoked = pki.revoke(identity, Reason[reason.name], _now_unix_ms())
    content = {"machine": identity.uri, "revoked": [issued.serial for issued in revoked]}
    if not revoked:
        return Report(content, [Sentence("{machine} has no certificate left to revoke.", machine=machine)])
    return Report(content, [Sentence("{count} of {machine} revoked.", count=len(revoked), machine=machine)])


def crl(directory: Directory = Path()) -> Report:
    """Sign the list of revoked certificates again, for another 30 days."""
    pki, _ = _open(directory)
    made = pki.renew_crl(_now_unix_ms())
    ends = made.next_update_utc
    assert ends is not None, "ours always say when the next one comes"
    return Report(
        {"revoked": [f"{entry.serial_number:X}" for entry in made], "next_update": ends.isoformat()},
        [Sentence("{count} revoked; the list is good until {on:%Y-%m-%d}.", count=len(list(made)), on=ends)],
    )


def show(
    path: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A certificate; else all of the campus.")
    ] = None,
    directory: Directory = Path(),
) -> Report:
    """Show a certificate file, or all certificates of a campus and whether they hold."""
    from campus_node.pki import files
    from campus_node.pki.campus_pki import describe

    if path is not None:
        told = describe(files.read_certificate(path))
        rows = [
            (name, ", ".join(value) if isinstance(value, list) else str(value))
            for name, value in told.items()
        ]
        return Report(told, [Table([Column(Sentence("field")), Column(Sentence("value"))], rows)])
    pki, _ = _open(directory)
    issued = pki.issued()
    authorities = [("root", pki.root_certificate()), ("campus", pki.authority_certificate())]
    rows_shown: list[list[str | Sentence]] = [
        [name, _until(certificate), _state(certificate), f"{certificate.serial_number:X}"]
        for name, certificate in authorities
    ]
    rows_shown += [
        [each.identity.originator_name, _until(each.certificate), _leaf_state(each), each.serial]
        for each in issued
    ]
    content = {
        "authorities": {name: describe(certificate) for name, certificate in authorities},
        "leaves": [{**describe(each.certificate), "revoked": each.revoked is not None} for each in issued],
    }
    columns = columns_of("certificate", "until", "state", "serial")
    return Report(content, [Table(columns, rows_shown)])


def _issue(machine: str, directory: Path, *, renewed: bool) -> Report:
    from campus_node.pki.campus_pki import describe

    pki, settings = _open(directory)
    identity = parse_machine(machine, settings.campus.name)
    issued = pki.issue(identity, _now_unix_ms(), renew=renewed)
    certificate, key = pki.leaf_paths(identity)
    content = {**describe(issued.certificate), "certificate_file": str(certificate), "key_file": str(key)}
    shown: list[Sentence] = [
        Sentence(
            "{uri} is good until {on:%Y-%m-%d}.", uri=identity.uri, on=issued.certificate.not_valid_after_utc
        ),
        Sentence("Give the machine: {certificate} and {key}", certificate=certificate, key=key),
    ]
    if renewed and identity.role.value == "node":
        shown.append(Sentence("A running node takes it up by itself."))
    return Report(content, shown)


def _until(certificate: "x509.Certificate") -> str:
    return f"{certificate.not_valid_after_utc:%Y-%m-%d}"


def _state(certificate: "x509.Certificate") -> Sentence:
    from campus_node.pki.certificates import instant
    from campus_node.pki.trust import RENEW_AHEAD

    now = instant(_now_unix_ms())
    if certificate.not_valid_after_utc < now:
        return Sentence("expired")
    return Sentence("renew soon") if certificate.not_valid_after_utc < now + RENEW_AHEAD else Sentence("good")


def _leaf_state(issued: "Issued") -> Sentence:
    return Sentence("revoked") if issued.revoked is not None else _state(issued.certificate)


def _open(directory: Path) -> "tuple[CampusPki, Settings]":
    from campus_node.campus_directory import CampusDirectory

    place = CampusDirectory(directory)
    settings = place.settings()
    return place.pki(settings), settings


def _now_unix_ms() -> int:
    from federation.clock import SystemClock

    return SystemClock().unix_ms()
