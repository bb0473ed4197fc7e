"""The movements in a terminal's journal: what may follow what, and which of them still have no known end."""

from dataclasses import dataclass, replace
from typing import Final

from campus_node.purse.journal_entries import NEXT, Movement, State, decode, encode
from campus_node.terminal.journal import Journal, JournalFull
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import Refused, Unreadable

ENTRIES_MAX: Final = 4  # of one movement: asked, sent, grey while the card is awaited, and how it ended


class Unsettled(Refused):
    """This card has a movement at this terminal whose outcome is not known: recover that first.

    A new one could replace the card's proof of the old one.
    """


@dataclass(frozen=True, slots=True)
class Recorded:
    """A movement and the number of the journal entry that says so."""

    seq: int
    movement: Movement

    @property
    def opened_seq(self) -> int:
        """The number of the movement's first entry."""
        return self.movement.opened_seq or self.seq


class MovementLog:
    """Writes movements into a journal and remembers those that are not settled.

    Args:
        journal: an open journal; all of it is read once.
        clock: gives the entries their time.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self.journal = journal
        self.clock = clock
        self.unreadable: list[int] = []  # entries that say they are movements and are none: for an alarm
        self._open: dict[int, Recorded] = {}
        for entry in journal.entries():
            if entry.body is None:
                continue
            try:
                movement = decode(entry.body)
            except Unreadable:
                self.unreadable.append(entry.seq)
                continue
            if movement is not None:
                self._remember(Recorded(entry.seq, movement))

    def begin(self, movement: Movement) -> Recorded:
        """Write a movement's first entry; it is durable on return, and money may move then.

        Raises:
            JournalFull: there is no room for all that may follow it. Sell nothing.
            JournalUnwritable: the storage failed. Do not go on.
        """
        assert movement.state in NEXT[None], f"{movement.state.name} is no beginning"
        unsettled = len(self.unsettled())
        if self.journal.free < ENTRIES_MAX * (1 + unsettled):
            raise JournalFull(Sentence("the terminal's journal is full: nothing can be sold"))
        return self._write(movement, 0)

    def advance(self, recorded: Recorded, movement: Movement) -> Recorded:
        """Write how far a movement is now, and what has become known of it; durable on return.

        A grey one that awaits its card is not written again for another reason: that would fill the journal
        and tell the issuer nothing.

        Raises:
            JournalFull, JournalUnwritable: open the journal again and recover; it may be written or not.
        """
        before = recorded.movement
        assert movement.state in NEXT[before.state], f"{before.state.name}, then {movement.state.name}"
        if before.state is State.GREY is movement.state:
            after = replace(
                movement, opened_seq=recorded.opened_seq, recorded_at_unix_ms=before.recorded_at_unix_ms
            )
            if after.awaits_card or after == before:
                return recorded
        return self._write(movement, recorded.opened_seq)

    def unsettled(self, asn: bytes | None = None) -> list[Recorded]:
        """Return the movements without a known end, oldest first: all, or those of one card.

        One whose entries the ring has overwritten is forgotten: its campus has it.
        """
        gone = self.journal.last_seq - self.journal.capacity
        for opened_seq in [key for key, recorded in self._open.items() if recorded.seq <= gone]:
            del self._open[opened_seq]
        return [recorded for recorded in self._open.values() if asn in {None, recorded.movement.asn}]

    def newest(self, recorded: Recorded) -> Recorded:
        """Return the newest entry about a movement."""
        if (found := self._open.get(recorded.opened_seq)) is not None:
            return found
        newest = recorded
        for entry in self.journal.entries(recorded.seq + 1):
            movement = decode(entry.body) if entry.body is not None else None
            if movement is not None and movement.opened_seq == recorded.opened_seq:
                newest = Recorded(entry.seq, movement)
        return newest

    def awaiting(self, asn: bytes) -> list[Recorded]:
        """Return those of one card that the card itself may still decide."""
        return [recorded for recorded in self.unsettled(asn) if recorded.movement.awaits_card]

    def demand_settled(self, asn: bytes, *, online: bool) -> None:
        """Raise Unsettled if this card must be recovered before it may do something new.

        A load or unload in doubt holds up loads and unloads; a purchase touches neither its proof nor its
        counter, so the holder of such a card can still eat. A purchase in doubt holds up everything.

        Args:
            online: a load or unload is to be begun.
        """
        if any(online or not recorded.movement.online for recorded in self.awaiting(asn)):
            raise Unsettled(
                Sentence("the outcome of an earlier transaction of this card is unknown: recover it first")
            )

    def _write(self, movement: Movement, opened_seq: int) -> Recorded:
        stamped = replace(movement, opened_seq=opened_seq, recorded_at_unix_ms=self.clock.unix_ms())
        recorded = Recorded(self.journal.append(encode(stamped)), stamped)
        self._remember(recorded)
        return recorded

    def _remember(self, recorded: Recorded) -> None:
        if recorded.movement.settled:
            self._open.pop(recorded.opened_seq, None)
        else:
            self._open[recorded.opened_seq] = recorded
