"""What `campus card` and `campus psam` are told: readers, profiles, purses, instants, PINs."""

import getpass
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from campus_node.cli.language import Language
from campus_node.cli.usage import WrongUsage
from campus_node.purse.commands import Purse
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import Refused

SOFT: Final = "soft:"
ZONE: Final = ZoneInfo("Asia/Shanghai")  # the clock on the wall of every terminal
AMOUNT_FEN_MAX: Final = 2**32 - 1
_PIN_DIGITS: Final = re.compile(r"(?:[0-9]{2}){2,6}")
_COUNT_DIGITS_MAX: Final = 4
_PIN_FILE_BYTES_MAX: Final = 64

ReaderText = Annotated[
    str,
    typer.Option(
        "--reader",
        metavar="NAME",
        envvar="CAMPUS_READER",
        help="PC/SC reader, see campus card readers; or soft:PROFILE[,state=FILE], a card in this process.",
    ),
]
SamReaderText = Annotated[
    str,
    typer.Option("--sam-reader", metavar="NAME", envvar="CAMPUS_SAM_READER", help="Reader with the PSAM."),
]
SamText = Annotated[
    str,
    typer.Option("--sam", metavar="soft:PROFILE", help="A PSAM in this process, or with ,state=FILE."),
]
SamProfileText = Annotated[
    str,
    typer.Option(
        "--sam-profile",
        metavar="PROFILE",
        help="A PSAM made by others: how many factors its keys need, in which order.",
    ),
]
ProfileText = Annotated[
    str,
    typer.Option(
        "--profile", metavar="PROFILE", help="File or shipped name: the card's AID, key indexes, flags, keys."
    ),
]
PurseText = Annotated[
    str, typer.Option("--purse", metavar="ep|ed", help="Electronic purse or electronic deposit.")
]
Amount = Annotated[
    int, typer.Option("--amount-fen", metavar="N", min=1, max=AMOUNT_FEN_MAX, help="Amount, 1/100 yuan.")
]
AtText = Annotated[
    str,
    typer.Option(
        "--at", metavar="ISO8601", help="The terminal's clock; without a time zone as on its wall. Else now."
    ),
]
JournalFile = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        metavar="FILE",
        envvar="CAMPUS_CARD_JOURNAL",
        help="The desk's journal; else campuscard/desk.journal in XDG_STATE_HOME.",
    ),
]
TraceFile = Annotated[
    Path | None,
    typer.Option("--trace", metavar="FILE", help="Write what goes to the card and comes back; no secrets."),
]
TraceFull = Annotated[
    bool, typer.Option("--trace-full", help="Card numbers and names in the trace too; never keys or PINs.")
]
PinFile = Annotated[
    Path | None,
    typer.Option("--pin-file", metavar="FILE", help="The PIN on the first line; else it is asked for."),
]
WaitS = Annotated[
    int, typer.Option("--wait-s", metavar="S", min=0, max=600, help="How long to wait for a card.")
]


@dataclass(frozen=True, slots=True)
class Soft:
    """A device in this process.

    Args:
        profile: file or shipped name.
        state: file that keeps what the device remembers; None = it forgets when the command ends.
        tear_before, tear_after: the card leaves before, or after, it has done so many commands; 0 = it stays.
        comes_back: once it has left, it lies there again when the terminal waits for a card.
    """

    profile: str
    state: Path | None = None
    tear_before: int = 0
    tear_after: int = 0
    comes_back: bool = False


def parse_reader(text: str, option: str) -> str | Soft:
    """Return a reader's name, or what soft:… describes; raise WrongUsage."""
    if not text:
        raise WrongUsage(
            Sentence("{option} is missing: campus card readers lists what is connected", option=option)
        )
    if not text.startswith(SOFT):
        return text
    profile, *settings = text.removeprefix(SOFT).split(",")
    given: dict[str, str] = dict(setting.partition("=")[::2] for setting in settings)
    counts = {name: given.pop(name, "0") for name in ("tear-before", "tear-after")}
    state, comes_back = given.pop("state", None), given.pop("comes-back", None)
    if (
        not profile
        or given
        or state == ""
        or comes_back not in {None, ""}
        or not all(
            count.isascii() and count.isdecimal() and len(count) <= _COUNT_DIGITS_MAX
            for count in counts.values()
        )
    ):
        raise WrongUsage(
            Sentence(
                "{option} {text}: write soft:PROFILE or soft:PROFILE,state=FILE[,tear-after=N[,comes-back]]",
                option=option,
                text=text,
            )
        )
    return Soft(
        profile,
        None if state is None else Path(state),
        int(counts["tear-before"]),
        int(counts["tear-after"]),
        comes_back is not None,
    )


def parse_purse(text: str) -> Purse:
    """Return the purse that ep or ed names; raise WrongUsage."""
    named = {"ep": Purse.EP, "ed": Purse.ED}.get(text.lower())
    if named is None:
        raise WrongUsage(Sentence("--purse {text} is no purse: write ep or ed", text=text))
    return named


def parse_at(text: str, clock: Clock) -> datetime:
    """Return the terminal's local time, without time zone; empty is now.

    Raises:
        WrongUsage: it is no instant.
    """
    if not text:
        now = datetime.fromtimestamp(clock.unix_ms() // 1000, UTC)
        return now.astimezone(ZONE).replace(tzinfo=None)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUsage(
            Sentence("--at {text} is no instant: write 2026-09-01T12:00:00+08:00", text=text)
        ) from None
    local = at if at.tzinfo is None else at.astimezone(ZONE)
    return local.replace(tzinfo=None, microsecond=0)


def parse_pin(text: str) -> bytes:
    """Return a PIN's bytes as the card takes them, 2 to 6; raise Refused without saying what was typed."""
    if not _PIN_DIGITS.fullmatch(text):
        raise Refused(Sentence("a PIN is 4, 6, 8, 10 or 12 digits"))
    return bytes.fromhex(text)


def read_new_pin(file: Path | None, language: Language) -> bytes:
    """Return the new PIN in a file, or ask for it twice.

    Raises:
        Refused: it is no PIN, the two differ, or nobody is there to ask.
    """
    first = read_pin(file, language.say(Sentence("New PIN: ")))
    if file is None and read_pin(None, language.say(Sentence("New PIN again: "))) != first:
        raise Refused(Sentence("the two PINs differ: nothing was changed"))
    return first


def read_pin(file: Path | None, prompt: str) -> bytes:
    """Return the PIN in a file, or ask for it.

    Raises:
        Refused: neither a file nor somebody to ask, or it is no PIN.
    """
    if file is not None:
        with file.open(encoding="ascii", errors="replace") as opened:
            return parse_pin(opened.read(_PIN_FILE_BYTES_MAX).strip())
    if not sys.stdin.isatty():
        raise Refused(Sentence("a PIN is needed and nobody is there to ask: give it with --pin-file FILE"))
    return parse_pin(getpass.getpass(prompt).strip())
