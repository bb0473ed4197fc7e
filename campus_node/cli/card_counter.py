"""A counter where cards are charged and loaded: card reader, PSAM, issuer and journal of one command."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from campus_node.cli.arguments import shown_yuan
from campus_node.cli.card_arguments import ZONE, Soft, parse_reader
from campus_node.cli.card_desk import Desk, journal_path
from campus_node.cli.card_issuer import Admits, admit_all, make_issuer, open_store
from campus_node.cli.card_key_options import StoreAt
from campus_node.cli.card_terms import card_terms, pin_of, profile_path
from campus_node.cli.card_view import moment_text, type_word
from campus_node.cli.key_options import BOOK_FILE
from campus_node.cli.report import Report
from campus_node.cli.usage import WrongUsage
from campus_node.keys.hierarchy import Usage, campus_factor, group_factor, group_of
from campus_node.purse import recovery
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import TransactionType
from campus_node.purse.files import PublicFile
from campus_node.purse.journal_entries import Reason, State
from campus_node.purse.movement_log import MovementLog, Unsettled
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import Pin
from campus_node.purse.profile import PsamProfile, read_psam_profile
from campus_node.purse.psam import FactorOrder, Psam
from campus_node.purse.sam_session import SamSession
from campus_node.wording import Sentence
from federation.clock import VirtualClock

if TYPE_CHECKING:
    from campus_node.purse.issuer import Issuer

_NAME_DIGITS: Final = 12
_REASONS: Final = {
    Reason.TORN: Sentence("the answer of the card was lost"),
    Reason.NOT_WRITTEN: Sentence("the card shows that it did nothing"),
    Reason.NEVER_WRITTEN: Sentence("the issuer has the proof that it was never written"),
    Reason.NOT_APPROVED: Sentence("the issuer did not approve it"),
    Reason.DISPUTED: Sentence("what the card says does not fit together; its issuer decides"),
    Reason.MAC_WRONG: Sentence("the card's proof is wrong; its issuer decides"),
    Reason.UNPROVED: Sentence("the card's proof cannot be checked here; its issuer decides"),
    Reason.CARD_REFUSES: Sentence("the card does not answer what would decide it"),
    Reason.ISSUER_SILENT: Sentence("only the issuer can decide it, and it was not asked"),
}


class Counter:
    """What `purchase`, `load`, `unload` and `recover` share; the desk closes what is opened here.

    Args:
        desk: of this command.
        reader: as --reader names it.
        profile: as --profile names it.
        journal: the journal's file; None = the desk's own.
    """

    def __init__(self, desk: Desk, reader: str, profile: str, journal: Path | None) -> None:
        self.desk = desk
        self.terms = card_terms(profile, reader)
        self.reader = desk.reader(reader, "--reader", "card")
        self._journal = journal_path(journal)
        self.log = MovementLog(desk.journal(self._journal), desk.clock)
        self.sam: SamSession | None = None
        self.issuer: Issuer | None = None

    def card(self) -> CardChannel:
        """Return a channel to the card; waits for one. Raise NoCard."""
        return self.desk.wait_at(self.reader)

    def take_sam(self, sam_reader: str, sam: str, profile: str = "") -> SamSession:
        """Open the PSAM that --sam-reader or --sam names; one in this process goes on counting where it was.

        Args:
            profile: describes a PSAM made by others; one in this process is described by its own.

        Raises:
            WrongUsage: neither is given, or both.
        """
        if bool(sam) == bool(sam_reader):
            raise WrongUsage(Sentence("name the PSAM: --sam-reader NAME, or --sam soft:PROFILE"))
        option = "--sam" if sam else "--sam-reader"
        chosen = parse_reader(sam or sam_reader, option)
        described = read_psam_profile(profile_path(profile), allow_test_keys=True) if profile else None
        if isinstance(chosen, Soft):
            path = profile_path(chosen.profile)
            described = described or read_psam_profile(path, allow_test_keys=True)
            chosen = replace(chosen, profile=str(path), state=chosen.state or self._sam_state(path))
        channel = self.desk.wait_at(self.desk.reader_of(chosen, "sam"))
        bank_first = described is not None and described.bank_factor_first
        order = FactorOrder.BANK_FIRST if bank_first else FactorOrder.CARD_FIRST
        self.sam = SamSession(Psam(channel, order), factors_of(described))
        return self.sam

    def take_issuer(self, store: StoreAt, at: datetime | None) -> "Issuer":
        """Open the issuer that a load needs: a key store, or the keys of the card's profile.

        Args:
            store: the key store; the profile is taken where none is named.
            at: the issuer's local time; None = now.
        """
        from campus_node.keys.rotation import RotationBook
        from campus_node.purse.load_book import LoadBook

        keys, issuer = open_store(store, self.desk.language) if store.place else (None, b"")
        in_directory = store.place and Path(store.place).is_dir()  # all desks of an issuer share one book
        book_path = Path(store.place) / "loads.sqlite" if in_directory else self._beside("loads")
        book = self.desk.keep(LoadBook(book_path))
        clock = self.desk.clock
        if at is not None:
            clock = VirtualClock(round(at.replace(tzinfo=ZONE).timestamp()) * 1000)
        admits: Admits = admit_all
        if in_directory and (Path(store.place) / BOOK_FILE).exists():
            admits = self.desk.keep(RotationBook(Path(store.place) / BOOK_FILE)).admits
        self.issuer = make_issuer(self.terms, keys, issuer, book, clock, admits)
        return self.issuer

    @contextmanager
    def advising(self) -> Iterator[None]:
        """Say which command helps where the block refuses because the card must be recovered first."""
        try:
            yield
        except Unsettled as error:
            advice = Sentence("{reason}. The card is asked by: campus card recover", reason=error.args[0])
            raise Unsettled(advice) from error

    def pin(self, file: Path | None) -> Pin:
        """Return the PIN: from the file, else from the profile, else asked for. Raise Refused."""
        return pin_of(self.terms, file, self.desk.language)

    def recovered(self, outcome: Outcome, pin: Pin | None) -> Outcome:
        """Return what is known once the same card has had its chance to come back, for --wait-s at most."""
        if outcome.state is not State.GREY or not outcome.movement.awaits_card:
            return outcome
        self.desk.tell(Sentence("State unknown: present the same card."))
        return recovery.settle_within(
            outcome.recorded,
            reader=self.reader,
            log=self.log,
            layout=self.terms.layout,
            sam=self.sam,
            authority=self.issuer,
            pin=pin,
            window_s=min(self.desk.wait_s, recovery.WINDOW_S),
        )

    def _sam_state(self, profile: Path) -> Path:
        return self._beside(f"psam-{hashlib.sha256(profile.read_bytes()).hexdigest()[:_NAME_DIGITS]}")

    def _beside(self, what: str) -> Path:
        return self._journal.with_name(f"{self._journal.name}.{what}")


def factors_of(described: PsamProfile | None) -> Callable[[PublicFile], tuple[bytes, ...]]:
    """Return what gives the factors that a PSAM's purchase keys still need, the card's first.

    A campus-level key needs the card's alone; a group-level key the issuer's as well; a root's the group's.
    """
    applications = described.applications if described is not None else ()
    levels = {key.levels for each in applications for key in each.keys if key.usage is Usage.PURCHASE}
    needed = max({1, *levels})

    def factors(public: PublicFile) -> tuple[bytes, ...]:
        issuer = public.issuer
        return (public.card_factor, campus_factor(issuer), group_factor(group_of(issuer)))[:needed]

    return factors


def outcome_content(outcome: Outcome) -> dict[str, object]:
    """Return what scripts read of an outcome."""
    movement = outcome.movement
    seq = "online_seq" if movement.online else "offline_seq"
    proof = movement.mac3 if movement.transaction_type is TransactionType.UNLOAD else movement.tac
    return {
        "asn": movement.asn.hex().upper(),
        "purse": movement.purse.name.lower(),
        "amount_fen": movement.amount_fen,
        "balance_fen": outcome.balance_fen,
        seq: movement.card_seq,
        "terminal_id": movement.terminal_id.hex().upper(),
        "terminal_seq": movement.terminal_seq,
        "tac": None if movement.tac is None else movement.tac.hex().upper(),
        "state": outcome.state.name.lower(),
        "reason": None if outcome.reason is Reason.NONE else outcome.reason.name.lower(),
        "type": f"{movement.transaction_type:02X}",
        "made_at": moment_text(movement.made_at),
        "checked": movement.checked,
        "proof": None if proof is None else proof.hex().upper(),
    }


def outcome_report(outcome: Outcome) -> Report:
    """Return what became of a movement, for people and scripts; it holds if it is done."""
    return Report(outcome_content(outcome), outcome_told(outcome), holds=outcome.state is State.DONE)


def outcome_told(outcome: Outcome) -> list[Sentence]:
    """Return what became of a movement, for people."""
    movement = outcome.movement
    amount = shown_yuan(movement.amount_fen)
    why = _REASONS.get(outcome.reason)
    kind = type_word(movement.transaction_type)
    if outcome.state is State.DONE:
        told = [Sentence("Done: {kind}, {yuan} yuan.", kind=kind, yuan=amount)]
    elif outcome.state is State.VOID:
        told = [Sentence("Void: {kind}, {yuan} yuan; the card was not changed.", kind=kind, yuan=amount)]
    else:
        told = [
            Sentence("Grey: {kind}, {yuan} yuan.", kind=kind, yuan=amount),
            Sentence("State unknown: present the same card."),
        ]
    if why is not None:
        told.append(Sentence("Why: {why}.", why=why))
    if outcome.balance_fen is not None:
        told.append(Sentence("Balance: {yuan} yuan.", yuan=shown_yuan(outcome.balance_fen)))
    if outcome.state is State.GREY:
        told.append(Sentence("Do not charge it again. When the card is back: campus card recover"))
    return told
