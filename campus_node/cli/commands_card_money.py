"""`campus card purchase`, `load`, `unload`, `recover`: what moves money, each step first in the journal."""

import re
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campus_node.cli.card_arguments import (
    Amount,
    AtText,
    JournalFile,
    PinFile,
    ProfileText,
    PurseText,
    ReaderText,
    SamProfileText,
    SamReaderText,
    SamText,
    TraceFile,
    TraceFull,
    WaitS,
    parse_at,
    parse_purse,
)
from campus_node.cli.card_desk import Desk, terminal_time
from campus_node.cli.card_key_options import StoreAt
from campus_node.cli.key_options import Module, Place
from campus_node.cli.register import command
from campus_node.cli.report import Report
from campus_node.cli.secrets_typed import PassphraseFiles
from campus_node.cli.usage import WrongUsage
from campus_node.purse.commands import Purse, TransactionType
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from campus_node.cli.card_counter import Counter
    from campus_node.purse.presenting import Pin

TerminalText = Annotated[
    str,
    typer.Option(
        "--terminal-id", metavar="HEX", envvar="CAMPUS_TERMINAL_ID", help="Number of this desk, 12 digits."
    ),
]
NO_TERMINAL: Final = "000000000000"
_TERMINAL: Final = re.compile(r"[0-9A-Fa-f]{12}")


def add_to(sub: typer.Typer) -> None:
    """Add the commands to the group."""
    command(
        sub,
        "purchase",
        purchase,
        "campus card purchase --reader soft:card-sm4 --sam soft:psam --amount-fen 1250",
        "campus card purchase --reader R --sam-reader S --purse ed --amount-fen 1250 --json",
    )
    command(
        sub,
        "load",
        load,
        "campus card load --reader soft:card-sm4,state=my.card --amount-fen 5000 --profile card-sm4",
        "campus card load --reader R --amount-fen 5000 --key-store keys --json",
    )
    command(sub, "unload", unload, "campus card unload --reader R --amount-fen 5000 --key-store keys")
    command(
        sub,
        "recover",
        recover,
        "campus card recover --reader R --sam-reader S",
        "campus card recover --reader R --key-store keys --json",
    )


def purchase(
    context: typer.Context,
    amount_fen: Amount,
    reader: ReaderText = "",
    sam_reader: SamReaderText = "",
    sam: SamText = "",
    sam_profile: SamProfileText = "",
    purse: PurseText = "ep",
    profile: ProfileText = "",
    at: AtText = "",
    pin_file: PinFile = None,
    journal: JournalFile = None,
    trace: TraceFile = None,
    trace_full: TraceFull = False,
    wait_s: WaitS = 10,
) -> Report:
    """Charge a card. Ends with 0 only if it is done; grey means that nobody knows yet.

    When the answer is lost it asks for the same card, for --wait-s seconds; later: campus card recover. What
    is grey must not be charged again.
    """
    from campus_node.cli.card_counter import Counter, outcome_report
    from campus_node.purse import purchase as flow

    chosen = parse_purse(purse)
    with Desk(context.obj, trace, trace_full=trace_full, wait_s=wait_s) as desk:
        made_at = terminal_time(parse_at(at, desk.clock))
        counter = Counter(desk, reader, profile, journal)
        sam_session = counter.take_sam(sam_reader, sam, sam_profile)
        request = flow.PurchaseRequest(
            amount_fen,
            made_at,
            TransactionType.purchase_of(chosen),
            chosen,
            pin=counter.pin(pin_file) if chosen is Purse.ED else None,
        )
        with counter.advising():
            outcome = flow.run(
                request,
                card=counter.card(),
                sam=sam_session,
                log=counter.log,
                layout=counter.terms.layout,
            )
        return outcome_report(counter.recovered(outcome, request.pin))


def load(
    context: typer.Context,
    amount_fen: Amount,
    reader: ReaderText = "",
    purse: PurseText = "ep",
    profile: ProfileText = "",
    key_store: Place = "",
    pkcs11_module: Module = None,
    passphrase_file: PassphraseFiles = None,
    at: AtText = "",
    pin_file: PinFile = None,
    terminal_id: TerminalText = NO_TERMINAL,
    journal: JournalFile = None,
    trace: TraceFile = None,
    trace_full: TraceFull = False,
    wait_s: WaitS = 10,
) -> Report:
    """Load a purse, approved by the card's issuer: its key store, or a test profile with the card's keys.

    --at is then the issuer's clock. Most cards want the PIN before a load.
    """
    from campus_node.cli.card_counter import Counter

    chosen = parse_purse(purse)
    with Desk(context.obj, trace, trace_full=trace_full, wait_s=wait_s) as desk:
        terminal, issued_at = parse_terminal(terminal_id), parse_at(at, desk.clock) if at else None
        counter = Counter(desk, reader, profile, journal)
        counter.take_issuer(StoreAt(key_store, pkcs11_module, passphrase_file), issued_at)
        wants_pin = chosen is Purse.ED or counter.terms.pin_before_ep_load
        pin = counter.pin(pin_file) if wants_pin else None
        return _moved(counter, TransactionType.load_of(chosen), amount_fen, terminal, pin)


def unload(
    context: typer.Context,
    amount_fen: Amount,
    reader: ReaderText = "",
    profile: ProfileText = "",
    key_store: Place = "",
    pkcs11_module: Module = None,
    passphrase_file: PassphraseFiles = None,
    at: AtText = "",
    pin_file: PinFile = None,
    terminal_id: TerminalText = NO_TERMINAL,
    journal: JournalFile = None,
    trace: TraceFile = None,
    trace_full: TraceFull = False,
    wait_s: WaitS = 10,
) -> Report:
    """Take money out of the electronic deposit, back to the account; its holder shows the PIN."""
    from campus_node.cli.card_counter import Counter

    with Desk(context.obj, trace, trace_full=trace_full, wait_s=wait_s) as desk:
        terminal, issued_at = parse_terminal(terminal_id), parse_at(at, desk.clock) if at else None
        counter = Counter(desk, reader, profile, journal)
        counter.take_issuer(StoreAt(key_store, pkcs11_module, passphrase_file), issued_at)
        return _moved(counter, TransactionType.UNLOAD, amount_fen, terminal, counter.pin(pin_file))


def recover(
    context: typer.Context,
    reader: ReaderText = "",
    sam_reader: SamReaderText = "",
    sam: SamText = "",
    sam_profile: SamProfileText = "",
    profile: ProfileText = "",
    key_store: Place = "",
    pkcs11_module: Module = None,
    passphrase_file: PassphraseFiles = None,
    pin_file: PinFile = None,
    journal: JournalFile = None,
    trace: TraceFile = None,
    trace_full: TraceFull = False,
    wait_s: WaitS = 10,
) -> Report:
    """Ask the card on the reader what became of its grey transactions; ends with 0 if none is left.

    A purchase needs its PSAM, a load its issuer: give --key-store, or a test --profile. A PIN is shown only
    where --pin-file or the profile has it.
    """
    from campus_node.cli.card_counter import Counter, outcome_content, outcome_told
    from campus_node.cli.card_issuer import has_keys
    from campus_node.purse.presenting import present
    from campus_node.purse.recovery import settle

    with Desk(context.obj, trace, trace_full=trace_full, wait_s=wait_s) as desk:
        counter = Counter(desk, reader, profile, journal)
        if sam or sam_reader:
            counter.take_sam(sam_reader, sam, sam_profile)
        if key_store or has_keys(counter.terms):
            counter.take_issuer(StoreAt(key_store, pkcs11_module, passphrase_file), None)
        pin = counter.pin(pin_file) if pin_file is not None or counter.terms.pin is not None else None
        card = counter.card()
        asn = present(card, counter.terms.layout).asn
        outcomes = [
            settle(
                recorded,
                card=card,
                log=counter.log,
                layout=counter.terms.layout,
                sam=counter.sam,
                authority=counter.issuer,
                pin=pin,
            )
            for recorded in counter.log.awaiting(asn)
        ]
        left = len(counter.log.unsettled(asn))
    content = {
        "asn": asn.hex().upper(),
        "recovered": [outcome_content(outcome) for outcome in outcomes],
        "grey": left,
    }
    told = [sentence for outcome in outcomes for sentence in outcome_told(outcome)]
    if not outcomes:
        told = [
            Sentence("This card has grey transactions that only its issuer can decide: {count}.", count=left)
            if left
            else Sentence("This card has no grey transaction here.")
        ]
    return Report(content, told, holds=left == 0)


def parse_terminal(text: str) -> bytes:
    """Return a terminal's number, 6 bytes; raise WrongUsage."""
    if not _TERMINAL.fullmatch(text):
        raise WrongUsage(Sentence("--terminal-id {text} is no terminal's number: 12 digits", text=text))
    return bytes.fromhex(text)


def _moved(
    counter: "Counter", transaction_type: TransactionType, amount_fen: int, terminal: bytes, pin: "Pin | None"
) -> Report:
    from campus_node.cli.card_counter import outcome_report
    from campus_node.purse import load as flow

    assert counter.issuer is not None, "taken before"
    request = flow.LoadRequested(amount_fen, terminal, transaction_type, pin)
    with counter.advising():
        outcome = flow.run(
            request,
            card=counter.card(),
            authority=counter.issuer,
            log=counter.log,
            layout=counter.terms.layout,
        )
    return outcome_report(counter.recovered(outcome, pin))
