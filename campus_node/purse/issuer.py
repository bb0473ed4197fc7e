"""The issuer's side of load and unload: what the card claims is checked, and what convinces the card is made.

Whoever stands at the card sees no key and decides nothing about money: it carries the card's answer to INIT FOR LOAD
here, and the MAC2 back. Both MACs are computed inside the key store (B2.1, B2.3).

An approval can be written into the card once, or never: it is bound to the card's random. Whether it was written is
known by its TAC, by a later INIT with a higher counter, or by a never-written proof: a fresh INIT FOR LOAD whose
terminal id is a random number of the issuer's. What a terminal merely reports proves nothing.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from federation.errors import Refused

LOAD_FEN_MAX: Final = 49_900  # 499 yuan a load
EP_BALANCE_FEN_MAX: Final = 100_000  # of the electronic purse
ED_BALANCE_FEN_MAX: Final = 1_000_000  # of the electronic deposit


class LoadTooLarge(Refused):
    """More than may be loaded at once, or than the card may hold."""


class LoadOpen(Refused):
    """An earlier load of this card has no known outcome: first its TAC, or the proof that it was never written."""


class ProofRefused(Refused):
    """This INIT proves nothing: no proof was asked for, it was used before, or it is of another card."""


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
        made_at: 7 bytes BCD YYYYMMDDhhmmss, the issuer's; goes into CREDIT FOR LOAD or DEBIT FOR UNLOAD as it is.
        mac2: 4 bytes.
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
        """Return the terminal id, 6 random bytes, for the INIT FOR LOAD that proves a load was never written."""

    def settle(self, request: LoadRequest, fresh: LoadRequest) -> bool:
        """Take that INIT's answer; True if it was never written and is void now, False if it was written.

        Args:
            request: the load whose outcome is not known.
            fresh: the new INIT: `terminal_id` is what `ask_proof` returned; any amount.

        Raises:
            MacWrong: the card did not say this, for example a replayed answer.
            ProofRefused: no proof was asked for, or it was used before.
        """
