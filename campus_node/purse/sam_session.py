"""The PSAM as a flow needs it: one purchase at a time, and it knows whose MAC2 it can still check."""

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from campus_node.purse.answers import PurchaseInit
from campus_node.purse.commands import TransactionType
from campus_node.purse.errors import CardLeft, CardRefused, MacWrong, ReaderLost
from campus_node.purse.files import PublicFile
from campus_node.purse.psam import Psam, SamInit

Answer = TypeVar("Answer")


class Check(Enum):
    """What the PSAM says about a MAC2."""

    RIGHT = "right"
    WRONG = "wrong"
    UNABLE = "it cannot say"  # it has lost the session key, or does not answer


def card_factor_only(public: PublicFile) -> tuple[bytes, ...]:
    """Return the factors for a PSAM with campus-level keys: the card's serial number alone."""
    return (public.card_factor,)


class SamSession:
    """A PSAM in use; whoever resets or selects it beside this object makes a new one.

    Args:
        psam: on its channel.
        factors: which diversification factors its keys still need, the card's first.
    """

    def __init__(
        self, psam: Psam, factors: Callable[[PublicFile], tuple[bytes, ...]] = card_factor_only
    ) -> None:
        self._psam = psam
        self._factors = factors
        self._terminal_id: bytes | None = None
        self._issuer: bytes | None = None
        self._waits_for: int | None = None  # terminal_seq whose MAC2 it can still check
        self._lost = False

    def select_again(self) -> None:
        """Note that somebody else has selected in this PSAM: it has left the issuer's application."""
        self._issuer = None
        self._waits_for = None

    @property
    def lost(self) -> bool:
        """Whether the PSAM did not answer when it was last asked; the next question powers it on again."""
        return self._lost

    def terminal_id(self) -> bytes:
        """Return the terminal's number, 6 bytes. Raise CardLeft, ReaderLost, CardRefused."""
        if self._lost:
            self._forget()
            self._psam.channel.power_on()
            self._lost = False
        if self._terminal_id is None:
            self._terminal_id = self._guarded(self._psam.terminal_id)
        return self._terminal_id

    def begin(
        self,
        public: PublicFile,
        init: PurchaseInit,
        amount_fen: int,
        transaction_type: TransactionType,
        made_at: bytes,
    ) -> SamInit:
        """Return the terminal's counter and MAC1 for what the card has begun; see Psam.init_for_purchase.

        Raises:
            NotFoundInCard: this PSAM does not admit the card's issuer.
            KeyNotFound: nor this key version or algorithm.
            CardLeft, ReaderLost: no answer; nothing has happened, at most a number of the terminal is spent.
        """
        self.terminal_id()
        self._waits_for = None
        if self._issuer != public.issuer:
            self._issuer = None
            self._guarded(lambda: self._psam.select_issuer(public.issuer))
            self._issuer = public.issuer
        begun = self._guarded(
            lambda: self._psam.init_for_purchase(
                init.card_random,
                init.offline_seq,
                amount_fen,
                transaction_type,
                made_at,
                init.key_version,
                init.algorithm_byte,
                self._factors(public),
            )
        )
        self._waits_for = begun.terminal_seq
        return begun

    def check(self, terminal_seq: int, mac2: bytes) -> Check:
        """Have the PSAM check a card's MAC2, 4 bytes, of the purchase with this counter; it has one try."""
        if self._waits_for != terminal_seq:
            return Check.UNABLE
        self._waits_for = None
        try:
            self._guarded(lambda: self._psam.credit(mac2))
        except MacWrong:
            return Check.WRONG
        except (CardLeft, ReaderLost, CardRefused):
            return Check.UNABLE
        return Check.RIGHT

    def _guarded(self, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except (CardLeft, ReaderLost):
            self._lost = True
            raise

    def _forget(self) -> None:
        self._terminal_id = None
        self._issuer = None
        self._waits_for = None
