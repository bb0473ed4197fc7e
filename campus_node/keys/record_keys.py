"""Checks purchase records with the issuer's keys, thousands at once; keys stay behind this wall (B2.3).

A file of keys gives the campus's key to the operation, which diversifies it for all cards of a batch in one
call. A token gives out no campus key, only what follows for one card: such keys are kept for the cards seen
last, so that a till's regulars cost the token one question.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from campus_node.keys.hierarchy import KeyName, Usage, campus_key, card_factor
from campus_node.keys.key_set import CampusKeys
from campus_node.keys.operations import KeyOperations
from campus_node.keys.store import KeyForbidden, KeyUnknown
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.verification import (
    IssuerKeys,
    PurchaseRecord,
    Verdict,
    keys_of,
    verify_records,
    verify_with_card_keys,
)

CARDS_MAX: Final = 20_000  # of two keys each


class RecordKeys:
    """The keys with which one campus checks what its cards have proved. Not for several threads.

    Args:
        keys: the campus's key store.
        cards_max: for how many cards a token's answers are kept.
    """

    def __init__(self, keys: CampusKeys, *, cards_max: int = CARDS_MAX) -> None:
        self._keys = keys
        self._cards_max = cards_max
        self._cards: OrderedDict[tuple[int, Algorithm, bytes], tuple[bytes, bytes]] = OrderedDict()

    @property
    def issuer(self) -> bytes:
        """Whose cards these keys are for: 8 bytes."""
        return self._keys.issuer

    def verify(self, records: Sequence[PurchaseRecord]) -> list[Verdict]:
        """Check MAC2 and TAC of each record of this issuer's cards; a verdict each, in their order.

        Raises:
            ValueError: a field of a record does not fit; nothing is said about any record then.
        """
        verdicts = [Verdict.KEY_UNKNOWN] * len(records)
        for (version, algorithm), places in keys_of(records).items():
            chosen = [records[place] for place in places]
            for place, verdict in zip(places, self._checked(version, algorithm, chosen), strict=True):
                verdicts[place] = verdict
        return verdicts

    def tac(self, version: int, algorithm: Algorithm, asn: bytes, message: bytes) -> bytes | None:
        """Return the TAC that a card makes of a message; None if there is no such key."""
        try:
            name = self._name(Usage.TAC, version, algorithm)
            return KeyOperations(self._keys).tac(name, (card_factor(asn),), message)
        except (KeyUnknown, KeyForbidden, ValueError):
            return None

    def _checked(
        self, version: int, algorithm: Algorithm, records: Sequence[PurchaseRecord]
    ) -> Sequence[Verdict]:
        unknown = [Verdict.KEY_UNKNOWN] * len(records)
        try:
            purchase = self._name(Usage.PURCHASE, version, algorithm)
            tac = self._name(Usage.TAC, version, algorithm)
            if self._keys.entry(purchase).foreign or self._keys.entry(tac).foreign:
                return unknown
        except (KeyUnknown, ValueError):  # 255 is no version
            return unknown
        try:
            issuer_keys = IssuerKeys(self._keys.working_key(purchase, ()), self._keys.working_key(tac, ()))
        except KeyForbidden:
            pairs = [self._of_card(purchase, tac, record.asn) for record in records]
            return verify_with_card_keys(algorithm, records, [p for p, _ in pairs], [t for _, t in pairs])
        return verify_records(records, {(version, algorithm): issuer_keys})

    def _of_card(self, purchase: KeyName, tac: KeyName, asn: bytes) -> tuple[bytes, bytes]:
        key = purchase.version, purchase.algorithm, asn
        found = self._cards.get(key)
        if found is None:
            factors = (card_factor(asn),)
            found = self._keys.working_key(purchase, factors), self._keys.working_key(tac, factors)
            self._cards[key] = found
            if len(self._cards) > self._cards_max:
                self._cards.popitem(last=False)
        else:
            self._cards.move_to_end(key)
        return found

    def _name(self, usage: Usage, version: int, algorithm: Algorithm) -> KeyName:
        return campus_key(usage, version, algorithm, self._keys.issuer)
