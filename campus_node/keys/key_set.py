"""The keys of one campus as a whole: drawing them, renewing them, taking in and handing out purchase keys."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from campus_node.keys.hierarchy import KeyName, Level, Usage, campus_key
from campus_node.keys.operations import KeySource
from campus_node.keys.store import KeyEntry, KeyForbidden
from campus_node.keys.transfer import Agreeing, Identity, Package, unwrap, wrap
from campus_node.purse.algorithm import Algorithm
from campus_node.wording import Sentence
from federation.clock import Clock

FIRST_VERSION: Final = 1
# A campus draws these itself. Purchase keys come from the ceremony, transport keys from who made the cards.
DRAWN: Final = tuple(usage for usage in Usage if usage not in {Usage.PURCHASE, Usage.TRANSPORT})


class CampusKeys(KeySource, Agreeing, Protocol):
    """A store that can be changed: `SealedFile` and `TokenStore`."""

    @property
    def issuer(self) -> bytes: ...

    def draw_all(self, names: Sequence[KeyName], clock: Clock) -> list[KeyEntry]: ...

    def put(self, name: KeyName, key: bytes, clock: Clock, *, foreign: bool = False) -> KeyEntry: ...

    def remove(self, name: KeyName) -> None: ...


def draw_missing(
    store: CampusKeys,
    version: int,
    algorithms: Iterable[Algorithm],
    clock: Clock,
    usages: Iterable[Usage] = DRAWN,
) -> list[KeyEntry]:
    """Draw every key of a version that is not there yet, and return what was drawn.

    Raises:
        KeyForbidden: one of the usages is not drawn at a campus.
    """
    wanted, chosen = list(usages), list(algorithms)
    for usage in wanted:
        if usage not in DRAWN:
            raise KeyForbidden(
                Sentence("a key for {usage} is not drawn here: it comes from elsewhere", usage=usage.value)
            )
    there = {entry.name for entry in store.entries()}
    names = [campus_key(usage, version, each, store.issuer) for usage in wanted for each in chosen]
    return store.draw_all([name for name in names if name not in there], clock)


def newest_version(entries: Sequence[KeyEntry], issuer: bytes) -> int:
    """Return the highest version of the keys that the issuer drew; 0 if there are none."""
    versions = [e.name.version for e in entries if e.name.usage in DRAWN and e.name.owner == issuer]
    return max(versions, default=0)


def take_in(store: CampusKeys, package: Package, sender: Identity, clock: Clock) -> KeyEntry:
    """Take a wrapped purchase key in.

    Raises:
        SenderWrong: it is not from this sender, or not for this store.
        KeyForbidden: it is no campus-level purchase key, or its owner is not who it should be.
    """
    name = package.name
    own = name.owner == store.issuer
    if name.usage is not Usage.PURCHASE or name.level is not Level.CAMPUS or own == package.foreign:
        raise KeyForbidden(Sentence("only campus-level purchase keys travel, not {name}", name=name))
    if package.foreign and sender.owner != name.owner:
        raise KeyForbidden(Sentence("the key {name} can only come from its own issuer", name=name))
    if not package.foreign and sender.owner:
        raise KeyForbidden(Sentence("an issuer's own purchase key comes from the ceremony alone"))
    return store.put(name, unwrap(package, store, sender), clock, foreign=package.foreign)


def hand_out(store: CampusKeys, version: int, algorithm: Algorithm, receiver: Identity) -> Package:
    """Return this issuer's purchase key, wrapped for another member's PSAMs. No other key can leave.

    Raises:
        KeyUnknown: there is no such version.
    """
    name = campus_key(Usage.PURCHASE, version, algorithm, store.issuer)
    if store.entry(name).foreign or receiver.owner == store.issuer:
        raise KeyForbidden(Sentence("the key {name} is not handed on", name=name))
    return wrap(name, store.working_key(name, ()), store, receiver, foreign=True)
