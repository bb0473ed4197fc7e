"""`campus card register|standing|lost|found|flag|unflag`: whose a card is, and what is the matter with it.

Lost, frozen, replaced and closed cards enter their issuer's hotlist with the reason, and leave it when that
is over (rules of the field, 29). The flag is committed first: a command that was cut in between is repeated.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campus_node.cli.arguments import (
    Directory,
    OperatorName,
    Why,
    parse_account,
    parse_instant,
    required_text,
    shown_account,
    shown_instant,
)
from campus_node.cli.register import command
from campus_node.cli.report import Report, Table, columns_of
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from campus_node.cli.office import Office
    from campus_node.registry.cards import Card, CardFlag

_CHANGING: Final = "--operator alice --reason 'told at the desk' -C north"
_CARD: Final = "00000001000000000042"
AsnText = Annotated[str, typer.Argument(metavar="ASN", help="The card's number: 20 digits.")]
AtText = Annotated[
    str, typer.Option("--at", metavar="ISO8601", help="From when it holds, with time zone; else from now on.")
]


class FlagWord(StrEnum):
    """What may be the matter with a card, as on the command line."""

    LOST = "lost"
    FROZEN = "frozen"
    BROKEN = "broken"
    LOCKED = "locked"
    REPLACED = "replaced"
    CLOSED = "closed"
    EXPIRED = "expired"


FlagArgument = Annotated[
    FlagWord,
    typer.Argument(metavar="FLAG", help="lost, frozen, broken, locked, replaced, closed or expired."),
]
_WORDS: Final[dict[str, Sentence]] = {
    "lost": Sentence("lost"),
    "frozen": Sentence("frozen"),
    "broken": Sentence("damaged"),
    "locked": Sentence("locked"),
    "replaced": Sentence("replaced"),
    "closed": Sentence("closed for good"),
    "expired": Sentence("expired"),
}


def add_to(sub: typer.Typer) -> None:
    """Add the commands to `campus card`."""
    command(
        sub,
        "register",
        register,
        f"campus card register {_CARD} --issuer 4355434100000001 --account online/42 {_CHANGING}",
    )
    command(sub, "standing", show_standing, f"campus card standing {_CARD} -C north --json")
    command(
        sub,
        "lost",
        report_lost,
        f"campus card lost {_CARD} {_CHANGING}",
        f"campus card lost {_CARD} --at 2026-09-01T12:00:00+08:00 {_CHANGING}",
    )
    command(sub, "found", report_found, f"campus card found {_CARD} {_CHANGING}")
    command(sub, "flag", flag, f"campus card flag {_CARD} frozen {_CHANGING}")
    command(sub, "unflag", unflag, f"campus card unflag {_CARD} frozen {_CHANGING}")


def register(
    asn: AsnText,
    issuer: Annotated[str, typer.Option("--issuer", metavar="HEX", help="Its issuer id: 16 digits.")],
    account: Annotated[str, typer.Option("--account", metavar="ACCOUNT", help="It pays from: online/42.")],
    operator: OperatorName,
    reason: Why,
    directory: Directory = Path(),
) -> Report:
    """Register a card: from which account it pays online."""
    from campus_node.cli.office import opened
    from campus_node.operators.audit import auditing
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import require_permission
    from campus_node.registry import cards

    why = required_text(reason, "--reason")
    if not re.fullmatch(r"[0-9A-Fa-f]{16}", issuer):
        raise WrongUsage(Sentence("--issuer {text} is no issuer: 16 hexadecimal digits", text=issuer))
    card = cards.Card(_asn(asn), bytes.fromhex(issuer), parse_account(account))
    with opened(directory) as office, auditing(office.db, office.clock) as change:
        require_permission(change.connection, operator, Permission.CARD_WRITE, office.campus_scope)
        cards.register(change.connection, card, change.now_unix_ms)
        change.record(office.actor(operator), "card.register", f"card/{asn}", why, after=_told(card))
    return Report(_told(card), [Sentence("Card {asn} is registered.", asn=asn)])


def show_standing(asn: AsnText, directory: Directory = Path()) -> Report:
    """Show from which account a card pays, and what is the matter with it."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.registry.cards import of_asn

    with opened(directory) as office, reading(office.db) as connection:
        card = of_asn(connection, _asn(asn))
        blocked = card.blocked_by(office.clock.unix_ms())
    rows: list[list[str | Sentence]] = [
        [_WORDS[each.flag.value], shown_instant(each.effective_at_unix_ms), each.reason]
        for each in card.flags
    ]
    pays = Sentence("Card {asn} pays from {account}.", asn=asn, account=shown_account(card.account))
    if blocked is not None:
        pays = Sentence("Card {asn} may not pay: {flag}.", asn=asn, flag=_WORDS[blocked.value])
    table = Table(
        columns_of("flag", "since, UTC", "reason"), rows, Sentence("Nothing is the matter with it.")
    )
    return Report(_told(card) | {"may_pay": blocked is None}, [pays, table])


def report_lost(
    asn: AsnText, operator: OperatorName, reason: Why, at: AtText = "", directory: Directory = Path()
) -> Report:
    """Report a card lost: it pays nowhere from then on, and every terminal is told at once."""
    from campus_node.registry.cards import CardFlag

    return _set(directory, asn, CardFlag.LOST, operator, reason, at)


def report_found(asn: AsnText, operator: OperatorName, reason: Why, directory: Directory = Path()) -> Report:
    """Report a lost card found: it pays again, unless something else is the matter with it."""
    from campus_node.registry.cards import CardFlag

    return _end(directory, asn, CardFlag.LOST, operator, reason)


def flag(
    asn: AsnText,
    what: FlagArgument,
    operator: OperatorName,
    reason: Why,
    at: AtText = "",
    directory: Directory = Path(),
) -> Report:
    """Say what is the matter with a card. Each flag stands for itself; only a broken card still pays."""
    from campus_node.registry.cards import CardFlag

    return _set(directory, asn, CardFlag(what.value), operator, reason, at)


def unflag(
    asn: AsnText, what: FlagArgument, operator: OperatorName, reason: Why, directory: Directory = Path()
) -> Report:
    """Say what is no more the matter with a card. Replaced and closed stay."""
    from campus_node.registry.cards import CardFlag

    return _end(directory, asn, CardFlag(what.value), operator, reason)


def _set(directory: Path, asn: str, which: "CardFlag", operator: str, reason: str, at: str) -> Report:
    from campus_node.cli.office import opened
    from campus_node.operators.audit import auditing
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import require_permission
    from campus_node.registry import cards

    why, number = required_text(reason, "--reason"), _asn(asn)
    with opened(directory) as office:
        with auditing(office.db, office.clock) as change:
            require_permission(change.connection, operator, Permission.CARD_WRITE, office.campus_scope)
            effective = parse_instant(at) if at else change.now_unix_ms
            new = cards.FlagSet(which, effective, why)
            changed = cards.set_flag(change.connection, number, new, change.now_unix_ms)
            if changed:
                told = {"effective_at_unix_ms": effective}
                change.record(office.actor(operator), f"card.{which.value}", f"card/{asn}", why, after=told)
            card = cards.of_asn(change.connection, number)
        listed = _list(office, card, operator, why)
    said = Sentence("Card {asn} is {flag} now.", asn=asn, flag=_WORDS[which.value])
    if not changed:
        said = Sentence("Card {asn} was {flag} before.", asn=asn, flag=_WORDS[which.value])
    return Report(_told(card) | {"changed": changed, "hotlist_version": listed}, [said])


def _end(directory: Path, asn: str, which: "CardFlag", operator: str, reason: str) -> Report:
    from campus_node.cli.office import opened
    from campus_node.operators.audit import auditing
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import require_permission
    from campus_node.registry import cards

    why, number = required_text(reason, "--reason"), _asn(asn)
    with opened(directory) as office:
        with auditing(office.db, office.clock) as change:
            require_permission(change.connection, operator, Permission.CARD_WRITE, office.campus_scope)
            changed = cards.end_flag(change.connection, number, which, change.now_unix_ms)
            if changed:
                change.record(office.actor(operator), f"card.not_{which.value}", f"card/{asn}", why)
            card = cards.of_asn(change.connection, number)
        listed = _list(office, card, operator, why)
    said = Sentence("Card {asn} is no more {flag}.", asn=asn, flag=_WORDS[which.value])
    if not changed:
        said = Sentence("Card {asn} was not {flag}.", asn=asn, flag=_WORDS[which.value])
    return Report(_told(card) | {"changed": changed, "hotlist_version": listed}, [said])


def _list(office: "Office", card: "Card", operator: str, why: str) -> int:
    """Let the hotlist of the card's issuer say what the flags say; return its version."""
    from campus_node.notices.desk import NoticeDesk
    from campus_node.notices.hotlists import HotlistChange
    from campus_node.registry.listing import hotlist_reason

    desk = NoticeDesk.of(office.place.path, office.db, office.clock)
    reason = hotlist_reason(card)
    wanted = (
        HotlistChange(card.issuer, removed=frozenset({card.asn}))
        if reason is None
        else HotlistChange(card.issuer, listed={card.asn: reason})
    )
    return desk.change_hotlist(office.actor(operator), wanted, why).version


def _told(card: "Card") -> dict[str, object]:
    return {
        "asn": card.asn.hex().upper(),
        "issuer": card.issuer.hex().upper(),
        "account": card.account,
        "flags": [
            {
                "flag": each.flag.value,
                "effective_at": shown_instant(each.effective_at_unix_ms),
                "reason": each.reason,
            }
            for each in card.flags
        ],
    }


def _asn(text: str) -> bytes:
    if not re.fullmatch(r"[0-9A-Fa-f]{20}", text):
        raise WrongUsage(Sentence("{text} is no card number: 20 digits", text=text))
    return bytes.fromhex(text)
