"""Sales by a card and a PSAM in software, as the records that a till's journal holds of them.

All keys are the public test keys of hil_rig/profiles; the card and the PSAM compute by themselves.
"""

import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from campus_node.keys.hierarchy import (
    Usage,
    campus_factor,
    campus_key,
    card_factor,
    derive,
    group_factor,
    group_of,
)
from campus_node.keys.sealed_file import SealedFile
from campus_node.keys.sealing import Cost
from campus_node.purse import purchase
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.channel import CardChannel
from campus_node.purse.files import PublicFile
from campus_node.purse.journal_entries import Movement
from campus_node.purse.movement_log import MovementLog
from campus_node.purse.offline_limits import OfflineLimits
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import CardLayout
from campus_node.purse.psam import Psam
from campus_node.purse.sam_session import SamSession
from campus_node.terminal.journal import Journal, new_content
from federation.clock import Clock
from hil_rig.torn_storage import TornStorage
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.media import RamMedium
from hil_rig.virtual.memory import Memory
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.profile_entries import CardProfile, PurseEntry
from hil_rig.virtual.profile_entries import Usage as CardUsage
from hil_rig.virtual.psam import VirtualPsam

ISSUER: Final = bytes.fromhex("4355434100000001")
VERSION: Final = 2  # of both keys in hil_rig/profiles/card-sm4.toml
_ROOT: Final = bytes.fromhex("FFEEDDCCBBAA99887766554433221100")
_TAC: Final = bytes.fromhex("11223344556677885050505050505050")
PASSPHRASE: Final = "a passphrase of the rig"  # noqa: S105  # of public test keys
_BALANCE_MAX_FEN: Final = 10_000_000
_NO_LIMITS: Final = OfflineLimits({Algorithm.SM4: _BALANCE_MAX_FEN})


class JournalRecord(NamedTuple):
    """One entry of a till's journal."""

    journal_id: bytes
    seq: int
    body: bytes


def open_keys(directory: Path, clock: Clock) -> SealedFile:
    """Return a new key store with the purchase key and the TAC key of campus 1, in an empty directory."""
    store = SealedFile.create(directory, ISSUER, PASSPHRASE, Cost(64, 1, 1))
    purchase_key = derive(Algorithm.SM4, _ROOT, group_factor(group_of(ISSUER)), campus_factor(ISSUER))
    store.put(campus_key(Usage.PURCHASE, VERSION, Algorithm.SM4, ISSUER), purchase_key, clock)
    store.put(campus_key(Usage.TAC, VERSION, Algorithm.SM4, ISSUER), _TAC, clock)
    return store


def card_number(number: int) -> bytes:
    """Return the ASN of the rig's card of that number: 10 bytes."""
    return bytes.fromhex(f"00000001{number:012d}")


def make_card(number: int, balance_fen: int, seed: int = 1) -> VirtualCard:
    """Return a new card of campus 1.

    Args:
        number: of its ASN, its last 12 digits.
        balance_fen: what its purse holds.
        seed: of its random numbers.
    """
    medium = RamMedium()
    chance = random.Random(f"{seed} {number}")  # noqa: S311 - a card of the rig
    return VirtualCard(_profile(number, balance_fen), Memory(medium), chance.randbytes)


def _profile(number: int, balance_fen: int) -> CardProfile:
    like = _like()
    asn = card_number(number)
    public = replace(PublicFile.parse(like.public_file), asn=asn)
    factors = group_factor(group_of(ISSUER)), campus_factor(ISSUER), card_factor(asn)
    made = {
        CardUsage.PURCHASE: derive(Algorithm.SM4, _ROOT, *factors),
        CardUsage.TAC: derive(Algorithm.SM4, _TAC, card_factor(asn)),
    }
    return replace(
        like,
        asn=asn,
        public_file=public.encode(),
        ep=PurseEntry(balance_fen, _BALANCE_MAX_FEN, 0),
        keys=tuple(replace(key, value=made.get(CardUsage(key.type), key.value)) for key in like.keys),
    )


@cache
def _like() -> CardProfile:
    return load_card_profile("card-sm4")


class SoftTill:
    """A till with a PSAM in software and a journal in memory.

    Args:
        terminal_id: 6 bytes.
        journal_id: 16 bytes.
        clock: gives entries their time.
        capacity: records of its journal.
        first_seq: the PSAM's counter before its first purchase.
    """

    def __init__(
        self, terminal_id: bytes, journal_id: bytes, clock: Clock, *, capacity: int = 512, first_seq: int = 0
    ) -> None:
        profile = replace(load_psam_profile("psam"), terminal_id=terminal_id, terminal_seq=first_seq)
        psam = VirtualPsam(profile, Memory(RamMedium()), random.Random(terminal_id).randbytes)  # noqa: S311
        self.journal_id = journal_id
        self.card_reader = VirtualReader(None, "card", clock)
        self._sam_reader = VirtualReader(psam, "psam", clock)
        self.journal = Journal(TornStorage(b"".join(new_content(capacity, journal_id))))
        self.log = MovementLog(self.journal, clock)
        self.sam = SamSession(Psam(self._sam_reader.channel()))
        self.layout = CardLayout()

    def lay(self, card: VirtualCard) -> CardChannel:
        """Lay a card on the reader instead of what lies there, and return a channel to it."""
        if self.card_reader.occupied:
            self.card_reader.remove()
        self.card_reader.insert(card)
        return self.card_reader.channel()

    def sell(self, card: VirtualCard, amount_fen: int, made_at: str) -> Outcome:
        """Charge a card; made_at is YYYYMMDDhhmmss. What the reader was told to tear is torn."""
        channel = self.lay(card)
        request = purchase.PurchaseRequest(amount_fen, bytes.fromhex(made_at), limits=_NO_LIMITS)
        return purchase.run(request, card=channel, sam=self.sam, log=self.log, layout=self.layout)

    def movement(self, outcome: Outcome) -> Movement:
        """Return what the journal says of a sale."""
        return self.log.newest(outcome.recorded).movement

    def records(self, after_seq: int = 0) -> list[JournalRecord]:
        """Return what its journal holds above a number."""
        return [
            JournalRecord(self.journal_id, entry.seq, entry.body or b"")
            for entry in self.journal.entries(after_seq + 1)
        ]
