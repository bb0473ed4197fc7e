"""The issuer that a load needs: over a key store, or, for a test card, over the keys of its own profile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from campus_node.cli.card_key_options import StoreAt
from campus_node.cli.card_terms import CardTerms
from campus_node.cli.key_options import STORE_SECRET
from campus_node.cli.language import Language
from campus_node.cli.secrets_typed import Passphrases
from campus_node.cli.usage import WrongUsage
from campus_node.keys.hierarchy import KeyName, Usage, campus_key, card_factor
from campus_node.keys.store import Factors, KeyEntry, KeyUnknown
from campus_node.purse.algorithm import Algorithm, check_value
from campus_node.purse.channel import CardChannel
from campus_node.purse.files import PublicFile
from campus_node.wording import Sentence
from federation.clock import Clock

if TYPE_CHECKING:
    from campus_node.keys.store import KeyStore
    from campus_node.purse.issuer import Issuer
    from campus_node.purse.load_book import LoadBook
    from campus_node.purse.profile import CardProfile, ProfileKey


@dataclass(frozen=True, slots=True)
class ProfileKeys:
    """The keys of one card's profile, as a key store's source: good for that card alone.

    Args:
        profile: of a card; its keys have values.
    """

    profile: "CardProfile"

    def entries(self) -> Sequence[KeyEntry]:
        """See KeySource."""
        return [self.entry(self._name(key)) for key in self.profile.keys if key.value is not None]

    def entry(self, name: KeyName) -> KeyEntry:
        """See KeySource. Raise KeyUnknown."""
        value = self.working_key(name, ())
        return KeyEntry(name, check_value(name.algorithm, value), False, "profile", 0)

    def working_key(self, name: KeyName, _factors: Factors) -> bytes:
        """Return the key as it stands in the card: it is diversified already."""
        alike = [key for key in self.profile.keys if key.usage is name.usage and key.value is not None]
        for key in alike:
            if (key.version, key.algorithm) == (name.version, name.algorithm) and key.value is not None:
                return key.value
        if name.usage is Usage.TAC and alike and alike[0].value is not None:
            return alike[0].value  # a card without a TAC key of this version takes its first
        raise KeyUnknown(Sentence("the profile has no key {name}", name=name))

    def _name(self, key: "ProfileKey") -> KeyName:
        return campus_key(key.usage, key.version, key.algorithm, self.profile.issuer)


def open_store(where: StoreAt, language: Language) -> "tuple[KeyStore, bytes]":
    """Return a key store and the id of the issuer whose it is, 8 bytes.

    Raises:
        WrongUsage: none was named.
        NotFound, Misconfigured, WrongPassphrase, StoreDamaged, StoreRolledBack: see keys.opening.open_store.
    """
    from campus_node.keys.opening import open_store as open_at
    from campus_node.keys.operations import KeyOperations

    if not where.place:
        raise WrongUsage(Sentence("--key-store is missing: the directory of the issuer's keys"))
    said = Passphrases(where.passphrases, None, language).next(STORE_SECRET)
    opened = open_at(where.place, where.module, said)
    return KeyOperations(opened), opened.issuer


Admits = Callable[[bytes, int, Algorithm], bool]


def admit_all(_asn: bytes, _version: int, _algorithm: Algorithm) -> bool:
    """Admit every card's keys: no minimum was set."""
    return True


def make_issuer(
    terms: CardTerms,
    store: "KeyStore | None",
    issuer: bytes,
    book: "LoadBook",
    clock: Clock,
    admits: Admits = admit_all,
) -> "Issuer":
    """Return the issuer of a card.

    Args:
        terms: of the card; its profile has the keys where there is no store.
        store: a key store; None = the profile.
        issuer: 8 bytes; whose key store it is.
        book: where approvals are written down.
        clock: whose time stands in approvals.
        admits: tells whether a card's keys are still good enough.

    Raises:
        WrongUsage: neither a key store nor a profile with keys.
    """
    from campus_node.keys.operations import KeyOperations
    from campus_node.purse.issuer import Issuer, LoadLimits

    limits = LoadLimits()
    if store is None:
        profile = terms.profile
        if profile is None or not has_keys(terms):
            raise WrongUsage(
                Sentence("this needs the issuer: --key-store DIR, or --profile FILE with the card's keys")
            )
        store, issuer = KeyOperations(ProfileKeys(profile)), profile.issuer
        limits = LoadLimits(
            ep_balance_fen_max=profile.ep.balance_fen_max if profile.ep else limits.ep_balance_fen_max,
            ed_balance_fen_max=profile.ed.balance_fen_max if profile.ed else limits.ed_balance_fen_max,
        )
    return Issuer(issuer, store, book, clock, limits=limits, admits=admits)


@dataclass(frozen=True, slots=True)
class CardKeys:
    """The keys of one card, as its issuer uses them.

    Args:
        store: where they are.
        issuer: 8 bytes.
        factors: down to this card.
        there: usage, index, version and algorithm of each key that the card has.
    """

    store: "KeyStore"
    issuer: bytes
    factors: Factors
    there: Sequence[tuple[Usage, int, int, Algorithm]]

    def choose(self, usage: Usage, index: int | None = None) -> tuple[int, KeyName]:
        """Return the index of a key in the card and the name of the campus key that it follows from.

        Args:
            usage: what it is for.
            index: of which key; None = the newest.

        Raises:
            KeyUnknown: the card has none.
        """
        alike = [row[1:] for row in self.there if row[0] is usage and index in {None, row[1]}]
        if not alike:
            raise KeyUnknown(Sentence("the card has no key for {usage}", usage=usage.value))
        chosen, version, algorithm = max(alike, key=lambda row: row[1])
        return chosen, campus_key(usage, version, algorithm, self.issuer)


def card_keys(
    channel: CardChannel,
    public: PublicFile,
    terms: CardTerms,
    store: StoreAt,
    language: Language,
) -> CardKeys:
    """Return the keys of a card whose application is selected.

    Args:
        channel: to it.
        public: its file 0015.
        terms: of the card; its profile has the keys where no store is given.
        store: the key store; the profile is taken where none is named.

    Raises:
        WrongUsage: neither a key store nor a profile with keys.
    """
    from campus_node.keys.operations import KeyOperations
    from campus_node.purse.key_writing import CARD_USAGE_OF, key_list

    factors = (card_factor(public.asn),)
    if store.place:
        keys, issuer = open_store(store, language)
        rows = [row for row in key_list(channel) if row.type in CARD_USAGE_OF]
        found = [(CARD_USAGE_OF[row.type], row.index, row.version, row.algorithm) for row in rows]
        return CardKeys(keys, issuer, factors, tuple(found))
    if terms.profile is None or not has_keys(terms):
        raise WrongUsage(
            Sentence("this needs the issuer: --key-store DIR, or --profile FILE with the card's keys")
        )
    there = [(key.usage, key.index, key.version, key.algorithm) for key in terms.profile.keys]
    return CardKeys(KeyOperations(ProfileKeys(terms.profile)), terms.profile.issuer, factors, there)


def has_keys(terms: CardTerms) -> bool:
    """Tell whether the card's profile has keys, and not only their names."""
    return terms.profile is not None and any(key.value is not None for key in terms.profile.keys)
