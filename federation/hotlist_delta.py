"""From one version of a hotlist to a later one, and the issuer's signature under where it leads. Pure.

What is signed is always the list itself: its digest, which covers issuer, version and every card. A delta is
a way to get there: whoever applies it compares what came out, so anybody may pass a delta on, or make one
between two lists, and nobody can change a card in it. One signature serves the list and every delta to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from federation.errors import Refused, Tampered
from federation.hotlist import Hotlist, IssuedRange, Reason
from federation.hotlist_form import digest

SIGNATURE_BYTES: Final = 64
_PROTOCOL: Final = b"campuscard hotlist 1"


class HotlistForged(Tampered):
    """No key of the issuer signed this list, or the delta leads to another one. Nothing was changed."""


class HotlistDoesNotFit(Refused):
    """A delta from another version or of another issuer than the list it was applied to."""


@dataclass(frozen=True, slots=True)
class SignedHotlist:
    """A list with its issuer's signature.

    Args:
        signature: 64 bytes, Ed25519 over the list's digest.
    """

    hotlist: Hotlist
    signature: bytes


@dataclass(frozen=True, slots=True)
class Delta:
    """What changes between two versions.

    Args:
        issuer: 8 bytes.
        from_version: good for whoever has exactly this one; 0 = everything anew, for anybody.
        to_version: where it leads.
        added: numbers with their reasons; in order.
        removed: numbers; in order.
        issued: all ranges from to_version on; None = as before.
        signature: of the list in to_version, 64 bytes.
    """

    issuer: bytes
    from_version: int
    to_version: int
    added: tuple[tuple[int, Reason], ...]
    removed: tuple[int, ...] = ()
    issued: tuple[IssuedRange, ...] | None = None
    signature: bytes = b""


def sign(hotlist: Hotlist, key: Ed25519PrivateKey) -> SignedHotlist:
    """Return the list with its issuer's signature."""
    return SignedHotlist(hotlist, key.sign(_PROTOCOL + digest(hotlist)))


def verify(signed: SignedHotlist, keys: Sequence[Ed25519PublicKey]) -> None:
    """Return if one of the issuer's keys signed this list.

    Raises:
        HotlistForged: none of them did.
    """
    message = _PROTOCOL + digest(signed.hotlist)
    for key in keys:
        try:
            key.verify(signed.signature, message)
        except InvalidSignature:
            continue
        return
    raise HotlistForged("the signature of a hotlist is wrong")


def apply(hotlist: Hotlist, delta: Delta, keys: Sequence[Ed25519PublicKey]) -> SignedHotlist:
    """Return where a delta leads from a list, which stays as it is.

    Raises:
        HotlistDoesNotFit: it is another issuer's, begins at another version, or does not lead to a later one.
        HotlistForged: the issuer's signature is not that of the list which came out.
        Unreadable: it lists what is no card, or too much.
    """
    if delta.issuer != hotlist.issuer:
        raise HotlistDoesNotFit("a delta of another issuer's hotlist")
    if delta.to_version <= max(hotlist.version, delta.from_version):
        raise HotlistDoesNotFit(
            f"a delta to version {delta.to_version}, which is not above {hotlist.version}"
        )
    if delta.from_version not in {0, hotlist.version}:
        raise HotlistDoesNotFit(f"a delta from version {delta.from_version}, not {hotlist.version}")
    base = hotlist if delta.from_version else Hotlist(hotlist.issuer)
    reached = base.changed(delta.to_version, dict(delta.added), delta.removed, delta.issued)
    signed = SignedHotlist(reached, delta.signature)
    verify(signed, keys)
    return signed


def between(old: Hotlist, new: SignedHotlist) -> Delta:
    """Return the delta that leads from one list of an issuer to a later one; from version 0, everything."""
    target = new.hotlist
    if old.issuer != target.issuer or old.version >= target.version:
        raise HotlistDoesNotFit("there is no delta to an earlier version or another issuer's list")
    if not old.version:
        old = Hotlist(old.issuer)
    before, after = _marked(old, target), _marked(target, old)
    return Delta(
        target.issuer,
        old.version,
        target.version,
        tuple(sorted((number, why) for number, why in after.items() if before.get(number) != why)),
        tuple(sorted(before.keys() - after.keys())),
        target.ranges if target.ranges != old.ranges else None,
        new.signature,
    )


def _marked(hotlist: Hotlist, other: Hotlist) -> dict[int, Reason]:
    """Return what is listed, without what both lists say in the same words where that is easily seen."""
    same = frozenset(hotlist.ranges) & frozenset(other.ranges)
    theirs = {each: other.marks_of(each) for each in same}
    found: dict[int, Reason] = {}
    for issued in hotlist.ranges:
        if issued not in same or hotlist.marks_of(issued) != theirs[issued]:
            found.update(hotlist.entries_of(issued))
    found.update(hotlist.entries_outside())
    return found
