"""A terminal with everything beside it in software: card, PSAM, journal, issuer. It can be torn anywhere."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from campus_node.keys.hierarchy import KeyName, Usage, campus_key
from campus_node.keys.operations import KeyOperations
from campus_node.keys.store import Factors, KeyEntry
from campus_node.purse import mac, recovery
from campus_node.purse.algorithm import Algorithm, check_value, session_key, session_mac, tac
from campus_node.purse.channel import CardChannel, Reader
from campus_node.purse.commands import Purse, TransactionType
from campus_node.purse.issuer import Issuer
from campus_node.purse.journal_entries import Movement, decode, purchase_record
from campus_node.purse.load_book import LoadBook
from campus_node.purse.movement_log import MovementLog, Recorded
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import CardLayout, Pin
from campus_node.purse.psam import Psam
from campus_node.purse.sam_session import SamSession
from campus_node.purse.verification import verify_record
from campus_node.terminal.journal import Journal, new_content
from federation.clock import Clock, VirtualClock
from hil_rig.torn_storage import TornStorage
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.device import Device
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.media import RamMedium
from hil_rig.virtual.memory import Memory
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.profile_entries import CardProfile, PsamProfile, PurseEntry
from hil_rig.virtual.profile_entries import Usage as CardUsage
from hil_rig.virtual.psam import VirtualPsam
from hil_rig.virtual.purse_file import Purse as PurseFile
from hil_rig.virtual.vpcd import VpcdSlot
from tests.purse.flows.hooks import Hook, HookedChannel, HookedReader, Line

CAPACITY = 32
EP_FEN = 5000
ED_FEN = 8000
NOON = bytes.fromhex("20260901120000")
LAYOUT = CardLayout()
PIN = Pin(bytes.fromhex("123456"))
TERMINAL_ID = bytes.fromhex("112233445566")
EMPTY_JOURNAL = b"".join(new_content(CAPACITY, bytes(range(16))))
WINDOW_S = 10.0
SOON_S = 10.0  # more than any reader needs to notice something


class CardKeys:
    """The keys of one card, as the issuer's key store would work them out."""

    def __init__(self, profile: CardProfile) -> None:
        self._keys = {
            (key.type, key.version, Algorithm.from_byte(key.algorithm)): key.value for key in profile.keys
        }
        self._issuer = profile.issuer

    def entries(self) -> Sequence[KeyEntry]:
        return []

    def entry(self, name: KeyName) -> KeyEntry:
        return KeyEntry(name, check_value(name.algorithm, self.working_key(name, ())), False, "file", 0)

    def working_key(self, name: KeyName, _factors: Factors) -> bytes:
        return self._keys[CardUsage[name.usage.name], name.version, name.algorithm]

    def of(self, usage: Usage, movement: Movement) -> bytes:
        algorithm = Algorithm.from_byte(movement.algorithm_byte)
        return self.working_key(campus_key(usage, movement.key_version, algorithm, self._issuer), ())


@cache
def card_profile(name: str) -> CardProfile:
    return replace(
        load_card_profile(name),
        ep=PurseEntry(EP_FEN, 100_000, 0),
        ed=PurseEntry(ED_FEN, 1_000_000, 0),
    )


@cache
def psam_profile() -> PsamProfile:
    return load_psam_profile("psam")


@cache
def first_log(profile: str) -> bytes:
    """Return what the memory of a new card, or PSAM, holds."""
    medium = RamMedium()
    if profile == "psam":
        VirtualPsam(psam_profile(), Memory(medium))
    else:
        VirtualCard(card_profile(profile), Memory(medium))
    return medium.read()


def memory_of(log: bytes) -> Memory:
    medium = RamMedium()
    medium.replace(log)
    medium.swap()
    return Memory(medium)


@dataclass(frozen=True, slots=True)
class Place:
    """A reader, from both sides.

    Args:
        hand: lays cards there and tears them away.
        side: what the terminal has of it.
        empty: tells whether nothing lies there.
    """

    hand: VirtualReader | VpcdSlot
    side: Reader
    empty: Callable[[], bool]

    @classmethod
    def virtual(cls, name: str, clock: Clock) -> "Place":
        reader = VirtualReader(None, name, clock)
        return cls(reader, reader, lambda: reader.wait_for_removal(0))

    def lay(self, device: Device) -> None:
        """Lay a device there, once the reader has seen that the last one left."""
        if self.empty():
            assert self.side.wait_for_removal(SOON_S)
            self.hand.insert(device)

    def channel(self) -> CardChannel:
        channel = self.side.wait_for_card(SOON_S)
        assert channel is not None, f"nothing came to {self.side.name}"
        return channel


class Till:
    """One terminal, one card.

    Args:
        profile: name of the card's.
        seed: of the random numbers of card and issuer.
        places: of card and PSAM; None = readers in this process.
        clock: of the terminal.
    """

    def __init__(
        self,
        profile: str,
        seed: int = 1,
        places: tuple[Place, Place] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.profile_name = profile
        self.profile = card_profile(profile)
        self.keys = CardKeys(self.profile)
        chance = random.Random(seed)
        self.clock = clock or VirtualClock()
        self.card = VirtualCard(self.profile, memory_of(first_log(profile)), chance.randbytes)
        self.psam = VirtualPsam(psam_profile(), memory_of(first_log("psam")), chance.randbytes)
        made = places or (Place.virtual("card", self.clock), Place.virtual("psam", self.clock))
        self.card_place, self.sam_place = made
        self.card_reader, self.sam_reader = self.card_place.hand, self.sam_place.hand
        self.card_place.lay(self.card)
        self.card_hook, self.sam_hook, self.line_hook = Hook(), Hook(), Hook()
        self.card_seen: list[tuple[bytes, int]] = []
        self.sam_seen: list[tuple[bytes, int]] = []
        self.reader = HookedReader(self.card_place.side, self.card_hook, self.card_seen)
        self.book = LoadBook(":memory:")
        self.issuer = Issuer(
            self.profile.issuer,
            KeyOperations(self.keys),
            self.book,
            self.clock,
            random_bytes=chance.randbytes,
        )
        self.line = Line(self.issuer, self.line_hook)
        self.storage = TornStorage(EMPTY_JOURNAL)
        self.first_capp_records = self.capp_records()
        self._start_process()
        self.channel: CardChannel = HookedChannel(self.card_place.channel(), self.card_hook, self.card_seen)

    def close(self) -> None:
        self.book.close()

    def reboot(self) -> None:
        """Start the terminal's process again, from what its disk holds."""
        self.storage = TornStorage(self.storage.after_the_cut())
        self.card_hook.error = self.sam_hook.error = self.line_hook.error = None
        self._start_process()

    def repair(self) -> None:
        """Lay card and PSAM back into their readers, and mend the line; what was torn stays torn."""
        for place, device in ((self.card_place, self.card), (self.sam_place, self.psam)):
            place.lay(device)
            place.hand.tears.forget()
        for memory in (self.card.memory, self.psam.memory):
            memory.untear()
        self.card_hook.error = self.sam_hook.error = self.line_hook.error = None
        self.channel = HookedChannel(self.card_place.channel(), self.card_hook, self.card_seen)

    def movements(self) -> list[Recorded]:
        """Return the newest entry of every movement in the journal."""
        newest: dict[int, Recorded] = {}
        for entry in self.journal.entries():
            movement = decode(entry.body) if entry.body is not None else None
            if movement is not None:
                recorded = Recorded(entry.seq, movement)
                newest[recorded.opened_seq] = recorded
        return list(newest.values())

    def settle_all(self) -> list[Outcome]:
        """Recover every unsettled movement with what lies on the reader, or comes."""
        return [self.settle(recorded) for recorded in self.log.unsettled()]

    def settle(self, recorded: Recorded) -> Outcome:
        return recovery.settle_within(
            recorded,
            reader=self.reader,
            log=self.log,
            layout=LAYOUT,
            sam=self.sam,
            authority=self.line,
            pin=PIN,
            window_s=WINDOW_S,
        )

    def in_card(self, purse: Purse) -> PurseFile:
        """Return what the card's memory holds of a purse: the truth."""
        found = [at for slot, at in self.card.memory.slots.items() if slot.endswith(f"/p/{int(purse)}")]
        (content,) = found
        return PurseFile.unpacked(content)

    def capp_records(self) -> tuple[bytes, ...]:
        """Return the records of file 0017 as the card's memory holds them."""
        slots = self.card.memory.slots
        return tuple(slots[slot] for slot in sorted(slots) if "/r/0017/" in slot)

    def verify(self, movement: Movement) -> None:
        """Check what the issuer checks of a movement that is done, with the card's own keys."""
        if not movement.online:
            verify_record(
                purchase_record(movement),
                self.keys.of(Usage.PURCHASE, movement),
                self.keys.of(Usage.TAC, movement),
            )
            return
        algorithm = Algorithm.from_byte(movement.algorithm_byte)
        covered = mac.load_tac(
            movement.balance_after_fen or 0,
            movement.card_seq,
            movement.amount_fen,
            movement.transaction_type,
            movement.terminal_id,
            movement.made_at,
        )
        if movement.transaction_type is TransactionType.UNLOAD:
            seed = mac.online_seed(movement.card_random, movement.card_seq)
            session = session_key(algorithm, self.keys.of(Usage.UNLOAD, movement), seed)
            assert movement.mac3 == session_mac(algorithm, session, covered)
        elif movement.tac is not None:
            assert movement.tac == tac(algorithm, self.keys.of(Usage.TAC, movement), covered)

    def _start_process(self) -> None:
        self.journal = Journal(self.storage)
        self.log = MovementLog(self.journal, self.clock)
        self.sam_place.lay(self.psam)
        self.sam = SamSession(Psam(HookedChannel(self.sam_place.channel(), self.sam_hook, self.sam_seen)))
