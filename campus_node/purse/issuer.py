"""The issuer's side of load and unload: what the card claims is checked, and what convinces the card is made.

Whoever stands at the card sees no key and decides nothing about money: it carries the card's answer to INIT
FOR LOAD here, and the MAC2 back. Both MACs are computed inside the key store (B2.1, B2.3).

An approval can be written into the card once, or never: it is bound to the card's random. Whether it was
written is known by its TAC, by a later INIT with a higher counter, or by a never-written proof: a fresh INIT
FOR LOAD whose terminal id is a random number of the issuer's. What a terminal merely reports proves nothing.
"""

import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from campus_node.keys.hierarchy import Usage, campus_key, card_factor
from campus_node.keys.store import KeyStore
from campus_node.purse import mac
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.commands import TransactionType
from campus_node.purse.errors import MacWrong
from campus_node.purse.load_book import LoadBook, LoadRow, LoadState
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import Refused, Tampered

LOAD_FEN_MAX: Final = 49_900  # 499 yuan a load
EP_BALANCE_FEN_MAX: Final = 100_000  # of the electronic purse
ED_BALANCE_FEN_MAX: Final = 1_000_000  # of the electronic deposit


class LoadTooLarge(Refused):
    """More than may be loaded at once, or than the card may hold."""


class LoadOpen(Refused):
    """An earlier load of this card has no known outcome: first its TAC, or a never-written proof."""


class InitStale(Refused):
    """The card said this before a load that was settled since; nothing can be approved on it."""


class ProofRefused(Refused):
    """This INIT proves nothing: no proof was asked for, it was used before, or it is of another card."""


class LoadUnknown(Refused):
    """No such load was approved."""


class KeyTooOld(Refused):
    """The card's keys are below the minimum that the issuer set for its range."""


class LoadContradicted(Tampered):
    """A valid proof of a load that was proved never written: a clone, or a leaked key."""


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """What a load may come to, in fen. Checked before money moves anywhere."""

    load_fen_max: int = LOAD_FEN_MAX
    ep_balance_fen_max: int = EP_BALANCE_FEN_MAX
    ed_balance_fen_max: int = ED_BALANCE_FEN_MAX


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """The answer to INIT FOR LOAD or INIT FOR UNLOAD, and what was asked of the card.

    Args:
        asn: of the card, 10 bytes.
        transaction_type: TransactionType.ED_LOAD, EP_LOAD or UNLOAD.
        amount_fen: what the INIT named.
        terminal_id: what the INIT named, 6 bytes.
        balance_fen, online_seq, key_version, algorithm_byte, card_random, mac1: the card's answer.
    """

    asn: bytes
    transaction_type: int
    amount_fen: int
    terminal_id: bytes
    balance_fen: int
    online_seq: int
    key_version: int
    algorithm_byte: int
    card_random: bytes
    mac1: bytes


@dataclass(frozen=True, slots=True)
class LoadApproval:
    """What convinces the card.

    Args:
        made_at: 7 bytes BCD YYYYMMDDhhmmss, the issuer's; goes into CREDIT FOR LOAD or DEBIT FOR UNLOAD as it
        is. mac2: 4 bytes.
    """

    made_at: bytes
    mac2: bytes


class LoadAuthority(Protocol):
    """The issuer, as a terminal sees it; it may be in this process or behind a network."""

    def authorise(self, request: LoadRequest) -> LoadApproval:
        """Check the card's MAC1 and return what CREDIT FOR LOAD, or DEBIT FOR UNLOAD, takes.

        The same request again gets the same approval.

        Raises:
            MacWrong: the card did not say this.
            LoadTooLarge: over a limit; nothing was approved.
            LoadOpen: an earlier load of this card must be settled first.
            Unavailable: not now, or the answer was lost; ask the same again.
        """

    def complete(self, request: LoadRequest, proof: bytes) -> None:
        """Take the card's proof that it was written: the TAC of a load, MAC3 of an unload; 4 bytes.

        The same again changes nothing.

        Raises:
            MacWrong: the card did not make this; the load stays open.
            Refused: no such load was approved, or it was proved never written.
        """

    def ask_proof(self, request: LoadRequest) -> bytes:
        """Return the terminal id, 6 random bytes, for the INIT that proves a load was never written.

        A load that was never approved is void from here on: it cannot be approved later.

        Raises:
            MacWrong: the card did not say this.
            LoadUnknown: it was never approved, and another load of this card is open.
        """

    def settle(self, request: LoadRequest, fresh: LoadRequest) -> bool:
        """Take that INIT's answer; True if it was never written and is void now, False if it was written.

        Once decided it stays so: the same load again gets its first answer.

        Args:
            request: the load whose outcome is not known.
            fresh: the new INIT: `terminal_id` is what `ask_proof` returned; any amount.

        Raises:
            MacWrong: the card did not say this, for example a replayed answer.
            ProofRefused: no proof was asked for, or it was used before.
        """


class Issuer:
    """The issuer of one campus: a `LoadAuthority` over its key store.

    Args:
        issuer: its id, 8 bytes.
        keys: where the campus-level load, unload and TAC keys are.
        book: where approvals are written down before they leave.
        clock: whose time stands in approvals.
        limits: what a load may come to.
        admits: tells whether a card may still use keys of a version and algorithm; see `keys.rotation`.
        random_bytes: makes the terminal ids of proofs.
        timezone: in which the card's log shows the time.
    """

    def __init__(
        self,
        issuer: bytes,
        keys: KeyStore,
        book: LoadBook,
        clock: Clock,
        *,
        limits: LoadLimits = LoadLimits(),
        admits: Callable[[bytes, int, Algorithm], bool] = lambda _asn, _version, _algorithm: True,
        random_bytes: Callable[[int], bytes] = os.urandom,
        timezone: str = "Asia/Shanghai",
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._book = book
        self._clock = clock
        self._limits = limits
        self._admits = admits
        self._random_bytes = random_bytes
        self._zone = ZoneInfo(timezone)

    def authorise(self, request: LoadRequest) -> LoadApproval:
        """See `LoadAuthority`."""
        self._check_mac1(request)
        known = self._book.find(request)
        if known is not None and known.is_same(request):
            if known.state is LoadState.VOID:
                raise InitStale(Sentence("this load was proved never written: begin a new one"))
            return LoadApproval(known.made_at, known.mac2)
        self._check_limits(request)
        self._close_what_this_proves(request)
        made_at = self._now()
        message = mac.load_mac2(request.amount_fen, request.transaction_type, request.terminal_id, made_at)
        mac2 = self._session_mac(request, message)
        if self._book.approve(request, made_at, mac2):
            return LoadApproval(made_at, mac2)
        known = self._book.find(request)  # somebody was quicker
        if known is None or not known.is_same(request):
            raise _open()
        return LoadApproval(known.made_at, known.mac2)

    def complete(self, request: LoadRequest, proof: bytes) -> None:
        """See `LoadAuthority`."""
        row = self._approved(request)
        sign = -1 if request.transaction_type == TransactionType.UNLOAD else 1
        message = mac.load_tac(
            request.balance_fen + sign * request.amount_fen,
            request.online_seq,
            request.amount_fen,
            request.transaction_type,
            request.terminal_id,
            row.made_at,
        )
        if sign < 0:
            expected, what = self._session_mac(request, message), Sentence("MAC3 of the unload")
        else:
            name = campus_key(Usage.TAC, request.key_version, _algorithm(request), self._issuer)
            expected = self._keys.tac(name, (card_factor(request.asn),), message)
            what = Sentence("TAC of the load")
        _require_equal(expected, proof, what)
        if not self._book.mark_written(request, proof):
            raise LoadContradicted(
                Sentence("this load was proved never written, and now its proof comes: open a case")
            )

    def ask_proof(self, request: LoadRequest) -> bytes:
        """See `LoadAuthority`."""
        self._burn_if_unknown(request)
        row = self._approved(request)
        nonce = self._random_bytes(6)
        if row.state is LoadState.OPEN:
            self._book.ask(request, nonce)
        return nonce

    def settle(self, request: LoadRequest, fresh: LoadRequest) -> bool:
        """See `LoadAuthority`."""
        row = self._approved(request)
        if row.state is not LoadState.OPEN:
            return row.state is LoadState.VOID  # asked again by a terminal that lost the first answer
        same_purse = (fresh.asn, fresh.transaction_type) == (request.asn, request.transaction_type)
        if not row.nonce or not same_purse or not hmac.compare_digest(row.nonce, fresh.terminal_id):
            raise ProofRefused(Sentence("no proof with this terminal id was asked for: ask for one first"))
        self._check_mac1(fresh)
        if fresh.online_seq < request.online_seq:
            raise ProofRefused(Sentence("this INIT is older than the load: it proves nothing"))
        if fresh.online_seq > request.online_seq:
            if not self._book.mark_written(request, b""):
                raise _settled_otherwise()
            return False
        if fresh.balance_fen > request.balance_fen:  # purchases lower it; nothing but a load raises it
            raise ProofRefused(Sentence("the card's balance went up and its counter did not: open a case"))
        if not self._book.mark_void(request):
            raise _settled_otherwise()
        return True

    def _burn_if_unknown(self, request: LoadRequest) -> None:
        """Make void what was never approved: a question that is still on its way comes too late then."""
        known = self._book.find(request)
        if known is not None and known.is_same(request):
            return
        self._check_mac1(request)
        self._book.burn(request)

    def _check_mac1(self, request: LoadRequest) -> None:
        message = mac.load_mac1(
            request.balance_fen, request.amount_fen, request.transaction_type, request.terminal_id
        )
        _require_equal(self._session_mac(request, message), request.mac1, Sentence("MAC1 of the INIT"))

    def _session_mac(self, request: LoadRequest, message: bytes) -> bytes:
        algorithm = _algorithm(request)
        if not self._admits(request.asn, request.key_version, algorithm):
            raise KeyTooOld(
                Sentence(
                    "this card's keys are below the issuer's minimum: upgrade it at a connected terminal"
                )
            )
        usage = Usage.UNLOAD if request.transaction_type == TransactionType.UNLOAD else Usage.LOAD
        name = campus_key(usage, request.key_version, algorithm, self._issuer)
        seed = mac.online_seed(request.card_random, request.online_seq)
        return self._keys.session_mac(name, (card_factor(request.asn),), seed, message)

    def _check_limits(self, request: LoadRequest) -> None:
        if request.amount_fen <= 0:
            raise LoadTooLarge(Sentence("the amount must be above zero"))
        if request.transaction_type == TransactionType.UNLOAD:
            if request.amount_fen > request.balance_fen:
                raise LoadTooLarge(Sentence("the card holds less than is to be unloaded"))
            return
        limits = self._limits
        to_electronic_purse = request.transaction_type == TransactionType.EP_LOAD
        most_fen = limits.ep_balance_fen_max if to_electronic_purse else limits.ed_balance_fen_max
        if request.amount_fen > limits.load_fen_max:
            raise LoadTooLarge(
                Sentence(
                    "{fen} fen are too much for one load: {most} at most",
                    fen=request.amount_fen,
                    most=limits.load_fen_max,
                )
            )
        if request.balance_fen + request.amount_fen > most_fen:
            raise LoadTooLarge(
                Sentence(
                    "the card would hold {fen} fen: {most} at most",
                    fen=request.balance_fen + request.amount_fen,
                    most=most_fen,
                )
            )

    def _close_what_this_proves(self, request: LoadRequest) -> None:
        """A higher counter proves that the load before was written; the same one proves nothing."""
        opened = self._book.open_of(request)  # read once: another caller may be approving this very counter
        if any(row.online_seq >= request.online_seq for row in opened):
            raise _open()
        for row in opened:
            self._book.mark_row_written(row)
        if self._book.was_written(request):
            raise InitStale(Sentence("this INIT is older than a load that was written: begin a new one"))

    def _approved(self, request: LoadRequest) -> LoadRow:
        row = self._book.find(request)
        if row is None or not row.is_same(request):
            raise LoadUnknown(Sentence("no such load was approved here"))
        return row

    def _now(self) -> bytes:
        at = datetime.fromtimestamp(self._clock.unix_ms() // 1000, UTC).astimezone(self._zone)
        return bytes.fromhex(at.strftime("%Y%m%d%H%M%S"))


def _settled_otherwise() -> LoadContradicted:
    return LoadContradicted(
        Sentence("this load was proved the other way at the same moment: ask again, then open a case")
    )


def _open() -> LoadOpen:
    return LoadOpen(
        Sentence("an earlier load of this card has no known outcome: prove first whether it was written")
    )


def _algorithm(request: LoadRequest) -> Algorithm:
    return Algorithm.from_byte(request.algorithm_byte)


def _require_equal(expected: bytes, given: bytes, what: Sentence) -> None:
    if not hmac.compare_digest(expected, given):
        raise MacWrong(Sentence("{what} is wrong", what=what))
