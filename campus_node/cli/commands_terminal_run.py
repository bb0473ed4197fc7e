"""`campus terminal init|run|status|journal`: one terminal on this machine."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from campus_node.cli.arguments import shown_instant, shown_yuan
from campus_node.cli.everywhere import Everywhere
from campus_node.cli.register import command
from campus_node.cli.report import Report, Table, columns_of
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from campus_node.purse.journal_entries import Movement
    from campus_node.terminal.journal_book import Written
    from campus_node.terminal.pos.journal_records import Record

TerminalPath = Annotated[Path, typer.Argument(metavar="DIR", help="The terminal's directory.")]
LIMIT: Final = 50


def add_to(sub: typer.Typer) -> None:
    """Add the commands to the group."""
    command(
        sub,
        "init",
        init_terminal,
        "campus terminal init till-7 --name till-7 --campus-directory north --line can --channel can0 "
        "--address 7 --reader 'ACS ACR1252 0' --sam 'ACS ACR1252 SAM 0' --merchant-zh 第一食堂",
        "campus terminal init demo --name till-1 --campus north --reader soft:card-sm4 --sam soft:psam "
        "--view browser",
    )
    command(
        sub,
        "run",
        run_terminal,
        "campus terminal run till-7",
        "CAMPUS_TERMINAL_VIEW__LANGUAGE=en campus terminal run till-7",
    )
    command(
        sub, "status", show_status, "campus terminal status till-7", "campus terminal status till-7 --json"
    )
    command(
        sub,
        "journal",
        show_journal,
        "campus terminal journal till-7 --unsent",
        "campus terminal journal till-7 --grey --json",
    )


def init_terminal(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty directory.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="As it is registered; a DNS label.")],
    reader: Annotated[
        str, typer.Option("--reader", metavar="NAME", help="Where cards are laid; see campus card readers.")
    ],
    sam: Annotated[str, typer.Option("--sam", metavar="NAME", help="The reader with the PSAM.")],
    campus_directory: Annotated[
        Path | None,
        typer.Option("--campus-directory", "-C", metavar="DIR", help="The campus, for its keys."),
    ] = None,
    campus: Annotated[
        str, typer.Option("--campus", metavar="NAME", help="The campus's name, where it is not at hand.")
    ] = "",
    line: Annotated[
        str, typer.Option("--line", metavar="KIND", help="none, can, serial, tcp or thin.")
    ] = "none",
    interface: Annotated[
        str, typer.Option("--interface", metavar="NAME", help="Of a CAN line; else socketcan.")
    ] = "",
    channel: Annotated[
        str, typer.Option("--channel", metavar="NAME", help="can0, a serial port, a radio's socket.")
    ] = "",
    address: Annotated[
        int, typer.Option("--address", metavar="N", min=0, max=254, help="Its address on the bus.")
    ] = 0,
    head: Annotated[
        str, typer.Option("--head", metavar="HOST:PORT", help="Where a gateway listens for terminals.")
    ] = "",
    gateway: Annotated[
        str, typer.Option("--gateway", metavar="NAME", help="The gateway's name, for a line over TCP.")
    ] = "",
    mode: Annotated[str, typer.Option("--mode", metavar="MODE", help="What it sells; else keypad.")] = "",
    merchant_zh: Annotated[
        str, typer.Option("--merchant-zh", metavar="TEXT", help="The merchant's Chinese title.")
    ] = "",
    merchant_en: Annotated[
        str, typer.Option("--merchant-en", metavar="TEXT", help="The merchant's English title.")
    ] = "",
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="Whose firmware it takes.")] = "",
    view: Annotated[str, typer.Option("--view", metavar="KIND", help="line, browser or none.")] = "",
) -> Report:
    """Make a new terminal: its settings, with every one that can be changed as a comment.

    A campus at hand gives the keys to be pinned, and for a line over TCP a certificate.
    All of it is made, or nothing.
    """
    from campus_node.terminal.directory import NewTerminal, TerminalDirectory
    from federation.clock import SystemClock

    if campus_directory is None and not campus:
        raise WrongUsage(Sentence("name the campus: --campus-directory DIR, or --campus NAME"))
    chosen: dict[str, dict[str, object]] = {
        "terminal": {"model": model},
        "line": {"kind": line, "interface": interface, "channel": channel, "address": address, "head": head},
        "reader": {"name": reader},
        "sam": {"reader": sam},
        "till": {"mode": mode, "merchant_zh": merchant_zh, "merchant_en": merchant_en},
        "view": {"kind": view},
    }
    if gateway:
        chosen["line"]["head_name"] = _head_name(campus_directory, campus, gateway)
    given = {
        section: {key: value for key, value in each.items() if value} for section, each in chosen.items()
    }
    place = TerminalDirectory(directory)
    settings = place.create(NewTerminal(campus, name, given, campus_directory), SystemClock().unix_ms())
    content = {
        "directory": str(place.path),
        "terminal": f"campuscard://{settings.terminal.campus}/terminal/{name}",
        "line": settings.line.kind,
    }
    return Report(
        content,
        [
            Sentence("Terminal {name} is ready in {directory}.", name=name, directory=place.path),
            "",
            Sentence("Next:"),
            Sentence("  look at its settings:  {path}", path=place.path / "terminal.toml"),
            Sentence("  register it:           campus terminal register {name} …", name=name),
            Sentence("  start it:              campus terminal run {directory}", directory=directory),
        ],
    )


def run_terminal(context: typer.Context, directory: TerminalPath = Path()) -> int:
    """Run a terminal until TERM or Ctrl-C, and start it again if it ends by itself.

    New firmware is tried once and stays only if it is healthy. The port of a browser's view stands in
    run/ports.json once it is ready.
    """
    from campus_node.terminal.directory import TerminalDirectory

    everywhere: Everywhere = context.obj
    settings = TerminalDirectory(directory).settings()
    program = [sys.executable, "-P", "-m", "campus_node.terminal.launcher", str(directory.absolute())]
    options = ["--trial-s", str(settings.firmware.trial_s), "--lang", everywhere.language.value]
    os.execv(sys.executable, [*program, *options])  # noqa: S606 - this very program again, without help pages


def show_status(directory: TerminalPath = Path()) -> Report:
    """Show how a terminal is, or how it was when it stopped. It holds while it runs and sells."""
    from campus_node.terminal.directory import TerminalDirectory

    status = TerminalDirectory(directory).status()
    running = bool(status["running"])
    sells = running and status["state"] == "selling"
    firmware = status["firmware"]
    shown: list[Sentence | Table | str] = [
        Sentence("Terminal {name} runs and sells.", name=status["name"])
        if sells
        else Sentence("Terminal {name} runs and does not sell: {why}", name=status["name"], why=_said(status))
        if running
        else Sentence("Terminal {name} is stopped.", name=status["name"]),
        Sentence("The gateway is within reach.")
        if status["online"]
        else Sentence("The gateway is out of reach."),
    ]
    line = status.get("line", {})
    if line.get("unadmitted"):
        shown.append(Sentence("A gateway is there and does not admit this terminal: register it."))
    if line.get("why_down"):
        shown.append(Sentence("Its line is down: {why}", why=line["why_down"]))
    if journal := status.get("journal"):
        shown.append(_journal_sentence(journal))
    trial = Sentence(", on trial") if firmware["on_trial"] else ""
    shown.append(Sentence("Firmware {version}, slot {slot}{trial}.", **{**firmware, "trial": trial}))
    shown += [
        Sentence("Hotlist of {issuer}: version {version}, {cards} cards.", **hotlist)
        for hotlist in status.get("hotlists", [])
    ]
    return Report(status, shown, holds=sells)


def show_journal(
    directory: TerminalPath = Path(),
    grey: Annotated[bool, typer.Option("--grey", help="Only what nobody knows the end of.")] = False,
    unsent: Annotated[bool, typer.Option("--unsent", help="Only what the campus has not committed.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="Lines at most, the newest.")
    ] = LIMIT,
) -> Report:
    """Show what a terminal has written down; also while it runs. Card numbers are masked."""
    from campus_node.terminal.directory import TerminalDirectory
    from campus_node.terminal.journal_book import is_grey, look_at, written_in

    place = TerminalDirectory(directory)
    journal = look_at(place.path / place.settings().journal.path)
    try:
        first = journal.durable_through + 1 if unsent and not grey else 1
        found = [
            each
            for each in written_in(journal, first)
            if (not grey or is_grey(each)) and (not unsent or not each.uploaded)
        ]
        figures = {
            "last_seq": journal.last_seq,
            "durable_through": journal.durable_through,
            "backed_up_through": journal.backed_up_through,
            "capacity": journal.capacity,
            "free": journal.free,
        }
        journal_id = journal.journal_id.hex().upper()
    finally:
        journal.close()
    left_out = max(0, len(found) - limit)
    rows = [_row(each) for each in found[-limit:]]
    shown: list[Sentence | Table | str] = [_journal_sentence(figures)]
    if left_out:
        shown.append(Sentence("{count} earlier ones are left out: see --limit.", count=left_out))
    shown += [
        "",
        Table(
            columns_of(
                "number", "time", "record", "card", "amount, yuan", "state", "card's counter",
                "terminal's counter",
                right=("number", "amount, yuan", "card's counter", "terminal's counter"),
                spare=("card's counter", "terminal's counter"),
            ),
            [row.cells for row in rows],
            Sentence("No such record."),
        ),
    ]  # fmt: skip
    content = {"journal_id": journal_id, **figures, "left_out": left_out}
    return Report({**content, "records": [row.content for row in rows]}, shown)


class _Row:
    """One line, for people and as JSON."""

    def __init__(self, written: "Written", content: dict[str, object], cells: list[str | Sentence]) -> None:
        self.cells = [str(written.seq), *cells]
        self.content = {"seq": written.seq, "uploaded": written.uploaded, **content}


def _row(written: "Written") -> _Row:
    from campus_node.purse.journal_entries import Movement

    match written.content:
        case None:
            return _Row(written, {"record": "damaged"}, ["", Sentence("nothing whole"), "", "", "", "", ""])
        case Movement():
            return _movement_row(written, written.content)
        case _:
            return _record_row(written, written.content)


def _movement_row(written: "Written", movement: "Movement") -> _Row:
    from campus_node.terminal.journal_book import masked

    at = shown_instant(movement.recorded_at_unix_ms)
    state = _state(movement, newest=written.newest)
    content = {
        "record": movement.transaction_type.name.lower(),
        "at": at,
        "asn": masked(movement.asn),
        "amount_fen": movement.amount_fen,
        "state": movement.state.name.lower(),
        "reason": movement.reason.name.lower(),
        "newest": written.newest,
        "opened_seq": movement.opened_seq or written.seq,
        "card_seq": movement.card_seq,
        "terminal_seq": movement.terminal_seq,
    }
    return _Row(
        written,
        content,
        [at, _kind(movement), masked(movement.asn), shown_yuan(movement.amount_fen), state,
         str(movement.card_seq), str(movement.terminal_seq)],
    )  # fmt: skip


def _record_row(written: "Written", record: "Record") -> _Row:
    from campus_node.terminal.journal_book import masked
    from campus_node.terminal.pos.journal_records import AccountPayment, Hit, PaymentState

    at = shown_instant(record.recorded_at_unix_ms)
    match record:
        case Hit():
            content: dict[str, object] = {"record": "hotlist_hit", "at": at, "asn": masked(record.asn),
                                          "amount_fen": record.amount_fen}  # fmt: skip
            cells: list[str | Sentence] = [at, Sentence("listed card"), masked(record.asn),
                                           shown_yuan(record.amount_fen), Sentence("refused")]  # fmt: skip
        case AccountPayment():
            words = {
                PaymentState.ASKED: Sentence("asked"),
                PaymentState.APPROVED: Sentence("approved"),
                PaymentState.REFUSED: Sentence("refused"),
                PaymentState.GIVEN_UP: Sentence("given up: no answer in time"),
            }
            content = {"record": "account_payment", "at": at, "amount_fen": record.amount_fen,
                       "state": record.state.name.lower(),
                       "transfer_id": record.transfer_id.hex()}  # fmt: skip
            cells = [at, Sentence("pay code"), "", shown_yuan(record.amount_fen), words[record.state]]
        case _:
            content = {"record": "psam_tries", "at": at, "wrong": record.wrong}
            cells = [
                at,
                Sentence("PSAM"),
                "",
                "",
                Sentence("{count} wrong answers of cards", count=record.wrong),
            ]
    return _Row(written, content, [*cells, "", ""])


def _kind(movement: "Movement") -> Sentence:
    from campus_node.purse.commands import TransactionType

    return {
        TransactionType.EP_PURCHASE: Sentence("purchase"),
        TransactionType.CAPP: Sentence("purchase"),
        TransactionType.EP_LOAD: Sentence("load"),
        TransactionType.ED_LOAD: Sentence("load"),
        TransactionType.UNLOAD: Sentence("unload"),
    }.get(movement.transaction_type, Sentence("movement"))


def _state(movement: "Movement", *, newest: bool) -> Sentence:
    from campus_node.purse.journal_entries import Reason, State

    if not newest and not movement.settled:
        return Sentence("open; see a later number")
    match movement.state:
        case State.DONE:
            return Sentence("paid") if not movement.online else Sentence("done")
        case State.VOID:
            return Sentence("void: it did not happen")
        case State.GREY if movement.reason is Reason.MAC_WRONG:
            return Sentence("grey: the card's answer is wrong")
        case State.GREY if movement.awaits_card:
            return Sentence("grey: present the same card")
        case State.GREY:
            return Sentence("grey: the issuer decides")
    return Sentence("open: nobody knows yet")


def _journal_sentence(figures: dict[str, Any]) -> Sentence:
    return Sentence(
        "{waiting} records wait for the campus; {free} of {capacity} places are free.",
        waiting=figures["last_seq"] - figures["durable_through"],
        free=figures["free"],
        capacity=figures["capacity"],
    )


def _said(status: dict[str, Any]) -> str:
    return "; ".join([status["headline"], *status["lines"]])


def _head_name(campus_directory: Path | None, campus: str, gateway: str) -> str:
    from campus_node.campus_directory import CampusDirectory
    from campus_node.settings import default_domain

    domain = default_domain(campus)
    if campus_directory is not None:
        domain = CampusDirectory(campus_directory).settings().domain
    return f"{gateway}.gateway.{domain}"
