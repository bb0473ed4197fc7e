"""Which records a terminal sends next, and what an acknowledgement makes of it. Pure but for the journal.

Oldest first, never more than 64 that are not acknowledged; how many messages are under way at once grows
with each answer and falls back to one when an answer stays out. While one is under way only full ones follow:
on a quiet line a record goes at once, on a busy one many share a message. Rules: docs/wire.md, "Records".
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from campus_node.lines.messages import RECORDS_MAX
from campus_node.terminal.journal import Entry, Journal
from campus_node.terminal.pacing import NEVER_S, Patience, Random
from campuscard.v1 import terminal_pb2 as wire

MESSAGE_BYTES: Final = 1000  # with its envelope one RS-485 segment; on CAN a terminal's turn stays short
RECORD_OVERHEAD_BYTES: Final = 3  # tag and length of one body
MESSAGE_OVERHEAD_BYTES: Final = 48  # the fields around the bodies
HELD_S_MIN: Final = 0.5
HELD_S_MAX: Final = 60.0


@dataclass(slots=True)
class Parcel:
    """Records in one message. `sent_at_s` is of the last time; a repeated one keeps its id."""

    message_id: int
    first_seq: int
    last_seq: int
    sent_at_s: float = 0.0
    repeated: bool = False

    @property
    def count(self) -> int:
        """How many records there are."""
        return self.last_seq - self.first_seq + 1


class Upload:
    """The journal on its way to the gateway.

    Args:
        journal: acknowledged here, and read; appended to by others.
        random_bytes: of the jitter.
        message_bytes: about how long a message may be; it has one record at least.
    """

    def __init__(self, journal: Journal, random_bytes: Random, message_bytes: int = MESSAGE_BYTES) -> None:
        self._journal = journal
        self._message_bytes = message_bytes
        self._patience = Patience(random_bytes)
        self._taken_through = journal.durable_through  # as the gateway said last; it may go back
        self._under_way: deque[Parcel] = deque()
        self._again: Parcel | None = None
        self._window = 1  # messages
        self._lost_s = NEVER_S
        self._held_s = -NEVER_S
        self._answered_id = 0
        self._small = (0, 0)  # what was looked at and fills no message
        self.sent_count = 0  # messages
        self.repeated_count = 0
        self.went_back_count = 0

    @property
    def under_way_count(self) -> int:
        """How many records are sent and not acknowledged."""
        return sum(parcel.count for parcel in self._under_way)

    @property
    def newest(self) -> Parcel | None:
        """The last parcel that was sent and is not acknowledged."""
        return self._under_way[-1] if self._under_way else None

    @property
    def waiting_count(self) -> int:
        """How many records are not acknowledged, sent or not."""
        return self._journal.last_seq - self._taken_through

    def begin(self) -> None:
        """A session began: what was not acknowledged goes again at once; the gateway may have restarted."""
        self._fall_back()
        self._patience.reset()
        self._held_s = -NEVER_S
        self._answered_id = 0

    def due_s(self, now_s: float) -> float:
        """Return when there is something to do: now, if a message can go."""
        if now_s < self._held_s:
            return self._held_s
        return now_s if self._worth_sending() else self._lost_s

    def next_parcel(self, now_s: float, message_id: int) -> tuple[Parcel, wire.FromTerminal] | None:
        """Return what ought to be sent now, None if nothing; call `sent` when the line has taken it.

        Args:
            message_id: for it, unless it is a repeat.

        Raises:
            JournalUnwritable: the storage failed.
        """
        if now_s >= self._lost_s:
            self._patience.lost()
            self._fall_back()
        if now_s < self._held_s or not self._worth_sending():
            return None
        again = self._again
        most = again.count if again else self._room()
        entries = fitting(islice(self._journal.entries(self._sent_through() + 1), most), self._message_bytes)
        if not entries:
            return None
        parcel = Parcel(message_id, entries[0].seq, entries[-1].seq)
        if again and (again.first_seq, again.last_seq) == (parcel.first_seq, parcel.last_seq):
            parcel.message_id, parcel.repeated = again.message_id, True
        return parcel, records_message(parcel.message_id, self._journal, entries, recollected=False)

    def sent(self, parcel: Parcel, now_s: float) -> None:
        """Note that the line has taken a parcel."""
        parcel.sent_at_s = now_s
        self.sent_count += 1
        self.repeated_count += parcel.repeated
        self._again = None
        self._under_way.append(parcel)
        if self._lost_s == NEVER_S:
            self._lost_s = self._patience.due_s(now_s)

    def take(self, answers: int, taken: wire.RecordsTaken, now_s: float) -> None:
        """Take an acknowledgement of this journal.

        Args:
            answers: the id of the message that it answers, 0 = none.

        Raises:
            Unreadable: it acknowledges what the journal never gave out; nothing changed.
            JournalUnwritable: the storage failed.
        """
        self._journal.acknowledge(taken.durable_through, taken.backed_up_through)
        if taken.durable_through < self._taken_through:
            self._go_back(answers, taken.durable_through, now_s)
            return
        self._answered_id = max(self._answered_id, answers)
        progress = taken.durable_through > self._taken_through
        self._taken_through = taken.durable_through
        while self._under_way and self._under_way[0].last_seq <= taken.durable_through:
            self._arrived(self._under_way.popleft(), now_s)
        if not self._under_way:
            self._lost_s = NEVER_S
        elif progress:
            self._lost_s = self._patience.due_s(now_s)

    def hold(self, answers: int, retry_after_ms: int, now_s: float) -> bool:
        """The gateway cannot take records now: send again later. Return whether it answers one of ours."""
        if all(parcel.message_id != answers for parcel in self._under_way):
            return False
        self._fall_back()
        self._held_s = now_s + min(max(retry_after_ms / 1000, HELD_S_MIN), HELD_S_MAX)
        return True

    def _go_back(self, answers: int, durable_through: int, now_s: float) -> None:
        """The gateway has less than it had: it was restored. Send again what is above, after a while.

        Not at once: a gateway whose mark cannot move would get the same records for ever.
        """
        if answers and answers < self._answered_id:
            return  # older than what was answered already: it was overtaken on its way
        self.went_back_count += 1
        self._taken_through = durable_through
        self._fall_back()
        self._again = None
        self._held_s = self._patience.due_s(now_s)
        self._patience.lost()

    def _arrived(self, parcel: Parcel, now_s: float) -> None:
        if not parcel.repeated:  # which of two copies was answered is not known
            self._patience.answered(now_s - parcel.sent_at_s)
            self._window = min(self._window + 1, RECORDS_MAX)

    def _fall_back(self) -> None:
        if self._under_way:
            self._again = self._under_way[0]
        self._under_way.clear()
        self._window = 1
        self._lost_s = NEVER_S

    def _worth_sending(self) -> bool:
        """Tell whether there is something to send: anything if nothing is under way, else a full message."""
        first, last = self._sent_through() + 1, self._journal.last_seq
        if last < first or len(self._under_way) >= self._window:
            return False
        if not self._under_way:
            return True
        if self._small == (first, last):
            return False  # looked at already
        room = self._room()
        entries = fitting(islice(self._journal.entries(first), room), self._message_bytes)
        if len(entries) < room and entries[-1].seq < last:
            return True
        self._small = first, last
        return False

    def _room(self) -> int:
        return RECORDS_MAX - self.under_way_count

    def _sent_through(self) -> int:
        return max(self._under_way[-1].last_seq if self._under_way else 0, self._taken_through)


class Recollection:
    """Records that the campus wants once more: one message at a time, until each is acknowledged.

    Args: as of `Upload`.
    """

    def __init__(self, journal: Journal, random_bytes: Random, message_bytes: int = MESSAGE_BYTES) -> None:
        self._journal = journal
        self._message_bytes = message_bytes
        self._patience = Patience(random_bytes)
        self._asked: tuple[int, int] | None = None
        self._under_way: Parcel | None = None
        self._due_s = -NEVER_S

    def wanted(self, first_seq: int, through_seq: int) -> None:
        """Note durably that these are wanted. The same question again, while it is served, changes nothing.

        Raises:
            Unreadable: it is no range.
            JournalUnwritable: the storage failed.
        """
        if (first_seq, through_seq) == self._asked and self._journal.to_recollect(1):
            return
        self._journal.recollect(first_seq, through_seq)
        self._asked = first_seq, through_seq
        self.begin()

    def begin(self) -> None:
        """A session began, or another range is wanted."""
        self._under_way = None
        self._patience.reset()
        self._due_s = -NEVER_S

    def due_s(self, now_s: float) -> float:
        """Return when there is something to do."""
        if self._under_way is None and not self._journal.to_recollect(1):
            return NEVER_S
        return max(self._due_s, now_s)

    def next_parcel(self, now_s: float, message_id: int) -> tuple[Parcel, wire.FromTerminal] | None:
        """See `Upload.next_parcel`."""
        if now_s < self._due_s:
            return None
        entries = fitting(self._journal.to_recollect(RECORDS_MAX), self._message_bytes)
        if not entries:
            return None
        parcel = Parcel(message_id, entries[0].seq, entries[-1].seq)
        if self._under_way and self._under_way.first_seq == parcel.first_seq:
            parcel.message_id, parcel.repeated = self._under_way.message_id, True
        return parcel, records_message(parcel.message_id, self._journal, entries, recollected=True)

    def sent(self, parcel: Parcel, now_s: float) -> None:
        """See `Upload.sent`."""
        if parcel.repeated:
            self._patience.lost()
        self._under_way = parcel
        self._due_s = self._patience.due_s(now_s)

    def take(self, answers: int) -> None:
        """Take an acknowledgement that answers this message. Raise JournalUnwritable."""
        parcel = self._under_way
        if parcel is None or answers != parcel.message_id:
            return
        self._journal.recollected(parcel.last_seq)
        self.begin()


def fitting(entries: Iterable[Entry], message_bytes: int) -> list[Entry]:
    """Return as many of the entries as a message of this length takes, one at least."""
    room_bytes = message_bytes - MESSAGE_OVERHEAD_BYTES
    found: list[Entry] = []
    for entry in entries:
        room_bytes -= len(entry.body or b"") + RECORD_OVERHEAD_BYTES
        if found and room_bytes < 0:
            break
        found.append(entry)
    return found


def records_message(
    message_id: int, journal: Journal, entries: list[Entry], *, recollected: bool
) -> wire.FromTerminal:
    """Return a message with these entries; a torn one stands as an empty body."""
    records = wire.Records(
        journal_id=journal.journal_id,
        first_seq=entries[0].seq,
        bodies=[entry.body or b"" for entry in entries],
        recollected=recollected,
        last_seq=journal.last_seq,
    )
    return wire.FromTerminal(message_id=message_id, records=records)
