"""What every key store does with its keys, and what it refuses to do with them."""

from collections.abc import Sequence
from typing import Final, Protocol

from campus_node.keys.hierarchy import CARD_USAGES, FACTOR_BYTES, KeyName, Level, Usage, card_factor
from campus_node.keys.store import Factors, KeyEntry, KeyForbidden
from campus_node.purse import algorithm as cipher
from campus_node.wording import Sentence

_SESSIONS: Final = frozenset({Usage.PURCHASE, Usage.LOAD, Usage.UNLOAD, Usage.OVERDRAFT})
_MESSAGING: Final = frozenset(
    {
        Usage.MAINTENANCE, Usage.MF_MAINTENANCE, Usage.PIN_UNBLOCK, Usage.PSAM_MAINTENANCE, Usage.TRANSPORT,
    }
)  # fmt: skip
_RESPONDING: Final = frozenset({Usage.EXTERNAL_AUTH, Usage.TRANSPORT})
_INTO_CARDS: Final = frozenset({Usage.MAINTENANCE, Usage.MF_MAINTENANCE, Usage.TRANSPORT})
_INTO_PSAMS: Final = frozenset({Usage.PSAM_MAINTENANCE, Usage.TRANSPORT})
_OF_PSAMS: Final = frozenset({Usage.PSAM_MAINTENANCE, Usage.PSAM_SESSION})


class KeySource(Protocol):
    """Where keys are: a sealed file or a token."""

    def entries(self) -> Sequence[KeyEntry]: ...

    def entry(self, name: KeyName) -> KeyEntry:
        """Return what is known of a key; raise KeyUnknown."""

    def working_key(self, name: KeyName, factors: Factors) -> bytes:
        """Return the key that follows from this one, for one operation; raise KeyForbidden."""


class KeyOperations:
    """A `KeyStore` over a source of keys. A key that was worked out is forgotten when the operation ends."""

    def __init__(self, source: KeySource) -> None:
        self._source = source

    def entries(self) -> Sequence[KeyEntry]:
        return sorted(self._source.entries(), key=lambda entry: str(entry.name))

    def check_value(self, name: KeyName, factors: Factors = ()) -> bytes:
        entry = self._source.entry(name)
        if not factors:
            return entry.check_value
        return cipher.check_value(name.algorithm, self._source.working_key(name, factors))

    def session_mac(self, name: KeyName, factors: Factors, seed: bytes, message: bytes) -> bytes:
        key = self._card_key(name, factors, _SESSIONS)
        session = cipher.session_key(name.algorithm, key, seed)
        return cipher.session_mac(name.algorithm, session, message)

    def tac(self, name: KeyName, factors: Factors, message: bytes) -> bytes:
        key = self._card_key(name, factors, frozenset({Usage.TAC}))
        return cipher.tac(name.algorithm, key, message)

    def pin_mac(self, name: KeyName, factors: Factors, new_pin: bytes) -> bytes:
        key = self._card_key(name, factors, frozenset({Usage.PIN_RELOAD}))
        return cipher.pin_reload_mac(name.algorithm, key, new_pin)

    def messaging_mac(self, name: KeyName, factors: Factors, challenge: bytes, message: bytes) -> bytes:
        key = self._messaging_key(name, factors)
        return cipher.messaging_mac(name.algorithm, key, challenge, message)

    def messaging_encrypt(self, name: KeyName, factors: Factors, plaintext: bytes) -> bytes:
        key = self._messaging_key(name, factors)
        return cipher.messaging_encrypt(name.algorithm, key, plaintext)

    def wrap_key(
        self, target: KeyName, target_factors: Factors, under: KeyName, under_factors: Factors, header: bytes
    ) -> bytes:
        entry = self._source.entry(target)
        self._source.entry(under)
        if not _may_wrap(entry, target_factors, under, under_factors):
            raise _forbidden(target, Sentence("written under {under}", under=under))
        wrapped = self._source.working_key(target, target_factors)
        wrapping = self._messaging_key(under, under_factors)
        return cipher.messaging_encrypt(under.algorithm, wrapping, header + wrapped)

    def respond(self, name: KeyName, factors: Factors, challenge: bytes) -> bytes:
        self._source.entry(name)
        if name.usage not in _RESPONDING or (
            name.usage is not Usage.TRANSPORT and not _ends_below(name, factors)
        ):
            raise _forbidden(name, Sentence("used to answer a card's challenge"))
        return cipher.authentication(name.algorithm, self._source.working_key(name, factors), challenge)

    def lend_session_key(self, name: KeyName, psam_serial: bytes) -> bytes:
        entry = self._source.entry(name)
        if entry.foreign or name.usage is not Usage.PSAM_SESSION or name.level is not Level.CAMPUS:
            raise _forbidden(name, Sentence("lent to a gateway"))
        return self._source.working_key(name, (card_factor(psam_serial),))

    def _card_key(self, name: KeyName, factors: Factors, usages: frozenset[Usage]) -> bytes:
        entry = self._source.entry(name)
        if entry.foreign or name.usage not in usages or not _ends_below(name, factors):
            raise _forbidden(name, Sentence("used for this MAC"))
        return self._source.working_key(name, factors)

    def _messaging_key(self, name: KeyName, factors: Factors) -> bytes:
        self._source.entry(name)
        if name.usage not in _MESSAGING or (
            name.usage is not Usage.TRANSPORT and not _ends_below(name, factors)
        ):
            raise _forbidden(name, Sentence("used for secure messaging"))
        return self._source.working_key(name, factors)


def _ends_below(name: KeyName, factors: Factors) -> bool:
    """Tell whether the factors lead exactly to one card or PSAM."""
    return len(factors) == Level.CAMPUS - name.level + 1 and all(len(f) == FACTOR_BYTES for f in factors)


def _may_wrap(entry: KeyEntry, factors: Factors, under: KeyName, under_factors: Factors) -> bool:
    target = entry.name
    if under.usage is not Usage.TRANSPORT and not _ends_below(under, under_factors):
        return False
    if entry.foreign:  # only as the campus-level key of a PSAM
        return target.usage is Usage.PURCHASE and not factors and under.usage in _INTO_PSAMS
    if target.usage is Usage.PURCHASE and not factors:
        return target.level is not Level.ROOT and under.usage in _INTO_PSAMS
    if not _ends_below(target, factors):
        return False
    if target.usage in _OF_PSAMS:
        return under.usage in _INTO_PSAMS
    same_card = under.usage is Usage.TRANSPORT or tuple(factors)[-1] == tuple(under_factors)[-1]
    return target.usage in CARD_USAGES and under.usage in _INTO_CARDS and same_card


def _forbidden(name: KeyName, use: Sentence) -> KeyForbidden:
    return KeyForbidden(Sentence("the key {name} may not be {use}", name=name, use=use))
