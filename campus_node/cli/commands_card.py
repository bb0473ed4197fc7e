"""`campus card`: looking at cards. Money, PINs and personalisation are in the modules beside this one."""

import typer

from campus_node.cli import (
    commands_card_issue,
    commands_card_money,
    commands_card_pin,
    commands_card_registry,
)
from campus_node.cli.arguments import shown_yuan
from campus_node.cli.card_arguments import (
    PinFile,
    ProfileText,
    PurseText,
    ReaderText,
    TraceFile,
    TraceFull,
    WaitS,
    parse_purse,
)
from campus_node.cli.card_desk import Desk
from campus_node.cli.card_terms import pin_of
from campus_node.cli.card_view import (
    date_text,
    moment_text,
    open_card,
    purse_word,
    read_balances,
    read_holder,
    read_log,
    type_word,
)
from campus_node.cli.register import command, group
from campus_node.cli.report import Report, Table, columns_of
from campus_node.purse.apdu import demand
from campus_node.purse.commands import Purse, get_balance, parse_balance
from campus_node.purse.presenting import show_pin
from campus_node.wording import Sentence


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(
        app,
        "card",
        "The purse on a card: look, pay, load, personalise.",
        "campus card readers",
        "campus card info --reader soft:card-sm4",
    )
    command(sub, "readers", list_readers, "campus card readers", "campus card readers --json")
    command(
        sub,
        "info",
        show_card,
        "campus card info --reader soft:card-sm4",
        "campus card info --reader 'Virtual PCD 00 00' --profile card.toml --json",
    )
    command(
        sub,
        "balance",
        show_balance,
        "campus card balance --reader soft:card-sm4",
        "campus card balance --reader soft:card-sm4 --purse ed --pin-file pin --json",
    )
    command(sub, "log", show_log, "campus card log --reader soft:card-3des,state=my.card")
    commands_card_money.add_to(sub)
    commands_card_pin.add_to(sub)
    commands_card_issue.add_to(sub)
    commands_card_registry.add_to(sub)


def list_readers() -> Report:
    """List the PC/SC readers of this machine, by the names that --reader takes."""
    from campus_node.purse.pcsc import readers

    names = list(readers())
    told = Sentence("No reader is connected. A card in this process: --reader soft:card-sm4")
    return Report(
        {"readers": names}, [Table(columns_of("reader"), [[name] for name in names], told)], bool(names)
    )


def show_card(
    context: typer.Context,
    reader: ReaderText = "",
    profile: ProfileText = "",
    trace: TraceFile = None,
    trace_full: TraceFull = False,
    wait_s: WaitS = 10,
) -> Report:
    """Show what a card says of itself: number, issuer, validity, holder, balances.

    It needs no PIN: of the electronic deposit it says that the PIN is wanted.
    """
    with Desk(context.obj, trace, trace_full=trace_full, wait_s=wait_s) as desk:
        card = open_card(desk, reader, profile)
        holder = read_holder(card)
        balances = read_balances(card)
    public = card.public
    content: dict[str, object] = {
        "asn": public.asn.hex().upper(),
        "issuer": public.issuer.hex().upper(),
        "aid": card.terms.layout.aid.hex().upper(),
        "application_type": f"{public.application_type:02X}",
        "application_version": f"{public.application_version:02X}",
        "starts": date_text(public.starts),
        "expires": date_text(public.expires),
        "holder": None if holder is None else holder.name,
        "id_number": None if holder is None else holder.id_number,
        "staff": None if holder is None else holder.staff,
        **{f"{purse_word(purse)}_balance_fen": fen for purse, fen in balances.items()},
    }
    rows: list[list[str | Sentence]] = [
        [Sentence("card number"), public.asn.hex().upper()],
        [Sentence("issuer"), public.issuer.hex().upper()],
        [Sentence("application"), card.terms.layout.aid.hex().upper()],
        [Sentence("valid from"), date_text(public.starts)],
        [Sentence("valid until"), date_text(public.expires)],
    ]
    if holder is not None:
        rows += [[Sentence("name"), holder.name], [Sentence("id number"), holder.id_number]]
    for purse, fen in balances.items():
        shown: str | Sentence = Sentence("wants the PIN") if fen is None else shown_yuan(fen)
        label = "electronic purse, yuan" if purse is Purse.EP else "electronic deposit, yuan"
        rows.append([_PURSES[label], shown])
    return Report(content, [Table(columns_of("field", "value"), rows)])


def show_balance(
    context: typer.Context,
    reader: ReaderText = "",
    purse: PurseText = "ep",
    profile: ProfileText = "",
    pin_file: PinFile = None,
    trace: TraceFile = None,
    trace_full: TraceFull = False,
    wait_s: WaitS = 10,
) -> Report:
    """Read the balance of one purse; the electronic deposit needs the PIN."""
    chosen = parse_purse(purse)
    with Desk(context.obj, trace, trace_full=trace_full, wait_s=wait_s) as desk:
        card = open_card(desk, reader, profile)
        if chosen is Purse.ED:
            show_pin(card.channel, card.terms.layout, pin_of(card.terms, pin_file, desk.language))
        balance_fen = parse_balance(demand(card.channel, get_balance(chosen)))
    content = {"asn": card.public.asn.hex().upper(), "purse": purse_word(chosen), "balance_fen": balance_fen}
    return Report(content, [Sentence("{yuan} yuan", yuan=shown_yuan(balance_fen))])


def show_log(
    context: typer.Context,
    reader: ReaderText = "",
    profile: ProfileText = "",
    trace: TraceFile = None,
    trace_full: TraceFull = False,
    wait_s: WaitS = 10,
) -> Report:
    """List the last transactions as the card remembers them, newest first: its own word, no proof."""
    with Desk(context.obj, trace, trace_full=trace_full, wait_s=wait_s) as desk:
        card = open_card(desk, reader, profile)
        records = read_log(card)
    content = {
        "asn": card.public.asn.hex().upper(),
        "records": [
            {
                "seq": each.seq,
                "type": f"{each.transaction_type:02X}",
                "amount_fen": each.amount_fen,
                "overdraft_fen": each.overdraft_fen,
                "terminal_id": each.terminal_id.hex().upper(),
                "made_at": moment_text(each.made_at),
            }
            for each in records
        ],
    }
    rows: list[list[str | Sentence]] = [
        [
            str(each.seq),
            type_word(each.transaction_type),
            shown_yuan(each.amount_fen),
            each.terminal_id.hex().upper(),
            moment_text(each.made_at),
        ]
        for each in records
    ]
    columns = columns_of("seq", "kind", "yuan", "terminal", "at, terminal's clock", right={"seq", "yuan"})
    return Report(content, [Table(columns, rows, Sentence("The card remembers no transaction."))])


_PURSES = {
    "electronic purse, yuan": Sentence("electronic purse, yuan"),
    "electronic deposit, yuan": Sentence("electronic deposit, yuan"),
}
