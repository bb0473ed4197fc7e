"""`campus card personalise` and `replay`: a blank card is made one of ours; a trace is played again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campus_node.cli.card_arguments import (
    ProfileText,
    ReaderText,
    SamReaderText,
    SamText,
    TraceFile,
    TraceFull,
    WaitS,
)
from campus_node.cli.card_desk import Desk
from campus_node.cli.card_key_options import (
    Diversified,
    ProfileToMake,
    StoreAt,
    TransportText,
)
from campus_node.cli.card_terms import card_terms
from campus_node.cli.key_options import Module, Place
from campus_node.cli.register import command
from campus_node.cli.report import Report, Table, columns_of
from campus_node.cli.secrets_typed import PassphraseFiles
from campus_node.cli.usage import WrongUsage
from campus_node.purse.channel import CardChannel
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from hil_rig.replay import Replayed


def add_to(sub: typer.Typer) -> None:
    """Add the command to the group."""
    command(
        sub,
        "personalise",
        personalise,
        "campus card personalise --reader R --key-store keys --profile card.toml",
        "campus card personalise --reader soft:card-blank,state=my.card --key-store keys --profile card.toml",
    )
    command(
        sub,
        "replay",
        replay_trace,
        "campus card replay trace.txt --reader soft:card-3des --sam soft:psam",
        "campus card replay trace.txt --reader 'Virtual PCD 00 00' --json",
    )


def personalise(
    context: typer.Context,
    profile: ProfileToMake,
    key_store: Place = "",
    pkcs11_module: Module = None,
    reader: ReaderText = "",
    passphrase_file: PassphraseFiles = None,
    transport: TransportText = "",
    transport_diversified: Diversified = False,
    trace: TraceFile = None,
    trace_full: TraceFull = False,
    wait_s: WaitS = 10,
) -> Report:
    """Make a blank card one of ours: files, contents, keys, PIN, as its profile says. If torn: repeat.

    Keys go from the key store into the card enciphered; what is shown are check values. A card that is
    complete is left as it is.
    """
    from campus_node.cli.card_making import make_card

    with Desk(context.obj, trace, trace_full=trace_full, wait_s=wait_s) as desk:
        return make_card(
            desk,
            reader,
            StoreAt(key_store, pkcs11_module, passphrase_file),
            profile,
            transport,
            diversified=transport_diversified,
        )


def replay_trace(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="TRACE", help="A file that --trace wrote.")],
    reader: ReaderText = "",
    sam_reader: SamReaderText = "",
    sam: SamText = "",
    profile: ProfileText = "",
    wait_s: WaitS = 10,
) -> Report:
    """Play a trace again and tell the first answer that differs; hidden bytes are skipped and counted.

    A card in this process draws the random numbers that the trace has; a real card draws its own. A hidden
    card number or PIN in a command is filled in from the card's profile.
    """
    from campus_node.purse.trace_file import read_trace
    from hil_rig.replay import TraceExhausted, fill_in, recorded_random, replay

    trace = read_trace(file)
    channels: dict[str, CardChannel] = {}
    with Desk(context.obj, wait_s=wait_s) as desk:
        if reader:
            channels["card"] = desk.channel(reader, "--reader", "card", recorded_random(trace, "card"))
        if sam or sam_reader:
            name = sam or sam_reader
            channels["sam"] = desk.channel(name, "--sam-reader", "sam", recorded_random(trace, "sam"))
        if not channels:
            raise WrongUsage(Sentence("give --reader or --sam: what the trace is played against"))
        try:
            known = card_terms(profile, reader).profile if profile or reader else None
            fill = fill_in(known.asn, known.pin) if known is not None and known.asn else lambda _: None
            outcome = replay(trace, channels, fill)
        except TraceExhausted as error:
            told = Sentence("The card draws other random numbers than the trace has: {reason}", reason=error)
            return Report({"same": False, "reason": str(error)}, [told], holds=False)
    return _report(outcome)


def _report(outcome: "Replayed") -> Report:
    difference = outcome.difference
    content: dict[str, object] = {
        "same": difference is None,
        "sent": outcome.sent,
        "skipped": outcome.skipped,
        "compared_bytes": outcome.compared_bytes,
        "hidden_bytes": outcome.hidden_bytes,
        "difference": None
        if difference is None
        else {
            "line": difference.line,
            "device": difference.device,
            "command": difference.command,
            "position": difference.position,
            "expected": difference.expected,
            "answered": difference.answered,
            "skipped_before": difference.skipped_before,
        },
    }
    counted = Sentence(
        "{sent} commands sent, {skipped} skipped; {compared} bytes compared, {hidden} hidden.",
        sent=outcome.sent,
        skipped=outcome.skipped,
        compared=outcome.compared_bytes,
        hidden=outcome.hidden_bytes,
    )
    if difference is None:
        # A replay that sent nothing has shown nothing.
        told = Sentence("Every answer is the same.") if outcome.sent else Sentence("Nothing could be sent.")
        return Report(content, [told, counted], holds=outcome.sent > 0)
    rows: list[list[str | Sentence]] = [
        [Sentence("line of the trace"), str(difference.line)],
        [Sentence("device"), difference.device],
        [Sentence("command"), difference.command],
        [Sentence("first byte that differs"), str(difference.position)],
        [Sentence("recorded"), difference.expected],
        [Sentence("now"), difference.answered],
    ]
    shown: list[Sentence | Table | str] = [Sentence("The answers differ.")]
    shown += [Table(columns_of("field", "value"), rows), counted]
    if difference.skipped_before:
        shown.append(Sentence("It may come from the commands to this device that were skipped before it."))
    return Report(content, shown, holds=False)
