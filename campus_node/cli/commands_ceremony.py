"""`campus keys ceremony`: the root of purchase keys, its shares, and what is handed out from it."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from campus_node.cli.key_options import language_of, passphrases
from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table, columns_of
from campus_node.cli.secrets_typed import PassphraseDescriptors, PassphraseFiles
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from campus_node.cli.language import Language
    from campus_node.keys.ceremony import Ceremony, Root
    from campus_node.keys.shares import Share

_TERMINAL: Final = Path("/dev/tty")
_CLEAR: Final = "\033[2J\033[3J\033[H"  # the screen and what was scrolled off it

CeremonyDirectory = Annotated[Path, typer.Argument(metavar="CEREMONY_DIR", help="The ceremony's directory.")]
ShareFiles = Annotated[
    list[Path] | None,
    typer.Option("--share", metavar="FILE", help="A custodian's sealed share; several times."),
]
PaperShares = Annotated[
    int, typer.Option("--from-paper", metavar="N", min=0, max=16, help="So many shares are typed from paper.")
]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(
        app,
        "ceremony",
        "Make the root of purchase keys from shares, any M of N of which give it back.",
        "campus keys ceremony new root-1 --threshold 2 --custodian li --custodian wang --custodian zhao",
    )
    command(
        sub,
        "new",
        new,
        "campus keys ceremony new root-1 --threshold 2 --custodian li --custodian wang --custodian zhao",
        "campus keys ceremony new root-2 --version 2 --threshold 3 --custodian a --custodian b --custodian c"
        " --custodian d --custodian e --paper",
    )
    command(sub, "show", show, "campus keys ceremony show root-1")
    command(
        sub,
        "verify",
        verify,
        "campus keys ceremony verify root-1 --share share-1-li.sealed --share share-3-zhao.sealed",
    )
    command(
        sub,
        "derive",
        derive,
        "campus keys ceremony derive root-1 --share share-1-li.sealed --share share-2-wang.sealed"
        " --for north.identity --out north.package",
    )
    command(
        sub,
        "reseal",
        reseal,
        "campus keys ceremony reseal root-1 share-1-li.sealed",
        "campus keys ceremony reseal root-1 share-1-li.sealed --from-paper",
    )
    command(sub, "destroy", destroy, "campus keys ceremony destroy root-1 share-1-li.sealed")


def new(
    context: typer.Context,
    directory: CeremonyDirectory,
    threshold: Annotated[
        int, typer.Option("--threshold", metavar="M", min=2, max=16, help="How many shares are needed.")
    ],
    custodians: Annotated[
        list[str], typer.Option("--custodian", metavar="NAME", help="Who keeps a share; several times.")
    ],
    version: Annotated[
        int, typer.Option("--version", metavar="N", min=1, max=254, help="Of the root keys.")
    ] = 1,
    paper: Annotated[
        bool,
        typer.Option("--paper", help="Show each share once on this terminal, to be written on paper."),
    ] = False,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """Make a new root, cut it into shares and seal each for its custodian. The root itself is not kept.

    Each custodian types a passphrase of their own, and takes the share's file away on a medium of their own.
    """
    from campus_node.keys.ceremony import Custodian, hold, share_file_name
    from federation.clock import SystemClock

    typed = passphrases(context, files, descriptors)
    keepers = [
        Custodian(name, typed.next(Sentence("{name}, a passphrase for your share", name=name), twice=True))
        for name in custodians
    ]
    with _on_paper(context, wanted=paper) as shown:
        made = hold(directory, version, threshold, keepers, SystemClock(), show=shown)
    shares = [
        directory / share_file_name(number, name) for number, name in enumerate(made.custodians, start=1)
    ]
    (directory / "ceremony.identity").write_text(made.identity.to_json(), encoding="utf-8")
    return Report(
        {**_told(made), "shares": [str(path) for path in shares]},
        [
            *_shown(made),
            Sentence(
                "{count} shares, of which any {threshold} give the root:",
                count=len(shares),
                threshold=threshold,
            ),
            *(f"  {path}" for path in shares),
            Sentence("Now each custodian moves their file to a medium of their own: no two in one place."),
        ],
    )


def show(directory: CeremonyDirectory) -> Report:
    """Show what was made in a ceremony: custodians, check values, identity. All of it is public."""
    from campus_node.keys.ceremony import read_ceremony

    made = read_ceremony(directory)
    return Report(_told(made), _shown(made))


def verify(
    context: typer.Context,
    directory: CeremonyDirectory,
    shares: ShareFiles = None,
    from_paper: PaperShares = 0,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """Put shares together and check that they give the root of this ceremony; nothing is kept."""
    from campus_node.keys.ceremony import CeremonyLog
    from federation.clock import SystemClock

    made, _ = _gathered(context, directory, shares, from_paper, files, descriptors)
    CeremonyLog(directory, SystemClock()).write("verified", shares=len(shares or ()) + from_paper)
    return Report(
        {**_told(made), "holds": True},
        [Sentence("These shares give the root of this ceremony."), *_shown(made)],
    )


def derive(
    context: typer.Context,
    directory: CeremonyDirectory,
    receiver: Annotated[
        Path, typer.Option("--for", metavar="FILE", help="Identity of the campus's key store.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the packages.")],
    shares: ShareFiles = None,
    from_paper: PaperShares = 0,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """Derive a campus's purchase keys and wrap them for its key store: OUT.3des and OUT.sm4."""
    from campus_node.keys.ceremony import CeremonyLog
    from campus_node.keys.hierarchy import algorithm_word
    from campus_node.keys.transfer import parse_identity
    from campus_node.purse.algorithm import Algorithm
    from federation.clock import SystemClock
    from federation.errors import Misconfigured

    campus = parse_identity(receiver.read_text(encoding="utf-8"), receiver)
    if len(campus.owner) != 8:
        raise Misconfigured(Sentence("{path} is no identity of a campus's key store", path=receiver))
    made, root = _gathered(context, directory, shares, from_paper, files, descriptors)
    log = CeremonyLog(directory, SystemClock())
    packages = []
    for algorithm in Algorithm:
        group_kcv, package = root.hand_out(made.version, algorithm, campus.owner, campus)
        path = out.with_name(f"{out.name}.{algorithm_word(algorithm)}")
        path.write_text(package.to_json(), encoding="utf-8")
        log.handed_out(package.name, package.check_value, campus)
        packages.append((path, package, group_kcv))
    content = {
        "for": campus.fingerprint,
        "packages": [
            {
                "file": str(path),
                "name": str(package.name),
                "check_value": package.check_value.hex().upper(),
                "group_check_value": group_kcv.hex().upper(),
            }
            for path, package, group_kcv in packages
        ],
    }
    rows = [
        [str(package.name), package.check_value.hex().upper(), str(path)] for path, package, _ in packages
    ]
    return Report(
        content,
        [
            Table(columns_of("key", "check value", "file"), rows),
            Sentence("Only {fingerprint} can open it.", fingerprint=campus.fingerprint),
            Sentence("Send ceremony.identity along; the campus imports with --from ceremony.identity."),
        ],
    )


def reseal(
    context: typer.Context,
    directory: CeremonyDirectory,
    share: Annotated[Path, typer.Argument(metavar="SHARE_FILE", help="The custodian's file.")],
    from_paper: Annotated[
        bool, typer.Option("--from-paper", help="The file is lost: type the share from paper.")
    ] = False,
    files: PassphraseFiles = None,
    descriptors: PassphraseDescriptors = None,
) -> Report:
    """Seal a share under a new passphrase, or make its file anew from paper."""
    from campus_node.keys.ceremony import CeremonyLog, open_share, read_ceremony, reseal_share
    from federation.clock import SystemClock
    from federation.errors import Misconfigured

    made = read_ceremony(directory)
    typed = passphrases(context, files, descriptors)
    if from_paper:
        opened = _typed_share(context)
    else:
        opened = open_share(share, typed.next(Sentence("Passphrase of {path}", path=share)))
    if opened.ceremony != made.number:
        raise Misconfigured(Sentence("these shares are of different ceremonies"))
    reseal_share(share, opened, typed.next(Sentence("New passphrase of {path}", path=share), twice=True))
    CeremonyLog(directory, SystemClock()).write("share_resealed", share=opened.number, paper=from_paper)
    return Report(
        {"share": opened.number, "file": str(share)},
        [Sentence("Share {number} is sealed in {path}.", number=opened.number, path=share)],
    )


def destroy(
    directory: CeremonyDirectory,
    share: Annotated[Path, typer.Argument(metavar="SHARE_FILE", help="The custodian's file.")],
) -> Report:
    """Overwrite and remove a share's file, and note it in the log. Destroy medium and paper as well."""
    from campus_node.keys.ceremony import CeremonyLog, destroy_share, read_ceremony
    from federation.clock import SystemClock

    read_ceremony(directory)
    destroy_share(share)
    CeremonyLog(directory, SystemClock()).write("share_destroyed", file=share.name)
    return Report(
        {"destroyed": str(share)},
        [
            Sentence("{path} is overwritten and gone.", path=share),
            Sentence("A disk may keep old blocks: destroy the medium too, and the paper."),
        ],
    )


def parse_hex(text: str, length: int, option: str) -> bytes:
    """Return the bytes of hexadecimal digits; raise WrongUsage."""
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * length}}}", text):
        raise WrongUsage(
            Sentence("{option} must be {digits} hexadecimal digits", option=option, digits=2 * length)
        )
    return bytes.fromhex(text)


def _gathered(
    context: typer.Context,
    directory: Path,
    shares: list[Path] | None,
    from_paper: int,
    files: list[Path] | None,
    descriptors: list[int] | None,
) -> "tuple[Ceremony, Root]":
    from campus_node.keys.ceremony import gather, open_share, read_ceremony

    made = read_ceremony(directory)
    typed = passphrases(context, files, descriptors)
    opened = [
        open_share(path, typed.next(Sentence("Passphrase of {path}", path=path))) for path in shares or ()
    ]
    opened += [_typed_share(context) for _ in range(from_paper)]
    return made, gather(made, opened)


def _typed_share(context: typer.Context) -> "Share":
    from campus_node.cli.secrets_typed import ask_hidden
    from campus_node.keys.shares import LINES, parse_share

    language = language_of(context)
    lines = [
        ask_hidden(Sentence("Line {number} of {count} of the share", number=number, count=LINES), language)
        for number in range(1, LINES + 1)
    ]
    return parse_share("\n".join(lines))


@contextmanager
def _on_paper(context: typer.Context, *, wanted: bool) -> "Iterator[_OnPaper | None]":
    """Give what shows shares on the terminal itself: never standard output, which may go into a file."""
    if not wanted:
        yield None
        return
    with ExitStack() as terminal:
        try:
            keyboard = terminal.enter_context(_TERMINAL.open(encoding="utf-8"))
            screen = terminal.enter_context(_TERMINAL.open("w", encoding="utf-8"))
        except OSError as error:
            raise WrongUsage(Sentence("--paper needs a terminal: shares are shown nowhere else")) from error
        yield _OnPaper(keyboard, screen, language_of(context))


class _OnPaper:
    """Shows one share after the other and wipes the screen when it is written down."""

    def __init__(self, keyboard: TextIO, screen: TextIO, language: "Language") -> None:
        self._keyboard = keyboard
        self._screen = screen
        self._language = language

    def __call__(self, custodian: str, share: "Share") -> None:
        lines = [
            self._language.say(
                Sentence("Share {number}, for {name} alone:", number=share.number, name=custodian)
            ),
            *(f"  {number}:  {line}" for number, line in enumerate(share.to_lines(), start=1)),
            self._language.say(Sentence("Write it down, compare, then press Enter: it is not shown again.")),
        ]
        self._screen.write("\n".join([_CLEAR, *lines]))
        self._screen.flush()
        self._keyboard.readline()
        self._screen.write(_CLEAR)
        self._screen.flush()


def _told(made: "Ceremony") -> dict[str, object]:
    from campus_node.keys.hierarchy import algorithm_word

    return {
        "number": made.number.hex().upper(),
        "version": made.version,
        "threshold": made.threshold,
        "custodians": list(made.custodians),
        "check_values": {algorithm_word(a): kcv.hex().upper() for a, kcv in made.check_values.items()},
        "fingerprint": made.identity.fingerprint,
    }


def _shown(made: "Ceremony") -> list[Sentence | Table | str]:
    from campus_node.keys.ceremony import root_key_name

    rows = [
        [str(root_key_name(made.version, algorithm)), kcv.hex().upper()]
        for algorithm, kcv in made.check_values.items()
    ]
    return [
        Table(columns_of("key", "check value"), rows),
        Sentence("Its identity: {fingerprint}", fingerprint=made.identity.fingerprint),
    ]
