"""A key store on a PKCS#11 token: a hardware module, or SoftHSM in tests. Needs the extra `pkcs11`.

3DES keys that never leave their campus (load, unload, overdraft, TAC, maintenance, PIN, authentication) are
kept by the token itself: drawn in it, sensitive and not extractable. Three kinds of keys are kept
*enveloped*: enciphered by an AES key of the token, opened by it for one operation. They are SM4 keys, because
PKCS#11 names no mechanism for SM4 and tokens have none; purchase keys, because they have to go into PSAMs;
and transport keys, which came from outside. `campus keys list` says of every key where it is.

Diversification is C_Encrypt: a card's own key exists in this process while one operation lasts.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute

from campus_node.keys.hierarchy import ISSUER_BYTES, KEY_BYTES, KeyName, Usage, derive, parse_key_name
from campus_node.keys.pkcs11_objects import ENVELOPE_LABEL, IDENTITY_LABEL, keep, kept_inside, make_own_keys
from campus_node.keys.store import Factors, KeyEntry, KeyForbidden, KeyUnknown, StoreDamaged, WrongPassphrase
from campus_node.keys.transfer import Identity
from campus_node.purse.algorithm import Algorithm, check_value, complement
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import Misconfigured, NotFound, Unavailable

_ISSUER_LABEL: Final = "campuscard issuer"
_NONCE_BYTES: Final = 12
_TAG_BITS: Final = 128
_STAMP_BYTES: Final = 9  # foreign1 ‖ created8
_ENVELOPED_USAGES: Final = frozenset({Usage.PURCHASE, Usage.TRANSPORT})


class TokenDown(Unavailable):
    """The token does not answer, or refused an operation for a reason of its own."""


class TokenStore:
    """The keys of one campus on a token, while a session is open.

    Args:
        session: of python-pkcs11, logged in, for reading and writing.
        label: of the token, for people.
    """

    def __init__(self, session: pkcs11.Session, label: str) -> None:
        self._session = session
        self._label = label
        self._lock = threading.RLock()  # a PKCS#11 session does one thing at a time
        issuer = self._content_of(_ISSUER_LABEL)
        if issuer is None or len(issuer) != ISSUER_BYTES:
            raise NotFound(Sentence("the token {label} holds no key store: campus keys create", label=label))
        self.issuer: Final = issuer

    @classmethod
    def create(cls, module: Path, label: str, pin: str, issuer: bytes) -> "TokenStore":
        """Make an empty store on an initialised token.

        Raises:
            Misconfigured: it holds one already, or the issuer id is not 8 bytes.
            WrongPassphrase: the PIN is wrong.
        """
        if len(issuer) != ISSUER_BYTES:
            raise Misconfigured(Sentence("an issuer id has 8 bytes: group code 4, campus number 4"))
        session = _log_in(module, label, pin)
        with _closed_unless_kept(session), _translated(label):
            if list(session.get_objects({Attribute.LABEL: _ISSUER_LABEL})):
                raise Misconfigured(Sentence("{path} is there already: nothing was changed", path=label))
            make_own_keys(session)
            keep(session, _ISSUER_LABEL, issuer)
            return cls(session, label)

    @classmethod
    def open(cls, module: Path, label: str, pin: str) -> "TokenStore":
        """Open a store.

        Raises:
            NotFound: no such token, or none of our stores on it.
            WrongPassphrase: the PIN is wrong.
            Misconfigured: no such module, or python-pkcs11 is missing.
        """
        session = _log_in(module, label, pin)
        with _closed_unless_kept(session):
            return cls(session, label)

    def close(self) -> None:
        """Log out."""
        with self._lock:
            self._session.close()

    @property
    def identity(self) -> Identity:
        """The public half of this store's own key."""
        with self._using():
            public = self._session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=IDENTITY_LABEL)
            wrapped = bytes(public[Attribute.EC_POINT])
        return Identity(self.issuer, wrapped[2:])  # an OCTET STRING of 65 bytes: 04 41 ‖ point

    def shared_secret(self, public: bytes) -> bytes:
        """Return what this store's own key and that public key agree on: 32 bytes."""
        with self._using():
            # Any: a key's abilities are mix-ins without types
            own: Any = self._session.get_key(
                object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=IDENTITY_LABEL
            )
            agreed = own.derive_key(
                pkcs11.KeyType.GENERIC_SECRET,
                256,
                mechanism_param=(pkcs11.KDF.NULL, None, public),
                template={
                    Attribute.TOKEN: False,
                    Attribute.SENSITIVE: False,
                    Attribute.EXTRACTABLE: True,
                },
            )
            return bytes(agreed[Attribute.VALUE])

    def entries(self) -> Sequence[KeyEntry]:
        """Return what is there; see `KeyStore`."""
        found = []
        with self._using():
            for kind in (pkcs11.ObjectClass.SECRET_KEY, pkcs11.ObjectClass.DATA):
                for each in self._session.get_objects({Attribute.CLASS: kind}):
                    label = each[Attribute.LABEL]
                    if label.count("/") == 4:
                        found.append(parse_key_name(label))
        return [self.entry(name) for name in found]

    def entry(self, name: KeyName) -> KeyEntry:
        """Return what is known of one key; raise KeyUnknown."""
        with self._using():
            if _is_enveloped(name):
                key, stamp = self._opened(name)
                return _entry(name, check_value(name.algorithm, key), stamp, "enveloped")
            held = self._held(name)
            return _entry(name, _encrypted(held, bytes(8))[:3], held[Attribute.ID], "token")

    def working_key(self, name: KeyName, factors: Factors) -> bytes:
        """Return the key that follows from this one; for `KeyOperations` alone.

        Raises:
            KeyForbidden: the token keeps the named key itself and gives out only what follows from it.
        """
        with self._using():
            if _is_enveloped(name):
                return derive(name.algorithm, self._opened(name)[0], *factors)
            if not factors:
                raise KeyForbidden(Sentence("the token does not give out the key {name}", name=name))
            first, *rest = factors
            return derive(name.algorithm, _encrypted(self._held(name), first + complement(first)), *rest)

    def draw(self, name: KeyName, clock: Clock) -> KeyEntry:
        """Make a new random key, in the token where it stays there; raise KeyForbidden where one is there."""
        with self._using():
            self._require_new(name)
            if _is_enveloped(name):
                return self.put(name, os.urandom(KEY_BYTES), clock)
            self._session.generate_key(
                pkcs11.KeyType.DES2,
                template=kept_inside(name, _stamp(False, clock.unix_ms())),
            )
        return self.entry(name)

    def draw_all(self, names: Sequence[KeyName], clock: Clock) -> list[KeyEntry]:
        """Make new random keys, one after the other; raise KeyForbidden where one is there."""
        return [self.draw(name, clock) for name in names]

    def put(self, name: KeyName, key: bytes, clock: Clock, *, foreign: bool = False) -> KeyEntry:
        """Take a key in. The same key again changes nothing.

        Raises:
            KeyForbidden: another key has this name.
        """
        assert len(key) == KEY_BYTES, "transfer and draw make 16 bytes"
        with self._using():
            try:
                there = self.entry(name)
            except KeyUnknown:
                pass
            else:
                if there.check_value != check_value(name.algorithm, key):
                    raise _taken(name)
                return there
            stamp = _stamp(foreign, clock.unix_ms())
            if _is_enveloped(name):
                self._envelope(name, key, stamp)
            else:
                self._session.create_object(
                    {
                        **kept_inside(name, stamp),
                        Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                        Attribute.KEY_TYPE: pkcs11.KeyType.DES2,
                        Attribute.VALUE: key,
                    }
                )
        return self.entry(name)

    def remove(self, name: KeyName) -> None:
        """Forget a key for good; raise KeyUnknown."""
        with self._using():
            self.entry(name)
            for each in list(self._session.get_objects({Attribute.LABEL: str(name)})):
                each.destroy()

    def _require_new(self, name: KeyName) -> None:
        try:
            self.entry(name)
        except KeyUnknown:
            return
        raise _taken(name)

    def _held(self, name: KeyName) -> Any:  # SecretKey: its mix-ins have no types
        found = self._session.get_objects(
            {Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY, Attribute.LABEL: str(name)}
        )
        for key in found:
            return key
        raise _unknown(name)

    def _opened(self, name: KeyName) -> tuple[bytes, bytes]:
        """Return an enveloped key and its stamp."""
        sealed = self._content_of(str(name))
        if sealed is None:
            raise _unknown(name)
        stamp, nonce = sealed[:_STAMP_BYTES], sealed[_STAMP_BYTES:][:_NONCE_BYTES]
        try:
            key = self._envelope_key().decrypt(
                sealed[_STAMP_BYTES + _NONCE_BYTES :],
                mechanism=pkcs11.Mechanism.AES_GCM,
                mechanism_param=pkcs11.GCMParams(nonce, stamp + str(name).encode(), _TAG_BITS),
            )
        except pkcs11.PKCS11Error:
            raise StoreDamaged(Sentence("the key {name} was changed on the token", name=name)) from None
        return bytes(key), stamp

    def _envelope(self, name: KeyName, key: bytes, stamp: bytes) -> None:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._envelope_key().encrypt(
            key,
            mechanism=pkcs11.Mechanism.AES_GCM,
            mechanism_param=pkcs11.GCMParams(nonce, stamp + str(name).encode(), _TAG_BITS),
        )
        keep(self._session, str(name), stamp + nonce + bytes(sealed))

    def _envelope_key(self) -> Any:  # SecretKey: its mix-ins have no types
        return self._session.get_key(object_class=pkcs11.ObjectClass.SECRET_KEY, label=ENVELOPE_LABEL)

    def _content_of(self, label: str) -> bytes | None:
        with self._using():
            found = self._session.get_objects(
                {Attribute.CLASS: pkcs11.ObjectClass.DATA, Attribute.LABEL: label}
            )
            for each in found:
                return bytes(each[Attribute.VALUE])
        return None

    @contextmanager
    def _using(self) -> Iterator[None]:
        with self._lock, _translated(self._label):
            yield


def _is_enveloped(name: KeyName) -> bool:
    return name.algorithm is not Algorithm.TDES or name.usage in _ENVELOPED_USAGES


def _encrypted(key: Any, blocks: bytes) -> bytes:  # SecretKey: its mix-ins have no types
    return bytes(key.encrypt(blocks, mechanism=pkcs11.Mechanism.DES3_ECB))


def _log_in(module: Path, label: str, pin: str) -> pkcs11.Session:
    if not module.is_file():
        raise Misconfigured(Sentence("there is no PKCS#11 module {path}", path=module))
    with _translated(label):
        library = pkcs11.lib(str(module))
        try:
            token = _find(library, label)
        except pkcs11.NoSuchToken as error:
            raise NotFound(
                Sentence("there is no token {label} in {module}", label=label, module=module)
            ) from error
        session: pkcs11.Session = token.open(rw=True, user_pin=pin)
    return session


@contextmanager
def _closed_unless_kept(session: pkcs11.Session) -> Iterator[None]:
    """Log out where no store came of it: a token is open once in a process."""
    try:
        yield
    except BaseException:
        session.close()
        raise


def _find(library: Any, label: str) -> pkcs11.Token:  # pkcs11.lib has no types
    try:
        found: pkcs11.Token = library.get_token(token_label=label)
    except pkcs11.NoSuchToken:
        library.reinitialize()  # made after this process first looked; ends its other sessions
        found = library.get_token(token_label=label)
    return found


@contextmanager
def _translated(label: str) -> Iterator[None]:
    """Turn the token's errors into ours; none of their texts holds a PIN or a key."""
    try:
        yield
    except (pkcs11.PinIncorrect, pkcs11.PinLenRange, pkcs11.PinInvalid) as error:
        raise WrongPassphrase(Sentence("this is not the PIN of the token {label}", label=label)) from error
    except pkcs11.UserAlreadyLoggedIn as error:
        raise TokenDown(Sentence("this process has the token {label} open already", label=label)) from error
    except pkcs11.PinLocked as error:
        raise WrongPassphrase(
            Sentence(
                "the PIN of the token {label} is locked: its security officer sets a new one", label=label
            )
        ) from error
    except pkcs11.PKCS11Error as error:
        raise TokenDown(
            Sentence("the token {label} refused: {reason}", label=label, reason=type(error).__name__)
        ) from error


def _stamp(foreign: bool, created_at_unix_ms: int) -> bytes:
    return bytes([foreign]) + created_at_unix_ms.to_bytes(8, "big")


def _entry(name: KeyName, kcv: bytes, stamp: bytes, place: str) -> KeyEntry:
    return KeyEntry(name, kcv, bool(stamp[0]), place, int.from_bytes(stamp[1:], "big"))


def _unknown(name: KeyName) -> KeyUnknown:
    return KeyUnknown(Sentence("the key store has no key {name}", name=name))


def _taken(name: KeyName) -> KeyForbidden:
    return KeyForbidden(Sentence("there is another key of the name {name} already", name=name))
