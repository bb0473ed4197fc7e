"""The purse card in software."""

import os
from collections.abc import Callable

from hil_rig.virtual.memory import Memory
from hil_rig.virtual.profile import CardProfile


class VirtualCard:
    """A purse card.

    Args:
        profile: what the card is made from while its memory is empty; later only its ATR counts.
        memory: where it keeps its state; None = a new one in this process.
        random_bytes: gives that many random bytes.

    Raises:
        Misconfigured: the memory belongs to something else than a card.
    """

    def __init__(
        self,
        profile: CardProfile,
        memory: Memory | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        raise NotImplementedError

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        raise NotImplementedError

    @property
    def memory(self) -> Memory:
        """The non-volatile memory: for planning tears and counting writes."""
        raise NotImplementedError

    def power_on(self) -> bytes:
        """Cold or warm reset: forget what is volatile, finish or undo a torn commit; return the ATR."""
        raise NotImplementedError

    def power_off(self) -> None:
        """Forget what is volatile."""
        raise NotImplementedError

    def tear_answer(self, after_bytes: int) -> None:
        """Plan to lose power when that many bytes of the next answer have left."""
        raise NotImplementedError

    def process(self, command: bytes) -> bytes:
        """Return the answer to one APDU: its bytes and two of status; every status word is in the table.

        Raises:
            PowerLost: at a tear that was planned, or if the power is off.
        """
        raise NotImplementedError
