"""`campus keys`: the key store of a campus, its versions, and what goes to other members."""

from pathlib import Path
from typing import Annotated

import typer

from campus_node.cli import commands_ceremony, commands_keys_renewal
from campus_node.cli.commands_ceremony import parse_hex
from campus_node.cli.key_options import (
    NEW_STORE_SECRET,
    AlgorithmOption,
    Module,
    Place,
    VersionOption,
    key_table,
    opened_store,
    passphrases,
    told,
)
from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table
from campus_node.cli.secrets_typed import PassphraseDescriptors, PassphraseFiles
from campus_node.wording import Sentence


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(
        app,
        "keys",
        "Keys of cards and PSAMs: ceremony, key store, renewal. Shows check values, never keys.",
        "campus keys create -k keys --issuer 4355434100000001",
        "campus keys list -k keys",
    )
    commands_ceremony.add_to(sub)
    command(
        sub,
        "create",
        create,
        "campus keys create -k keys --issuer 4355434100000001",
        "campus keys create -k pkcs11:campus --pkcs11-module /usr/lib/softhsm/libsofthsm2.so"
        " --issuer 4355434100000001",
    )
    command(sub, "list", list_keys, "campus keys list -k keys", "campus keys list -k keys --json")
    command(sub, "identity", identity, "campus keys identity -k keys --out north.identity")
    command(sub, "import", import_package, "campus keys import south.package --from south.identity -k keys")
    command(
        sub,
        "export",
        export_package,
        "campus keys export --version 1 --algorithm sm4 --for south.identity --out north.package -k keys",
    )
    commands_keys_renewal.add_to(sub)


def create(
    context: typer.Context,
    place: Place,
    issuer: Annotated[
        str, typer.Option("--issuer", metavar="HEX", help="Issuer id: group code 4 bytes, campus number 4.")
    ],
    module: Module = None,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """Make a key store and draw a campus's own keys, version 1, 3DES and SM4.

    Purchase keys come from the ceremony: send it the identity, then import what it hands out.
    """
    from campus_node.keys.key_set import FIRST_VERSION, draw_missing
    from campus_node.keys.opening import create_store
    from campus_node.purse.algorithm import Algorithm
    from federation.clock import SystemClock

    issuer_id = parse_hex(issuer, 8, "--issuer")
    typed = passphrases(context, files, descriptors)
    said = typed.next(NEW_STORE_SECRET, twice=True)
    store = create_store(place, module, said, issuer_id)
    drawn = draw_missing(store, FIRST_VERSION, Algorithm, SystemClock())
    content = {
        "key_store": place,
        "issuer": issuer_id.hex().upper(),
        "fingerprint": store.identity.fingerprint,
        "keys": [told(entry) for entry in drawn],
    }
    return Report(
        content,
        [
            Sentence("{count} keys were drawn in {place}.", count=len(drawn), place=place),
            Sentence("Its identity: {fingerprint}", fingerprint=store.identity.fingerprint),
            Sentence(
                "Next: campus keys identity -k {place} --out FILE, and bring FILE to the ceremony.",
                place=place,
            ),
        ],
    )


def list_keys(
    context: typer.Context,
    place: Place,
    module: Module = None,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """List the keys of a store with their check values. Compare them with the log of the ceremony."""
    store = opened_store(context, place, module, files, descriptors)
    entries = sorted(store.entries(), key=lambda entry: str(entry.name))
    generation = getattr(store, "generation", None)
    content = {
        "key_store": place,
        "issuer": store.issuer.hex().upper(),
        "fingerprint": store.identity.fingerprint,
        "generation": generation,
        "keys": [told(entry) for entry in entries],
    }
    shown: list[Sentence | Table | str] = [key_table(entries)]
    if generation is not None:
        shown.append(
            Sentence("Generation {number}: write it into the log book after every change.", number=generation)
        )
    return Report(content, shown)


def identity(
    context: typer.Context,
    place: Place,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it there, for others.")
    ] = None,
    module: Module = None,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """Show a store's identity, to which others wrap keys. It is public; compare the fingerprint by voice."""
    own = opened_store(context, place, module, files, descriptors).identity
    if out is not None:
        out.write_text(own.to_json(), encoding="utf-8")
    content = {
        "owner": own.owner.hex().upper(),
        "fingerprint": own.fingerprint,
        "public": own.public.hex().upper(),
    }
    return Report(content, [Sentence("Its identity: {fingerprint}", fingerprint=own.fingerprint)])


def import_package(
    context: typer.Context,
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="What was handed out for this store.")],
    sender: Annotated[Path, typer.Option("--from", metavar="FILE", help="Identity of who handed it out.")],
    place: Place,
    module: Module = None,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """Take a wrapped purchase key in: the campus's own from the ceremony, or another member's for PSAMs."""
    from campus_node.keys.key_set import take_in
    from campus_node.keys.transfer import parse_identity, parse_package
    from federation.clock import SystemClock

    from_whom = parse_identity(sender.read_text(encoding="utf-8"), sender)
    wrapped = parse_package(package.read_text(encoding="utf-8"), package)
    store = opened_store(context, place, module, files, descriptors)
    entry = take_in(store, wrapped, from_whom, SystemClock())
    return Report(
        {**told(entry), "from": from_whom.fingerprint},
        [
            Sentence("{name} is in the store.", name=entry.name),
            Sentence(
                "Its sender: {fingerprint}. Is it the one that you know?", fingerprint=from_whom.fingerprint
            ),
            key_table([entry]),
        ],
    )


def export_package(
    context: typer.Context,
    version: VersionOption,
    algorithm: AlgorithmOption,
    receiver: Annotated[Path, typer.Option("--for", metavar="FILE", help="Identity of who gets it.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the package.")],
    place: Place,
    module: Module = None,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """Wrap this campus's purchase key for another member's PSAMs. No other key can leave."""
    from campus_node.keys.hierarchy import algorithm_named
    from campus_node.keys.key_set import hand_out
    from campus_node.keys.transfer import parse_identity

    to_whom = parse_identity(receiver.read_text(encoding="utf-8"), receiver)
    store = opened_store(context, place, module, files, descriptors)
    package = hand_out(store, version, algorithm_named(algorithm.value), to_whom)
    out.write_text(package.to_json(), encoding="utf-8")
    content = {
        "package": str(out),
        "name": str(package.name),
        "check_value": package.check_value.hex().upper(),
        "for": to_whom.fingerprint,
    }
    return Report(
        content,
        [
            Sentence("{name} is wrapped in {out}.", name=package.name, out=out),
            Sentence("Only {fingerprint} can open it.", fingerprint=to_whom.fingerprint),
            Sentence("Check value, to be compared by voice: {kcv}", kcv=package.check_value.hex().upper()),
        ],
    )
