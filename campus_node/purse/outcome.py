"""What a flow gives back: what is known of the movement, and no more."""

from dataclasses import dataclass

from campus_node.purse.journal_entries import Movement, Reason, State
from campus_node.purse.movement_log import Recorded

RESULTS = frozenset({State.DONE, State.VOID, State.GREY})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a movement stands.

    Args:
        state: DONE, VOID or GREY. GREY says: state unknown, present the same card; never: failed, try again.
        reason: why it is void or grey, as of now.
        recorded: the journal's newest entry about it; a movement that was torn just now still says SENT
            there.
    """

    state: State
    reason: Reason
    recorded: Recorded

    @classmethod
    def of(cls, recorded: Recorded) -> "Outcome":
        """Return what the journal says; a movement without an end is grey, torn."""
        movement = recorded.movement
        if movement.state in RESULTS:
            return cls(movement.state, movement.reason, recorded)
        return cls(State.GREY, Reason.TORN, recorded)

    @classmethod
    def grey(cls, recorded: Recorded, reason: Reason) -> "Outcome":
        """Return grey for a reason that the journal need not know."""
        return cls(State.GREY, reason, recorded)

    @property
    def movement(self) -> Movement:
        return self.recorded.movement

    @property
    def balance_fen(self) -> int | None:
        """The purse's balance as far as it is known, after what was done; None while grey."""
        if self.state is State.GREY:
            return None
        if self.state is State.VOID:
            return self.movement.balance_before_fen
        return self.movement.balance_after_fen

    @property
    def card_seq(self) -> int:
        """The card's counter under which the movement is known: before it, as INIT answered."""
        return self.movement.card_seq

    offline_seq = card_seq
    online_seq = card_seq

    @property
    def terminal_id(self) -> bytes:
        return self.movement.terminal_id

    @property
    def terminal_seq(self) -> int:
        return self.movement.terminal_seq

    @property
    def tac(self) -> bytes | None:
        return self.movement.tac

    @property
    def asn(self) -> bytes:
        return self.movement.asn

    @property
    def checked(self) -> bool:
        """Whether somebody with the key has checked the card's proof; the issuer always does, later."""
        return self.movement.checked
