"""Messages on a thin link, by selective repetition: what one end sends to a peer and hears from it. Pure.

Of each class one message to a peer is under way. Its cells go one behind the other; the peer answers when the
last one that it waits for is there, and what it lacks is sent again. Where no answer comes, one cell that is
not known to be there is sent again, later each time.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from campus_node.lines.thin.cells import NUMBERS, PART_BYTES, Cell, Kind, cut, missing, parts_of, received

ANSWER_S_FIRST: Final = 0.6  # how long an answer may take before one was measured
ANSWER_S_MIN: Final = 0.25
ANSWER_S_MAX: Final = 4.0
JITTER: Final = 0.25
ATTEMPTS: Final = 10
ATTEMPTS_SILENT: Final = 2  # to a peer that was not heard since it was given up
DONE_KEPT: Final = 256
LATE_NUMBERS: Final = 64  # so far behind, a message is one that was given up
FORGOTTEN_AFTER_S: Final = 10.0  # of silence: then any number begins anew
NEVER_S: Final = float("inf")


class Patience:
    """How long a peer's answers take, smoothed as TCP does (RFC 6298)."""

    def __init__(self) -> None:
        self._mean_s: float | None = None
        self._spread_s = 0.0

    @property
    def answer_s(self) -> float:
        """How long to wait for an answer."""
        if self._mean_s is None:
            return ANSWER_S_FIRST
        return min(max(self._mean_s + 4 * self._spread_s, ANSWER_S_MIN), ANSWER_S_MAX)

    def took(self, seconds: float) -> None:
        """Note how long an answer took that was surely to what was sent last."""
        if self._mean_s is None:
            self._mean_s, self._spread_s = seconds, seconds / 2
            return
        self._spread_s += (abs(self._mean_s - seconds) - self._spread_s) / 4
        self._mean_s += (seconds - self._mean_s) / 8


class Outgoing:
    """What one end sends to a peer in one class.

    Args:
        urgent: which class.
        number: gives the next message's number.
        chance: gives 0.0 to 1.0, for jitter.
    """

    def __init__(self, urgent: bool, number: Callable[[], int], chance: Callable[[], float]) -> None:
        self.waiting: deque[bytes] = deque()
        self.failed_count = 0  # messages that were given up
        self.attempts = ATTEMPTS
        self._urgent = urgent
        self._number = number
        self._chance = chance
        self._patience = Patience()
        self._cells: list[Cell] = []
        self._lacks: list[int] = []  # at the peer, as far as is known, ascending
        self._to_send: deque[int] = deque()
        self._tries = 0
        self._sent_s = 0.0
        self._due_s = NEVER_S

    @property
    def idle(self) -> bool:
        """Whether nothing is under way and nothing waits."""
        return not self._cells and not self.waiting

    @property
    def due_s(self) -> float:
        """When `step` wants to be called."""
        return self._due_s

    def next_cell(self) -> Cell | None:
        """Return what is to be sent next; None while an answer is waited for, or there is nothing."""
        if not self._cells and self.waiting:
            self._cells = cut(Kind.PART, self._urgent, self._number(), self.waiting.popleft())
            self._lacks = list(range(len(self._cells)))
            self._to_send.extend(self._lacks)
            self._tries = 0
        return self._cells[self._to_send[0]] if self._to_send else None

    def handed_over(self, now_s: float) -> None:
        """Note that the radio took `next_cell`."""
        self._to_send.popleft()
        if not self._to_send:
            wait_s = min(self._patience.answer_s * 2**self._tries, ANSWER_S_MAX)
            self._sent_s = now_s
            self._due_s = now_s + wait_s * (1 + JITTER * (2 * self._chance() - 1))

    def take(self, answer: Cell, now_s: float) -> None:
        """Take a RECEIVED of this class."""
        if not self._cells or (answer.message, answer.length) != (
            self._cells[0].message,
            self._cells[0].length,
        ):
            return  # to a message that is over
        lacks = set(missing(answer))
        self._lacks = [number for number in self._lacks if number in lacks]
        if not self._lacks:
            self._measure(now_s)
            self._end()
        elif self._to_send:  # an answer to what was sent earlier: what it lacks may be on its way
            self._to_send = deque(number for number in self._to_send if number in lacks)
            if not self._to_send:
                self._to_send.extend(self._lacks)
        else:
            self._measure(now_s)
            self._tries, self._due_s = 0, NEVER_S
            self._to_send.extend(self._lacks)

    def step(self, now_s: float) -> None:
        """Send a cell again where the answer is overdue, or give the message up."""
        if now_s < self._due_s:
            return
        self._due_s = NEVER_S
        self._tries += 1
        if self._tries >= self.attempts:
            self.give_up()
        else:
            self._to_send.append(self._lacks[-1])

    def give_up(self) -> None:
        """Let go of what is under way and of what waits."""
        self.failed_count += len(self.waiting) + bool(self._cells)
        self.waiting.clear()
        self._end()

    def _measure(self, now_s: float) -> None:
        if not self._tries and self._due_s != NEVER_S:
            self._patience.took(now_s - self._sent_s)

    def _end(self) -> None:
        self._cells, self._lacks, self._due_s = [], [], NEVER_S
        self._to_send.clear()


class Taken(NamedTuple):
    """What became of a cell: a whole message, an answer to be sent, both or neither."""

    message: bytes | None = None
    answer: Cell | None = None


class Incoming:
    """What one end hears from a peer in one class: each message once, in the order of their numbers."""

    def __init__(self) -> None:
        self.late_count = 0
        self._done: deque[tuple[int, int]] = deque(maxlen=DONE_KEPT)
        self._number = -1  # of the message that is put together, or the last one
        self._length = 0
        self._parts: dict[int, bytes] | None = None
        self._answer_at = 0  # the last cell that is waited for
        self._heard_s = -FORGOTTEN_AFTER_S

    def take(self, cell: Cell, now_s: float) -> Taken:
        """Take a DATA or NOTICE cell."""
        if (cell.message, cell.length) in self._done:
            return Taken(answer=self._all_of(cell))
        if self._parts is None or (cell.message, cell.length) != (self._number, self._length):
            if self._is_late(cell, now_s):
                self.late_count += 1
                return Taken()
            self._number, self._length, self._parts = cell.message, cell.length, {}
            self._answer_at = parts_of(cell.length) - 1
        self._heard_s = now_s
        at = cell.offset // PART_BYTES
        again = at in self._parts
        self._parts[at] = cell.part
        if len(self._parts) == parts_of(cell.length):
            whole = b"".join(self._parts[number] for number in range(len(self._parts)))
            self._parts = None
            self._done.append((cell.message, cell.length))
            return Taken(whole, self._all_of(cell))
        if not again and at != self._answer_at:
            return Taken()
        answer = received(cell.urgent, cell.message, cell.length, self._parts)
        self._answer_at = missing(answer)[-1]
        return Taken(answer=answer)

    def _is_late(self, cell: Cell, now_s: float) -> bool:
        behind = (self._number - cell.message) % NUMBERS
        recent = self._number >= 0 and now_s - self._heard_s < FORGOTTEN_AFTER_S
        return recent and behind <= LATE_NUMBERS

    @staticmethod
    def _all_of(cell: Cell) -> Cell:
        return received(cell.urgent, cell.message, cell.length, range(parts_of(cell.length)))
