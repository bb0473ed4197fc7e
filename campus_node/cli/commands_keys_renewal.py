"""`campus keys`: transport keys, new versions, and how far the cards are."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campus_node.cli import commands_keys_upgrade
from campus_node.cli.commands_ceremony import parse_hex
from campus_node.cli.key_options import (
    NEW_STORE_SECRET,
    STORE_SECRET,
    AlgorithmOption,
    AlgorithmWord,
    Module,
    Place,
    key_table,
    language_of,
    opened_store,
    passphrases,
    rotation_book,
    told,
)
from campus_node.cli.register import command
from campus_node.cli.report import Report, Table, columns_of
from campus_node.cli.secrets_typed import PassphraseDescriptors, PassphraseFiles
from campus_node.wording import Sentence

if TYPE_CHECKING:
    pass

BookDirectory = Annotated[
    Path,
    typer.Option("--book", metavar="DIR", envvar="CAMPUS_KEY_STORE", help="Where rotation.sqlite lies."),
]
FirstAsn = Annotated[str, typer.Option("--first", metavar="ASN", help="First card of the range, 20 digits.")]
LastAsn = Annotated[str, typer.Option("--last", metavar="ASN", help="Last card of the range, 20 digits.")]


def add_to(sub: typer.Typer) -> None:
    """Add the commands to the group."""
    command(sub, "transport", transport, "campus keys transport --version 0 --algorithm 3des -k keys")
    command(
        sub,
        "rotate",
        rotate,
        "campus keys rotate -k keys",
        "campus keys rotate --algorithm sm4 --usage load --usage unload -k keys",
    )
    command(
        sub,
        "remove",
        remove,
        "campus keys remove campus/4355434100000001/load/1/3des --check-value 1A2B3C -k keys",
    )
    command(sub, "passphrase", passphrase, "campus keys passphrase -k keys")
    commands_keys_upgrade.add_to(sub)
    command(
        sub,
        "progress",
        progress,
        "campus keys progress --book keys",
        "campus keys progress --first 00000001000000000000 --last 00000001000000009999 --book keys --json",
    )
    command(
        sub,
        "minimum",
        minimum,
        "campus keys minimum --book keys",
        "campus keys minimum --first 00000001000000000000 --last 00000001000000009999 --version 2"
        " --algorithm sm4 --book keys",
    )


def transport(
    context: typer.Context,
    version: Annotated[
        int, typer.Option("--version", metavar="N", min=0, max=254, help="As the maker says; often 0.")
    ],
    algorithm: AlgorithmOption,
    place: Place,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", metavar="FILE", help="Holds its 32 hexadecimal digits; else asked for."),
    ] = None,
    module: Module = None,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """Take in the transport key of blank cards and PSAMs, as their maker sent it."""
    from campus_node.cli.secrets_typed import ask_hidden
    from campus_node.keys.hierarchy import Usage, algorithm_named, campus_key
    from federation.clock import SystemClock
    from federation.errors import Misconfigured

    store = opened_store(context, place, module, files, descriptors)
    prompt = Sentence("Transport key, 32 hexadecimal digits")
    typed = key_file.read_text() if key_file is not None else ask_hidden(prompt, language_of(context))
    try:
        key = bytes.fromhex(typed.strip())
    except ValueError:
        key = b""
    if len(key) != 16:
        raise Misconfigured(Sentence("a key has 32 hexadecimal digits"))  # and what was typed is not repeated
    name = campus_key(Usage.TRANSPORT, version, algorithm_named(algorithm.value), store.issuer)
    entry = store.put(name, key, SystemClock())
    return Report(told(entry), [Sentence("{name} is in the store.", name=name), key_table([entry])])


def rotate(
    context: typer.Context,
    place: Place,
    algorithms: Annotated[
        list[AlgorithmWord] | None,
        typer.Option("--algorithm", metavar="NAME", help="3des or sm4; else both."),
    ] = None,
    usages: Annotated[
        list[str] | None, typer.Option("--usage", metavar="NAME", help="load, tac, maintenance …; else all.")
    ] = None,
    version: Annotated[
        int | None,
        typer.Option("--version", metavar="N", min=1, max=254, help="Complete this one; else the next one."),
    ] = None,
    module: Module = None,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """Draw the next version of the campus's own keys, beside the old ones, which stay until removed.

    A new version of the purchase key is a new ceremony. Cards are upgraded at their next tap; see: campus
    keys progress
    """
    from campus_node.keys.hierarchy import Usage, algorithm_named
    from campus_node.keys.key_set import DRAWN, draw_missing, newest_version
    from federation.clock import SystemClock
    from federation.errors import Misconfigured

    try:
        wanted = [Usage(word) for word in usages] if usages else list(DRAWN)
    except ValueError as error:
        raise Misconfigured(
            Sentence(
                "there is no such usage. Known are: {choices}", choices=", ".join(u.value for u in DRAWN)
            )
        ) from error
    store = opened_store(context, place, module, files, descriptors)
    words = algorithms or list(AlgorithmWord)
    number = version or newest_version(store.entries(), store.issuer) + 1
    drawn = draw_missing(
        store, number, [algorithm_named(word.value) for word in words], SystemClock(), wanted
    )
    return Report(
        {"version": number, "keys": [told(entry) for entry in drawn]},
        [
            Sentence("{count} keys of version {version} were drawn.", count=len(drawn), version=number),
            key_table(drawn),
        ],
    )


def remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="KEY", help="As campus keys list shows it.")],
    kcv: Annotated[
        str, typer.Option("--check-value", metavar="HEX", help="Of that key, so that none goes by a slip.")
    ],
    place: Place,
    module: Module = None,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """Forget a key for good. Cards that still have this version can do nothing with this campus any more."""
    from campus_node.keys.hierarchy import parse_key_name
    from federation.errors import Misconfigured

    key = parse_key_name(name)
    given = parse_hex(kcv, 3, "--check-value")
    store = opened_store(context, place, module, files, descriptors)
    if store.entry(key).check_value != given:
        raise Misconfigured(Sentence("this is not the check value of {name}: nothing was removed", name=key))
    store.remove(key)
    return Report({"removed": str(key)}, [Sentence("{name} is removed.", name=key)])


def passphrase(
    context: typer.Context,
    place: Place,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """Seal the store under another passphrase. Older copies still open with the old one: destroy them."""
    from campus_node.keys.opening import is_token
    from campus_node.keys.sealed_file import SealedFile
    from federation.errors import Misconfigured

    if is_token(place):
        raise Misconfigured(Sentence("a token's PIN is changed with its maker's own program"))
    typed = passphrases(context, files, descriptors)
    store = SealedFile.open(Path(place), typed.next(STORE_SECRET))
    store.change_passphrase(typed.next(NEW_STORE_SECRET, twice=True))
    return Report(
        {"key_store": place, "generation": store.generation},
        [Sentence("The passphrase is changed. Destroy old copies: they open with the old one.")],
    )


def progress(
    book: BookDirectory,
    first: FirstAsn = "00" * 10,
    last: LastAsn = "99" * 10,
    usage: Annotated[
        str, typer.Option("--usage", metavar="NAME", help="load, tac, maintenance …; else purchase.")
    ] = "purchase",
) -> Report:
    """Show how many cards of a range have which versions of a key, as they were last seen."""
    from campus_node.keys.hierarchy import Usage
    from federation.errors import Misconfigured

    known = {each.value for each in Usage}
    if usage not in known:
        raise Misconfigured(_no_usage(known))
    seen = rotation_book(book)
    rows = seen.progress(_asn(first), _asn(last), Usage(usage))
    total = sum(row.cards for row in rows)
    content = {
        "usage": usage,
        "cards": total,
        "versions": [{"versions": row.versions, "cards": row.cards} for row in rows],
    }
    table = Table(
        columns_of("versions", "cards", right={"cards"}),
        [[row.versions, str(row.cards)] for row in rows],
        Sentence("No card of this range was seen yet."),
    )
    return Report(content, [table])


def minimum(
    book: BookDirectory,
    first: FirstAsn = "",
    last: LastAsn = "",
    version: Annotated[
        int, typer.Option("--version", metavar="N", min=0, max=254, help="The lowest that is admitted.")
    ] = 0,
    algorithm: Annotated[
        AlgorithmWord, typer.Option("--algorithm", metavar="NAME", help="sm4 refuses 3DES of any version.")
    ] = AlgorithmWord.TDES,
) -> Report:
    """Show or set the oldest keys that a range of cards may use. It never goes down."""
    from campus_node.keys.hierarchy import algorithm_named, algorithm_word
    from campus_node.keys.rotation import KeyMinimum

    seen = rotation_book(book)
    if first or last:
        seen.set_minimum(KeyMinimum(_asn(first), _asn(last), version, algorithm_named(algorithm.value)))
    ranges = [
        {
            "first": each.first.hex(),
            "last": each.last.hex(),
            "version": each.version,
            "algorithm": algorithm_word(each.algorithm),
        }
        for each in seen.minimums()
    ]
    table = Table(
        columns_of("first", "last", "version", "algorithm", right={"version"}),
        [[str(value) for value in each.values()] for each in ranges],
        Sentence("No range has a minimum: every version in a card is admitted."),
    )
    return Report({"minimums": ranges}, [table])


def _asn(text: str) -> bytes:

    return parse_hex(text, 10, "--first, --last")


def _no_usage(known: Iterable[str]) -> Sentence:
    return Sentence("there is no such usage. Known are: {choices}", choices=", ".join(sorted(known)))
