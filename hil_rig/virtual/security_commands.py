"""Challenge, PIN and authentication commands.

A try is counted in non-volatile memory before anything is compared: whoever tears the power out gains no try.
"""

from hmac import compare_digest
from typing import Final

from hil_rig.virtual import status
from hil_rig.virtual.chip import Chip, Request
from hil_rig.virtual.crypto import MAC_BYTES, authentication
from hil_rig.virtual.file_system import StoredKey
from hil_rig.virtual.profile_entries import Usage
from hil_rig.virtual.secure_messaging import decrypted, opened_under

KEY_TRIES: Final = 3
PIN_LENGTHS: Final = range(2, 7)
PIN_SEPARATOR: Final = b"\xff"
PIN_NUMBERS: Final = frozenset({0, 1})  # a card has one PIN; readers call it 00 or 01

ENCRYPT: Final = 0x00
DECRYPT: Final = 0x01
MAC: Final = 0x02


class SecurityCommands:
    """The commands that prove who somebody is, for card and PSAM alike."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        chip.commands |= {
            0x0084: self.get_challenge,
            0x0020: self.verify,
            0x805E: self.change_or_reload_pin,
            0x8424: self.unblock_pin,
            0x0082: self.external_authenticate,
            0x0088: self.internal_authenticate,
        }

    def get_challenge(self, request: Request) -> bytes:
        """`00 84 00 00 04|08|10`."""
        request.expect_parameters(0, 0)
        if request.content or request.le not in {4, 8, 16}:
            raise status.Ended(status.WRONG_LENGTH)
        return self._chip.give_challenge(request.le)

    def verify(self, request: Request) -> bytes:
        """`00 20 00 keyid Lc` PIN."""
        if request.p1 != 0:
            raise status.Ended(status.WRONG_PARAMETERS)
        if len(request.content) not in PIN_LENGTHS:
            raise status.Ended(status.WRONG_LENGTH)
        self._chip.pin_verified = False
        self._try_pin(request.p2, request.content)
        self._chip.pin_verified = True
        return b""

    def change_or_reload_pin(self, request: Request) -> bytes:
        """`80 5E 01 keyid Lc` old ‖ FF ‖ new, or `80 5E 00 keyid Lc` new ‖ MAC4."""
        if request.p1 == 0x01:
            return self._change_pin(request)
        if request.p1 == 0x00:
            return self._reload_pin(request)
        raise status.Ended(status.WRONG_PARAMETERS)

    def unblock_pin(self, request: Request) -> bytes:
        """`84 24 00 keyid Lc` encrypted PIN ‖ MAC4. P1 may have the key's index instead: unverified."""
        if request.p1 and request.p2:
            raise status.Ended(status.WRONG_PARAMETERS)
        key = self._key(Usage.PIN_UNBLOCK, request.p1 or request.p2)
        slot, maximum, _ = self._pin(0)
        left = self._tries(key)
        if left == 0:
            raise status.Ended(status.LOCKED_FOR_EVER)
        if not request.challenge:
            raise status.Ended(status.CONDITIONS)
        self._count(key, left - 1)
        try:
            cipher = opened_under(key.cipher, request)
        except status.Ended as ended:
            raise self._locked_now(ended, left - 1) from None
        self._count(key, KEY_TRIES)
        pin = decrypted(key.cipher, cipher)
        if len(pin) not in PIN_LENGTHS or PIN_SEPARATOR in pin:
            raise status.Ended(status.WRONG_CONTENT)
        self._chip.files.commit({slot: bytes((maximum, maximum)) + pin})
        return b""

    def external_authenticate(self, request: Request) -> bytes:
        """`00 82 00 keyid 08` 3DES(K, challenge), for SM4 the halves of SM4(K, challenge) XORed."""
        if request.p1 != 0:
            raise status.Ended(status.WRONG_PARAMETERS)
        request.expect(8)
        key = self._chip.directory.key(Usage.EXTERNAL_AUTH, request.p2)
        if key is None:
            raise status.Ended(status.NO_KEY_HERE)
        left = self._tries(key)
        if left == 0:
            raise status.Ended(status.TRIES_USED_UP)
        length = len(request.challenge)
        if length == 0 or length > key.cipher.block:
            raise status.Ended(status.CONDITIONS)
        self._chip.authenticated = False
        self._count(key, left - 1)
        if not compare_digest(authentication(key.cipher, request.challenge), request.content):
            raise status.Ended(status.TRIES_LEFT | left - 1)
        self._count(key, KEY_TRIES)
        self._chip.authenticated = True
        return b""

    def internal_authenticate(self, request: Request) -> bytes:
        """`00 88 mode keyid Lc` …: 00 encrypt, 01 decrypt, 02 MAC."""
        key = self._chip.directory.key(Usage.INTERNAL_AUTH, request.p2)
        if request.p1 not in {ENCRYPT, DECRYPT, MAC}:
            raise status.Ended(status.WRONG_PARAMETERS)
        if key is None:
            raise status.Ended(status.NO_KEY_HERE)
        if not request.content:
            raise status.Ended(status.WRONG_LENGTH)
        if request.p1 == MAC:
            return key.cipher.mac(request.content)
        if len(request.content) % key.cipher.block:
            raise status.Ended(status.WRONG_LENGTH)
        return (
            key.cipher.encrypt(request.content)
            if request.p1 == ENCRYPT
            else key.cipher.decrypt(request.content)
        )

    def _change_pin(self, request: Request) -> bytes:
        old, separator, new = request.content.partition(PIN_SEPARATOR)
        if (
            not separator
            or len(old) not in PIN_LENGTHS
            or len(new) not in PIN_LENGTHS
            or PIN_SEPARATOR in new
        ):
            raise status.Ended(status.WRONG_LENGTH)
        self._chip.pin_verified = False
        slot, maximum = self._try_pin(request.p2, old)
        self._chip.files.commit({slot: bytes((maximum, maximum)) + new})
        return b""

    def _reload_pin(self, request: Request) -> bytes:
        pin, mac = request.content[:-MAC_BYTES], request.content[-MAC_BYTES:]
        if len(pin) not in PIN_LENGTHS or PIN_SEPARATOR in pin:
            raise status.Ended(status.WRONG_LENGTH)
        key = self._key(Usage.PIN_RELOAD, request.p2)
        slot, maximum, _ = self._pin(0)
        left = self._tries(key)
        if left == 0:
            raise status.Ended(status.LOCKED_FOR_EVER)
        self._count(key, left - 1)
        if not compare_digest(key.folded.mac(pin), mac):
            raise self._locked_now(status.Ended(status.TRANSACTION_MAC_WRONG), left - 1)
        self._chip.files.commit({slot: bytes((maximum, maximum)) + pin, key.tries_slot: bytes([KEY_TRIES])})
        return b""

    def _try_pin(self, number: int, pin: bytes) -> tuple[str, int]:
        """Compare a PIN. End with 63Cx, 6983, 9403."""
        slot, maximum, stored = self._pin(number)
        left = self._chip.files.slots[slot][0]
        if left == 0:
            raise status.Ended(status.TRIES_USED_UP)
        self._chip.files.commit({slot: bytes((left - 1, maximum)) + stored})
        if not compare_digest(stored, pin):
            raise status.Ended(status.TRIES_LEFT | left - 1)
        self._chip.files.commit({slot: bytes((maximum, maximum)) + stored})
        return slot, maximum

    def _pin(self, number: int) -> tuple[str, int, bytes]:
        slot = self._chip.directory.slot("pin")
        record = self._chip.files.slots.get(slot)
        if number not in PIN_NUMBERS or record is None:
            raise status.Ended(status.NO_KEY)
        return slot, record[1], record[2:]

    def _key(self, usage: Usage, index: int) -> StoredKey:
        key = self._chip.directory.key(usage, index)
        if key is None:
            raise status.Ended(status.NO_KEY)
        return key

    def _tries(self, key: StoredKey) -> int:
        counter = self._chip.files.slots.get(key.tries_slot)
        return KEY_TRIES if counter is None else counter[0]

    def _count(self, key: StoredKey, left: int) -> None:
        self._chip.files.commit({key.tries_slot: bytes([left])})

    def _locked_now(self, ended: status.Ended, left: int) -> status.Ended:
        """Return how the command ends: the third failure says at once that it was the last."""
        return status.Ended(status.LOCKED_FOR_EVER) if left == 0 else ended
