"""What becomes of the hotlists and deltas of one issuer as they arrive, in whatever order. Pure.

A delta that begins later than what is here waits, and says what must be asked for; whatever does not lead
forward changes nothing.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from federation.errors import Unreadable
from federation.hotlist import Hotlist
from federation.hotlist_delta import Delta, HotlistDoesNotFit, HotlistForged, SignedHotlist, apply, verify

WAITING_MAX: Final = 16
WAITING_ENTRIES_MAX: Final = 10_000  # of one delta that waits; a longer one is asked for again in its turn


class Taken(Enum):
    """What became of what arrived."""

    APPLIED = "it is in force"
    OLD = "it does not lead beyond what is in force: nothing was changed"
    WAITS = "something before it is missing: ask from the version in force"


class Reception:
    """One issuer's list at whoever receives it.

    Args:
        issuer: 8 bytes.
        keys: the issuer's, of which any may have signed.
        known: the list as it was kept; None = none yet.

    Raises:
        HotlistForged: none of the keys signed what was kept.
        HotlistDoesNotFit: what was kept is another issuer's.
    """

    def __init__(
        self, issuer: bytes, keys: Sequence[Ed25519PublicKey], known: SignedHotlist | None = None
    ) -> None:
        self._keys = tuple(keys)
        self._waiting: dict[int, Delta] = {}
        self._heard = 0
        self._signed = known
        self._hotlist = Hotlist(issuer)
        if known is not None:
            self._demand_issuer(known.hotlist.issuer)
            verify(known, self._keys)
            self._hotlist = known.hotlist

    @property
    def hotlist(self) -> Hotlist:
        """The list in force; version 0 lists nothing."""
        return self._hotlist

    @property
    def signed(self) -> SignedHotlist | None:
        """The list in force with its signature, to be kept; None in version 0."""
        return self._signed

    @property
    def missing_from(self) -> int | None:
        """From which version on something is to be asked for; None = nothing newer was ever heard of."""
        return self._hotlist.version if self._heard > self._hotlist.version else None

    def heard_of(self, version: int) -> None:
        """Note that this version exists, as a gateway or another member says."""
        self._heard = max(self._heard, version)

    def take_whole(self, signed: SignedHotlist) -> Taken:
        """Take a whole list.

        Raises:
            HotlistForged: none of the keys signed it.
            HotlistDoesNotFit: it is another issuer's.
        """
        self._demand_issuer(signed.hotlist.issuer)
        if signed.hotlist.version <= self._hotlist.version:
            return Taken.OLD
        verify(signed, self._keys)
        self._put_in_force(signed)
        return Taken.APPLIED

    def take(self, delta: Delta) -> Taken:
        """Take a delta, and those that waited for it.

        Raises:
            HotlistForged: it leads to a list that none of the keys signed.
            HotlistDoesNotFit: it is another issuer's, or leads nowhere.
            Unreadable: it lists what is no card, or too much.
        """
        self._demand_issuer(delta.issuer)
        if delta.to_version <= delta.from_version:
            raise HotlistDoesNotFit("a delta that leads nowhere")
        if delta.to_version <= self._hotlist.version:
            return Taken.OLD
        if delta.from_version not in {0, self._hotlist.version}:
            self._let_wait(delta)
            return Taken.WAITS
        self._put_in_force(apply(self._hotlist, delta, self._keys))
        return Taken.APPLIED

    def _let_wait(self, delta: Delta) -> None:
        """Keep a delta until its turn; what it leads to is not known to be signed before that."""
        self.heard_of(delta.to_version)
        fits = len(delta.added) + len(delta.removed) <= WAITING_ENTRIES_MAX
        if delta.from_version > self._hotlist.version and fits:
            self._waiting[delta.from_version] = delta
            if len(self._waiting) > WAITING_MAX:
                del self._waiting[max(self._waiting)]

    def _put_in_force(self, signed: SignedHotlist) -> None:
        while True:
            self._signed, self._hotlist = signed, signed.hotlist
            version = self._hotlist.version
            self._waiting = {begins: each for begins, each in self._waiting.items() if begins >= version}
            following = self._waiting.pop(version, None)
            if following is None:
                return
            try:
                signed = apply(self._hotlist, following, self._keys)
            except (HotlistForged, Unreadable):
                return  # it was never believed; the true one is asked for

    def _demand_issuer(self, issuer: bytes) -> None:
        if issuer != self._hotlist.issuer:
            raise HotlistDoesNotFit("the hotlist of another issuer")
