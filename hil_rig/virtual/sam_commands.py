"""The commands of a PSAM: MAC1 of a purchase, MAC2, and the keys that a terminal may compute with.

Purchase keys never serve 80 1A: with it and 80 FA a session key could be computed, and a MAC2 forged.
"""

from hmac import compare_digest
from typing import Final, NamedTuple

from hil_rig.virtual import status
from hil_rig.virtual.chip import Chip, Request
from hil_rig.virtual.crypto import MAC_BYTES, Key, RunningMac, algorithm_of
from hil_rig.virtual.factory import OPTION_BANK_FIRST, TERMINAL_ID_FID, TERMINAL_SEQ_SLOT
from hil_rig.virtual.file_system import Directory, Life, StoredKey, binary_slot
from hil_rig.virtual.profile_entries import Usage
from hil_rig.virtual.transactions import Type

FACTOR_BYTES: Final = 8
INIT_BYTES: Final = 20  # without the factors
TERMINAL_SEQ_MAX: Final = 0xFFFF_FFFF
PURCHASES: Final = frozenset({Type.CASH, Type.ED_PURCHASE, Type.EP_PURCHASE, Type.CAPP})
NEVER_DELIVERED: Final = frozenset({Usage.PURCHASE, Usage.MAINTENANCE})

ENCRYPT_LAST: Final = 0x00
ENCRYPT_MORE: Final = 0x02
DECRYPT: Final = 0x80
MAC_LAST: Final = 0x01
MAC_NEXT: Final = 0x03
MAC_ONLY: Final = 0x05
MAC_FIRST: Final = 0x07
MAC_MODES: Final = frozenset({MAC_LAST, MAC_NEXT, MAC_ONLY, MAC_FIRST})


class SamPurchase(NamedTuple):
    """A purchase after 80 70, until 80 72 or another selection."""

    selection: int
    session: RunningMac
    amount: bytes


class Delivered(NamedTuple):
    """A key after 80 1A; good in this selection only."""

    selection: int
    key: Key


class SamCommands:
    """The commands of a PSAM, on a chip."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._purchase: SamPurchase | None = None
        self._delivered: Delivered | None = None
        self._chained: bytes | None = None
        chip.commands |= {
            0x8070: self.begin_purchase,
            0x8072: self.check_mac2,
            0x801A: self.deliver_key,
            0x80FA: self.compute,
        }

    def begin_purchase(self, request: Request) -> bytes:
        """`80 70 00 00 Lc` rnd4 ‖ SN2 ‖ amt4 ‖ type1 ‖ date4 ‖ time3 ‖ version1 ‖ alg1 ‖ factors.

        Answers termSN4 ‖ MAC1. The terminal's counter is durable before MAC1 exists, so no pair of counter
        and card random comes twice. The moment at which products count is unverified.
        """
        self._purchase = None
        request.expect_parameters(0, 0)
        content = request.content
        levels, odd = divmod(len(content) - INIT_BYTES, FACTOR_BYTES)
        if levels < 0 or odd:
            raise status.Ended(status.WRONG_LENGTH)
        directory = self._active()
        card_random, card_seq, amount, kind = content[:4], content[4:6], content[6:10], content[10:11]
        made_at, version, algorithm = content[11:18], content[18], algorithm_of(content[19])
        if kind[0] not in PURCHASES:
            raise status.Ended(status.WRONG_CONTENT)
        key = _purchase_key(directory, version, algorithm)
        if key is None:
            raise status.Ended(status.NO_KEY)
        if levels != key.entry.levels:
            raise status.Ended(status.WRONG_LENGTH)
        slots = self._chip.files.slots
        terminal_seq = int.from_bytes(slots.get(TERMINAL_SEQ_SLOT, b"")) + 1
        if terminal_seq > TERMINAL_SEQ_MAX:
            raise status.Ended(status.COUNTER_FULL)
        counter = terminal_seq.to_bytes(4)
        self._chip.files.commit({TERMINAL_SEQ_SLOT: counter})
        card_key = self._diversified(directory, key, content[INIT_BYTES:])
        session = card_key.session(card_random + card_seq + counter[2:])
        terminal_id = slots[binary_slot(self._chip.files.mf, TERMINAL_ID_FID)]
        mac1 = session.mac(amount + kind + terminal_id + made_at)
        self._purchase = SamPurchase(self._chip.selection, session, amount)
        return counter + mac1

    def check_mac2(self, request: Request) -> bytes:
        """`80 72 00 00 04` MAC2. A wrong one is counted; the last allowed one blocks the application."""
        request.expect_parameters(0, 0)
        request.expect(MAC_BYTES)
        purchase, self._purchase = self._purchase, None
        if purchase is None or purchase.selection != self._chip.selection:
            raise status.Ended(status.NOT_BEGUN)
        if compare_digest(purchase.session.mac(purchase.amount), request.content):
            return b""
        directory, files = self._chip.directory, self._chip.files
        slot = directory.slot("e")
        wrong = min(int.from_bytes(files.slots.get(slot, b"")) + 1, 0xFFFF)
        changes = {slot: wrong.to_bytes(2)}
        if wrong >= directory.mac2_tries:
            changes |= directory.changed(Life.BLOCKED)
        files.commit(changes)
        raise status.Ended(status.TRANSACTION_MAC_WRONG)

    def deliver_key(self, request: Request) -> bytes:
        """`80 1A usage version Lc` factors: a key for 80 FA. Purchase and maintenance keys: 6985."""
        self._delivered = self._chained = None
        directory = self._active()
        levels, kind = request.p1 >> 5, request.p1 & 0x1F
        if kind in NEVER_DELIVERED:
            raise status.Ended(status.CONDITIONS)
        request.expect(FACTOR_BYTES * levels)
        for key in directory.keys:
            if (key.entry.type, key.entry.levels, key.entry.version) == (kind, levels, request.p2):
                delivered = self._diversified(directory, key, request.content)
                self._delivered = Delivered(self._chip.selection, delivered)
                return b""
        raise status.Ended(status.NO_KEY)

    def compute(self, request: Request) -> bytes:
        """`80 FA mode 00 Lc` …: encrypt (00, 02), decrypt (80), MAC (05; 07, 03…, 01). The caller pads."""
        delivered = self._delivered
        if request.p2 != 0:
            raise status.Ended(status.WRONG_PARAMETERS)
        if delivered is None or delivered.selection != self._chip.selection:
            raise status.Ended(status.NOT_BEGUN)
        key, blocks = delivered.key, request.content
        if not blocks or len(blocks) % key.block:
            raise status.Ended(status.WRONG_LENGTH)
        if request.p1 in MAC_MODES:
            return self._mac(key, request.p1, blocks)
        self._chained = None
        if request.p1 in {ENCRYPT_LAST, ENCRYPT_MORE}:
            return key.encrypt(blocks)
        if request.p1 == DECRYPT:
            return key.decrypt(blocks)
        raise status.Ended(status.WRONG_PARAMETERS)

    def _mac(self, key: Key, mode: int, blocks: bytes) -> bytes:
        if mode in {MAC_ONLY, MAC_FIRST}:
            self._chained, blocks = blocks[: key.block], blocks[key.block :]
            if not blocks:
                self._chained = None
                raise status.Ended(status.WRONG_LENGTH)
        chained, self._chained = self._chained, None
        if chained is None:
            raise status.Ended(status.NOT_BEGUN)
        chained = key.chain(blocks, int.from_bytes(chained))
        if mode in {MAC_FIRST, MAC_NEXT}:
            self._chained = chained
            return b""
        return key.final(chained)

    def _diversified(self, directory: Directory, stored: StoredKey, listed: bytes) -> Key:
        """Apply the listed factors: the last one first, unless the bank's stands first (unverified)."""
        factors = [listed[at : at + FACTOR_BYTES] for at in range(0, len(listed), FACTOR_BYTES)]
        if not directory.options & OPTION_BANK_FIRST:
            factors.reverse()
        key = stored.cipher
        for factor in factors:
            key = key.diversified(factor)
        return key

    def _active(self) -> Directory:
        directory = self._chip.directory
        if directory.life is not Life.ACTIVE:
            raise status.Ended(status.CONDITIONS)
        return directory


def _purchase_key(directory: Directory, version: int, algorithm: int | None) -> StoredKey | None:
    wanted = (Usage.PURCHASE, version, algorithm)
    for key in directory.keys:
        if (key.entry.type, key.entry.version, key.entry.algorithm) == wanted:
            return key
    return None
