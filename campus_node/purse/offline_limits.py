"""How much one payment may be that no issuer has looked at, by the algorithm of the card's key. Pure.

A TAC under 3DES rests on 56 bits, and a card whose TAC can be guessed can pay with what it does not hold:
such cards pay less at once until they are upgraded. Requirements: B2.1, A22.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from campus_node.purse.algorithm import Algorithm
from campus_node.wording import Sentence
from federation.errors import Refused

DEFAULT_FEN: Final[Mapping[Algorithm, int]] = MappingProxyType(
    {Algorithm.SM4: 100_000, Algorithm.TDES: 50_000}
)


class OverOfflineLimit(Refused):
    """The amount is more than a card of this algorithm may pay offline. Nothing was charged."""


@dataclass(frozen=True, slots=True)
class OfflineLimits:
    """What an acquirer risks with one payment.

    Args:
        payment_max_fen: at most, by algorithm; what is not in it pays nothing.
    """

    payment_max_fen: Mapping[Algorithm, int] = field(default_factory=lambda: DEFAULT_FEN)

    def check(self, algorithm: Algorithm, amount_fen: int) -> None:
        """Return if a card whose purchase key has this algorithm may pay this at once.

        Raises:
            OverOfflineLimit: the amount is above the limit.
        """
        limit_fen = self.payment_max_fen.get(algorithm, 0)
        if amount_fen > limit_fen:
            raise OverOfflineLimit(Sentence("this card pays at most {fen} fen at once", fen=limit_fen))


DEFAULT_LIMITS: Final = OfflineLimits()
