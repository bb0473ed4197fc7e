"""The hotlists of every issuer at one terminal, and since when nothing was heard of each. Pure."""

from federation.hotlist import Hotlist, Reason

MS_PER_S = 1000


class Hotlists:
    """What is refused here. Whoever receives lists puts them here when they are in force."""

    def __init__(self) -> None:
        self._lists: dict[bytes, Hotlist] = {}
        self._heard_unix_ms: dict[bytes, int] = {}

    def put(self, hotlist: Hotlist, heard_unix_ms: int) -> None:
        """Use a list from now on. Args: heard_unix_ms: when it was last known to be the newest one."""
        self._lists[hotlist.issuer] = hotlist
        self.heard(hotlist.issuer, heard_unix_ms)

    def heard(self, issuer: bytes, unix_ms: int) -> None:
        """Note that the list in force was the issuer's newest one at this instant."""
        self._heard_unix_ms[issuer] = max(self._heard_unix_ms.get(issuer, 0), unix_ms)

    def find(self, issuer: bytes, asn: bytes) -> Reason | None:
        """Return why a card is refused; None = it is not listed. Raise Unreadable if this is no ASN."""
        found = self._lists.get(issuer)
        return None if found is None else found.find(asn)

    def version(self, issuer: bytes) -> int:
        """Return the version in force; 0 = none."""
        found = self._lists.get(issuer)
        return 0 if found is None else found.version

    def age_s(self, issuer: bytes, now_unix_ms: int) -> int | None:
        """Return for how long nothing was heard of an issuer, in s; None = never heard of it."""
        heard = self._heard_unix_ms.get(issuer)
        return None if heard is None else max(0, now_unix_ms - heard) // MS_PER_S
