"""Everything from cards to the ledger in one process, on a line that loses, doubles and overtakes.

Real are: cards and PSAMs in software, tills, journals, uploads, the spool, intake, bookkeeper and ledger.
"""

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from campus_node.database.connect import connect
from campus_node.gateway.spool import Spool
from campus_node.gateway.spool_turn import Brought
from campus_node.purse.commands import Purse
from campus_node.purse.movement_log import MovementLog
from campus_node.purse.psam import Psam
from campus_node.purse.sam_session import SamSession
from campus_node.records.spooled import Spooled
from campus_node.spending.parameter_values import read_parameters
from campus_node.spending.parameter_versions import Schedule, Version
from campus_node.terminal.journal import Journal, new_content
from campus_node.terminal.pos.hotlists import Hotlists
from campus_node.terminal.pos.rules import Rules
from campus_node.terminal.pos.settings import Key, TillSettings
from campus_node.terminal.pos.stage import Stage
from campus_node.terminal.pos.till import Till as Pos
from campus_node.terminal.pos.wall_clock import WallClock
from campus_node.terminal.upload import Upload
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import VirtualClock
from hil_rig.tills.terminal import keys_for, newest_unix_ms
from hil_rig.torn_storage import TornStorage
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.memory import PowerLost
from hil_rig.virtual.profile import load_psam_profile
from hil_rig.virtual.psam import VirtualPsam
from hil_rig.virtual.purse_file import Purse as PurseFile
from tests.purse.flows.hooks import Died, Hook, HookedChannel
from tests.records.build import FOURTEEN, SEVEN
from tests.records.counter import Canteen

CAPACITY = 400
SPOOL_RECORDS_MAX = 10_000
GENEROUS = (
    ("day_max_fen", "10000000"),
    ("month_max_fen", "10000000"),
    ("offline_card_max_fen", "10000000"),
    ("offline_terminal_max_fen", "10000000"),
)
ANSWERS_MAX = 3
QUIET_S = 61


class OnAir(NamedTuple):
    """A message between a till and the gateway: records upwards, or marks downwards."""

    till: "WholeTill"
    message_id: int
    records: wire.Records | None = None
    marks: wire.RecordsTaken | None = None


def purse_of(card: VirtualCard) -> PurseFile:
    """What is in the purse: the card's memory, not what it says."""
    (content,) = [at for slot, at in card.memory.slots.items() if slot.endswith(f"/p/{int(Purse.EP)}")]
    return PurseFile.unpacked(content)


class WholeTill:
    """One till, from the reader to its upload."""

    def __init__(self, terminal_id: bytes, clock: VirtualClock, luck: random.Random) -> None:
        profile = replace(load_psam_profile("psam"), terminal_id=terminal_id)
        self.terminal_id = terminal_id
        self.reader = VirtualReader(None, "card", clock)
        self.hook = Hook()
        self._clock, self._luck = clock, luck
        self._psam = VirtualPsam(profile)
        self.storage = TornStorage(b"".join(new_content(CAPACITY, terminal_id.rjust(16, b"J"))))
        self._message_id = 0
        self.boot()

    def boot(self) -> None:
        """Begin with what the disk holds."""
        self.storage = TornStorage(self.storage.after_the_cut())
        self.hook.error = None
        self.journal = Journal(self.storage)
        wall = WallClock(self._clock, newest_unix_ms(self.journal), trusted=True)
        self.pos = Pos(
            TillSettings(merchant="canteen"),
            Rules(Schedule(Version(1, 0, read_parameters(GENEROUS)))),
            Hotlists(),
            sam=SamSession(Psam(VirtualReader(self._psam, "psam", self._clock).channel())),
            log=MovementLog(self.journal, wall),
            clock=wall,
        )
        self.upload = Upload(self.journal, self._luck.randbytes)

    @property
    def now_s(self) -> float:
        return self._clock.monotonic_s()

    def touch(self, card: VirtualCard, amount_fen: int) -> None:
        """Type an amount, 0 = none, lay a card, agree to what is asked, take it away; or lose the power."""
        try:
            if amount_fen and self.pos.stage in {Stage.READY, Stage.SHOWN}:
                for key in (Key.CANCEL, *keys_for(amount_fen)):
                    self.pos.press(key, self.now_s)
            self.reader.insert(card)
            self.pos.card(HookedChannel(self.reader.channel(), self.hook, []), self.now_s)
            for _ in range(ANSWERS_MAX):
                if self.pos.stage is Stage.ASKING:
                    self.pos.press(Key.OK, self.now_s)
        except (Died, PowerLost):
            self.boot()
        if self.pos.failed:
            self.boot()
        self.reader.remove()
        self.reader.tears.forget()
        self.pos.card_gone(self.now_s)

    def speak(self) -> OnAir | None:
        """Return what it sends now, if anything."""
        found = self.upload.next_parcel(self.now_s, self._message_id + 1)
        if found is None:
            return None
        parcel, message = found
        self._message_id = max(self._message_id, parcel.message_id)
        self.upload.sent(parcel, self.now_s)
        return OnAir(self, message.message_id, records=message.records)


class Whole:
    """Two cards, two tills, a gateway's spool, a node with its ledger. Args: directory: emptied."""

    def __init__(self, directory: Path, template: Path, seed: int) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        shutil.copy(template, directory / "campus.sqlite")
        url = f"sqlite:///{directory / 'campus.sqlite'}"
        luck = random.Random(seed)
        self.clock = VirtualClock()
        self._db = connect(url)
        self._luck = luck
        self.canteen = Canteen(self._db, url, self.clock, directory)
        self.cards = {1001: self.canteen.li, 1002: self.canteen.wang}
        self.full_fen = {number: purse_of(card).balance_fen for number, card in self.cards.items()}
        self.tills = [WholeTill(each.terminal_id, self.clock, luck) for each in (SEVEN, FOURTEEN)]
        self._spool_path = directory / "spool.sqlite"
        self.spool = Spool(self._spool_path, SPOOL_RECORDS_MAX, luck.randbytes)
        self.air: list[OnAir] = []

    def close(self) -> None:
        self.spool.close()
        self.canteen.close()
        self._db.dispose()

    def gone_fen(self, number: int) -> int:
        """What a card has paid, all in all."""
        return self.full_fen[number] - purse_of(self.cards[number]).balance_fen

    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds * 1000)
        for till in self.tills:
            till.pos.step(till.now_s)

    def speak(self, till: WholeTill) -> bool:
        """Have a till send what it would now; tell whether that was anything."""
        said = till.speak()
        self.air += [] if said is None else [said]
        return said is not None

    def arrive(self, message: OnAir) -> None:
        """A message has come through."""
        till = message.till
        if message.marks is not None:
            till.upload.take(message.message_id, message.marks, till.now_s)
            return
        records = message.records
        assert records is not None
        brought = Brought(till.terminal_id, records.journal_id, records.first_seq, list(records.bodies))
        if self.spool.marks_of(records.journal_id) is None:  # its report says so when a session begins
            self.spool.safe_through(till.terminal_id, records.journal_id, till.journal.backed_up_through)
        (settled,) = self.spool.take([brought], self.clock.unix_ms())
        marks = settled.marks
        assert marks is not None
        taken = wire.RecordsTaken(
            journal_id=marks.journal_id,
            durable_through=marks.durable_through,
            backed_up_through=marks.backed_up_through,
        )
        self.air.append(OnAir(till, message.message_id, marks=taken))

    def restart_gateway(self) -> None:
        """The gateway begins anew with its spool; whatever was under way is lost, sessions begin again."""
        self.spool.close()
        self.spool = Spool(self._spool_path, SPOOL_RECORDS_MAX, self._luck.randbytes)
        self.air.clear()
        for till in self.tills:
            till.upload.begin()

    def send_to_node(self, most: int, *, answered: bool = True) -> bool:
        """Bring records from the spool to the node; tell whether there were any."""
        state = self.spool.state
        rows = self.spool.read(state.committed_through, most)
        if not rows:
            return False
        taken = self.canteen.intake.take_message(
            "canteen", state.spool_id, [Spooled(*row[:-1], bool(row.recollected)) for row in rows]
        )
        if answered:
            self.spool.taken(*taken.marks)
        return True

    def restart_node(self) -> None:
        """The bookkeeper knows nothing any more but what stands in the tables."""
        self.canteen.bookkeeper = self.canteen.new_bookkeeper(self.canteen.books)

    def come_to_rest(self) -> None:
        """Every card comes back to every till, and everything that waits arrives."""
        for _ in range(2):
            self.wait(QUIET_S)
            for till in self.tills:
                for card in self.cards.values():
                    till.touch(card, 0)
                    self.wait(QUIET_S)
        while any(list(self._moves())):
            pass
        self.canteen.work()

    def _moves(self) -> Iterator[bool]:
        self.wait(QUIET_S)
        for till in self.tills:
            yield self.speak(till)
        while self.air:
            self.arrive(self.air.pop(0))
            yield True
        yield self.send_to_node(256)
