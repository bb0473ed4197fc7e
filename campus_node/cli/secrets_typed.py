"""How a secret gets in: typed where nobody sees it, from a file or a descriptor; never as an argument."""

import getpass
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from campus_node.cli.language import Language
from campus_node.wording import Sentence
from federation.errors import Refused

SECRET_BYTES_MAX: Final = 4096

PassphraseFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="First line is the passphrase; several times, in the order they are asked for.",
    ),
]
PassphraseDescriptors = Annotated[
    list[int] | None,
    typer.Option(
        "--passphrase-fd", metavar="N", help="The same from an open file descriptor; after the files."
    ),
]


class Passphrases:
    """Where the passphrases of one command come from, one after the other.

    Args:
        files, descriptors: what was given; when they are used up, or none were, somebody is asked.
        language: in which to ask.
    """

    def __init__(
        self, files: Sequence[Path] | None, descriptors: Sequence[int] | None, language: Language
    ) -> None:
        self._given = _read_all(files or (), descriptors or ())
        self._asking = not files and not descriptors
        self._language = language

    def next(self, prompt: Sentence, *, twice: bool = False) -> str:
        """Return the next passphrase.

        Args:
            prompt: what is asked for.
            twice: a new one is typed twice.

        Raises:
            Refused: too few were given, nobody is there to ask, or the two differ.
        """
        if not self._asking:
            given = next(self._given, None)
            if given is None:
                raise Refused(Sentence("{what}: too few were given", what=prompt))
            return given
        said = ask_hidden(prompt, self._language)
        if twice and ask_hidden(Sentence("{what}, once more", what=prompt), self._language) != said:
            raise Refused(Sentence("the two are not the same: nothing was changed"))
        return said


def ask_hidden(prompt: Sentence, language: Language) -> str:
    """Return what somebody types unseen.

    Raises:
        Refused: nobody is there to ask.
    """
    if not sys.stdin.isatty():
        raise Refused(
            Sentence("a passphrase is needed and nobody is there to ask: give it with --passphrase-file FILE")
        )
    return getpass.getpass(f"{language.say(prompt)}: ")


def _read_all(files: Sequence[Path], descriptors: Sequence[int]) -> Iterator[str]:
    for path in files:
        yield _first_line(path.read_bytes())
    for descriptor in descriptors:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            yield _first_line(file.read(SECRET_BYTES_MAX))


def _first_line(content: bytes) -> str:
    line = content[:SECRET_BYTES_MAX].split(b"\n")[0].rstrip(b"\r")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise Refused(Sentence("a passphrase is text in UTF-8")) from None
