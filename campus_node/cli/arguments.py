"""What people type and what it means: accounts, kinds, machines, instants, ids; and how the same is shown."""

import difflib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Final, NoReturn, TypeVar

import typer

from campus_node.cli.usage import WrongUsage
from campus_node.ledger.chart import LOCAL_PER_CLASS, AccountClass, Kind, account_number, split_account_number
from campus_node.wording import Sentence
from federation.identity import Identity, Role, is_name
from federation.transfer import TRANSFER_ID_BYTES

_E = TypeVar("_E", bound=IntEnum)
_FEN_PER_YUAN: Final = 100

Directory = Annotated[
    Path,
    typer.Option(
        "--campus-dir",
        "-C",
        metavar="DIR",
        envvar="CAMPUS_DIR",
        help="The campus's directory.",
    ),
]
OperatorName = Annotated[
    str, typer.Option("--operator", metavar="NAME", help="Who does it; goes into the audit trail.")
]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; goes into the audit trail.")]
AccountText = Annotated[
    str,
    typer.Argument(
        metavar="ACCOUNT", help="CLASS/LOCAL such as online/20260001 or 2100/20260001, or all digits."
    ),
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="Lines at most.")]


def parse_account(text: str) -> int:
    """Return the number of an account.

    Raises:
        WrongUsage: it names none.
    """
    digits = text.replace("_", "")
    if re.fullmatch(r"[0-9]{13,16}", digits):
        try:
            account_class, local = split_account_number(int(digits))
        except ValueError:
            _no_class(digits[: -len(str(LOCAL_PER_CLASS)) + 1])
        return account_number(account_class, local)
    match = re.fullmatch(r"([a-z0-9-]+)/([0-9]{1,12})", digits)
    if match is None:
        raise WrongUsage(
            Sentence(
                "{text} is no account: write CLASS/LOCAL, for example online/20260001, or 2100/20260001",
                text=text,
            )
        )
    named = match[1]
    found = [each for each in AccountClass if named in {str(each.value), word_of(each)}]
    return account_number(found[0] if found else _no_class(named), int(match[2]))


def shown_account(number: int) -> str:
    """Return an account as people read and type it; 0, where there is none, is empty."""
    try:
        account_class, local = split_account_number(number)
    except ValueError:
        return str(number) if number else ""
    return f"{word_of(account_class)}/{local}"


def parse_kind(text: str) -> Kind:
    """Return the kind of transfer; raise WrongUsage."""
    for kind in Kind:
        if text.lower().replace("_", "-") == word_of(kind):
            return kind
    raise WrongUsage(
        Sentence(
            "{text} is no kind of transfer. {advice}", text=text, advice=_known(text, map(word_of, Kind))
        )
    )


def parse_machine(text: str, campus: str) -> Identity:
    """Return the machine that `<role>/<name>` names; raise WrongUsage."""
    role, _, name = text.partition("/")
    if role not in set(Role) or not is_name(name):
        raise WrongUsage(
            Sentence("{text} is no machine: write node/1, gateway/canteen or terminal/0001", text=text)
        )
    return Identity(campus, Role(role), name)


def parse_transfer_id(text: str) -> bytes:
    """Return the 16 bytes of an id in hex, with or without hyphens; raise WrongUsage."""
    digits = text.replace("-", "")
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * TRANSFER_ID_BYTES}}}", digits):
        raise WrongUsage(Sentence("{text} is no transfer id: 32 hexadecimal digits", text=text))
    return bytes.fromhex(digits)


def parse_instant(text: str) -> int:
    """Return the instant of an ISO 8601 text with its time zone, in ms since 1970; raise WrongUsage."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise WrongUsage(
            Sentence("{text} is no instant with a time zone: write 2026-09-01T12:00:00+08:00", text=text)
        )
    return round(instant.timestamp() * 1000)


def shown_instant(unix_ms: int) -> str:
    """Return an instant as ISO 8601 UTC, to the second."""
    return datetime.fromtimestamp(unix_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown_yuan(fen: int) -> str:
    """Return fen as yuan with two decimals, by whole numbers only."""
    yuan, rest = divmod(abs(fen), _FEN_PER_YUAN)
    return f"{'-' if fen < 0 else ''}{yuan:,}.{rest:02d}"


def word_of(member: IntEnum) -> str:
    """Return an enum's member as people read and type it."""
    return member.name.lower().replace("_", "-")


def name_of(enum: type[_E], value: int) -> str:
    """Return the word for a number; one that this release does not know stays a number."""
    try:
        return word_of(enum(value))
    except ValueError:
        return str(value)


def required_text(text: str, option: str) -> str:
    """Return a text that is not blank; raise WrongUsage."""
    if not text.strip():
        raise WrongUsage(Sentence("{option} needs a text", option=option))
    return text.strip()


def _no_class(named: str) -> NoReturn:
    words = [word_of(each) for each in AccountClass]
    raise WrongUsage(
        Sentence("there is no class of accounts {named}. {advice}", named=named, advice=_known(named, words))
    )


def _known(wrong: str, known: Iterable[str]) -> Sentence:
    words = list(known)
    near = difflib.get_close_matches(wrong.lower(), words, n=1)
    if near:
        return Sentence("Did you mean {near}?", near=near[0])
    return Sentence("Known are: {choices}", choices=", ".join(words))
