"""A stored key as secure messaging takes one: it can be used for a command, and never seen."""

from dataclasses import dataclass

from campus_node.keys.hierarchy import KeyName
from campus_node.keys.store import Factors, KeyStore


@dataclass(frozen=True, slots=True)
class StoredMessagingKey:
    """A `MessagingKey` in a key store.

    Args:
        name: of the maintenance or transport key.
        factors: down to the one card or PSAM; empty for a transport key that all blank ones share.
    """

    store: KeyStore
    name: KeyName
    factors: Factors = ()

    def mac(self, challenge: bytes, message: bytes) -> bytes:
        """Return the MAC of a secure message, 4 bytes."""
        return self.store.messaging_mac(self.name, self.factors, challenge, message)

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return length byte and plaintext, encrypted."""
        return self.store.messaging_encrypt(self.name, self.factors, plaintext)

    def wrap(self, target: KeyName, target_factors: Factors, header: bytes) -> bytes:
        """Return header ‖ target key, encrypted under this key."""
        return self.store.wrap_key(target, target_factors, self.name, self.factors, header)
