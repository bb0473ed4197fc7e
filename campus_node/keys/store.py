"""What a key store can be asked. Keys are named, operations happen inside, and no key comes out in clear,
but for the session keys of single PSAMs that are lent to their gateways.

Two stores exist: `campus_node.keys.sealed_file`, a file under a passphrase, and
`campus_node.keys.pkcs11_token`, a PKCS#11 token. Both do the same arithmetic, byte for byte.

`factors` are the diversification steps from the named key down to the one that is used, the first one applied
first: `(card_factor(asn),)` below a campus key; empty for the named key itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from campus_node.keys.hierarchy import KeyName
from federation.errors import Refused, Tampered

Factors = Sequence[bytes]


class KeyUnknown(Refused):
    """The store has no key of this name."""


class KeyForbidden(Refused):
    """The key is there and may not be used for this: a foreign key outside a PSAM, a TAC key abroad."""


class WrongPassphrase(Refused):
    """The passphrase does not open this file."""


class StoreDamaged(Tampered):
    """The store's file was changed, cut or mixed up."""


class StoreRolledBack(Tampered):
    """The store's file is older than what was last written here."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """What a store tells about a key.

    Args:
        name: which one.
        check_value: 3 bytes, by which two stores are compared.
        foreign: another issuer's purchase key: good for PSAMs only.
        place: "file", "token" (made or kept inside the token), "enveloped" (kept under a key of the token).
        created_at_unix_ms: when it came into this store.
    """

    name: KeyName
    check_value: bytes
    foreign: bool
    place: str
    created_at_unix_ms: int


class KeyStore(Protocol):
    """Keys, usable by name. Everything raises KeyUnknown or KeyForbidden where there is reason to."""

    def entries(self) -> Sequence[KeyEntry]:
        """Return what is there, by name; never keys."""

    def check_value(self, name: KeyName, factors: Factors = ()) -> bytes:
        """Return the check value (KCV) of a key or of one that follows from it: 3 bytes."""

    def session_mac(self, name: KeyName, factors: Factors, seed: bytes, message: bytes) -> bytes:
        """Return the MAC of a message under the session key of this seed.

        Args:
            seed: 8 bytes: card random 4 ‖ online_seq 2 ‖ 80 00, or ‖ offline_seq 2 ‖ end of terminal_seq 2.
            message: as `campus_node.purse.mac` puts it together; padded here.

        Returns:
            4 bytes: MAC1, MAC2 or MAC3.
        """

    def tac(self, name: KeyName, factors: Factors, message: bytes) -> bytes:
        """Return the TAC of a message: 4 bytes."""

    def pin_mac(self, name: KeyName, factors: Factors, new_pin: bytes) -> bytes:
        """Return the MAC of RELOAD PIN over the new PIN: 4 bytes."""

    def messaging_mac(self, name: KeyName, factors: Factors, challenge: bytes, message: bytes) -> bytes:
        """Return the secure-messaging MAC: 4 bytes.

        Args:
            challenge: what GET CHALLENGE answered, 4 or 8 bytes, for SM4 up to 16.
            message: CLA INS P1 P2 Lc ‖ data, where Lc counts the MAC too.
        """

    def messaging_encrypt(self, name: KeyName, factors: Factors, plaintext: bytes) -> bytes:
        """Return length byte ‖ plaintext enciphered for secure messaging: whole blocks."""

    def wrap_key(
        self, target: KeyName, target_factors: Factors, under: KeyName, under_factors: Factors, header: bytes
    ) -> bytes:
        """Return header ‖ key, enciphered for secure messaging: what WRITE KEY carries into a card or a PSAM.

        Args:
            target, target_factors: the key to be written: a card's, a PSAM's own, or, into a PSAM only, a
                campus-level purchase key.
            under, under_factors: the maintenance or transport key of that very card or PSAM.
            header: what stands before the key in the command's plaintext, in clear.

        Raises:
            KeyForbidden: this key may not go under that one.
        """

    def respond(self, name: KeyName, factors: Factors, challenge: bytes) -> bytes:
        """Return the answer to a card's challenge for EXTERNAL AUTHENTICATE: 8 bytes.

        Args:
            challenge: 4 or 8 bytes, for SM4 16.
        """

    def lend_session_key(self, name: KeyName, psam_serial: bytes) -> bytes:
        """Return the session key of one PSAM, 16 bytes: the only operation that gives out a key in clear.

        It is for the node alone, which seals it to the gateway of that PSAM's terminal (lending.py). From it
        follows neither the campus's key nor another PSAM's.

        Args:
            name: a campus-level `psam_session` key.
            psam_serial: 10 bytes.

        Raises:
            KeyForbidden: any other key.
        """
