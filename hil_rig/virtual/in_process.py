"""A reader in this process, for a card or a PSAM in software: no system service, and torn wherever one wants.

The hand at the reader (insert, remove, swap, unplug, tears) and the terminal's side (wait, channel) may be in
different threads; one channel belongs to one thread, as with any reader.
"""

import threading
from collections import deque
from collections.abc import Callable

from campus_node.purse.channel import CardChannel
from campus_node.purse.errors import CardLeft, ReaderLost
from campus_node.wording import Sentence
from federation.clock import Clock
from hil_rig.faults import What
from hil_rig.virtual.device import NOTHING, Device, Outcome, answer, cold_reset
from hil_rig.virtual.tears import Tears


class VirtualReader:
    """A reader whose card is an object of this process. It implements `Reader`.

    Args:
        device: what lies on it from the start; None = it is empty.
        name: for people.
        clock: None = waiting takes real time, and another thread is the hand that brings the card. With a
            clock one thread plays both sides: waiting moves it, and only `insert_when_awaited` brings a card.
    """

    def __init__(
        self, device: Device | None = None, name: str = "virtual reader", clock: Clock | None = None
    ) -> None:
        self.name = name
        self.tears = Tears(name)
        self._clock = clock
        self._changed = threading.Condition(threading.RLock())
        self._device: Device | None = None
        self._plugged = True
        self._sitting = 0  # goes up whenever a card is laid on the reader or leaves it
        self._channel: VirtualChannel | None = None
        self._arrivals: deque[Device | None] = deque()
        if device is not None:
            self.insert(device)

    # The hand at the reader.

    def insert(self, device: Device) -> None:
        """Lay a card on the empty reader."""
        with self._changed:
            assert self._device is None, "a card lies there; remove it first, or swap"
            self._lay(device)

    def remove(self) -> None:
        """Take the card away; nothing happens on an empty reader."""
        with self._changed:
            self._take_away()

    def swap(self, device: Device) -> None:
        """Exchange the cards faster than a reader looks: an open channel leads to the new one, reset."""
        with self._changed:
            assert self._device is not None, "the reader is empty"
            self._device.power_off()
            self._device = device
            device.power_on()

    def unplug(self) -> None:
        """Pull the reader's plug; the card stays where it is, without power."""
        with self._changed:
            self._plugged = False
            self._leave()
            if self._device is not None:
                self._device.power_off()

    def plug_in(self) -> None:
        """Put the plug back."""
        with self._changed:
            self._plugged = True
            self._changed.notify_all()

    def insert_when_awaited(self, device: Device | None) -> None:
        """Have the holder bring this card when the terminal next waits for one; None = nobody comes then.

        May be called repeatedly: each wait on an empty reader takes one.
        """
        with self._changed:
            self._arrivals.append(device)

    def tear_before_command(self, nth: int = 1) -> None:
        """Have the card leave just before the nth command from now reaches it."""
        self.tears.plan(What.CARD_LEFT_BEFORE, nth)

    def tear_after_command(self, nth: int = 1) -> None:
        """Have the card leave when it has done the nth command from now and not yet answered."""
        self.tears.plan(What.CARD_LEFT_AFTER, nth)

    def tear_in_answer(self, sent_bytes: int, nth: int = 1) -> None:
        """Have the card leave when sent_bytes of its answer to the nth command from now are out.

        With as many bytes as the answer has, or more, the answer counts and the card is gone afterwards.
        """
        self.tears.plan(What.CARD_LEFT_WITHIN, nth, sent_bytes)

    def wait_until_found(self, timeout_s: float) -> bool:  # noqa: ARG002 - it needs no time
        """Tell whether the reader has found the card that was laid there last: at once, if it is there."""
        return self._plugged and self.occupied

    @property
    def occupied(self) -> bool:
        """Whether a card lies there."""
        return self._device is not None

    # The terminal's side.

    def channel(self) -> CardChannel:
        """Return a channel to the card that lies there, reset. Raise CardLeft, ReaderLost."""
        with self._changed:
            self._demand_card()
            return self._open()

    def wait_for_card(self, timeout_s: float) -> CardChannel | None:
        """Return a channel to the card that lies there or comes, reset; None after timeout_s.

        A channel that was handed out before loses the card. Raise ReaderLost.
        """
        with self._changed:
            if self._plugged and self._device is None and self._arrivals:
                arrival = self._arrivals.popleft()
                if arrival is not None:
                    self._lay(arrival)
            self._wait(lambda: not self._plugged or self._device is not None, timeout_s)
            self._demand_reader()
            return None if self._device is None else self._open()

    def wait_for_removal(self, timeout_s: float) -> bool:
        """Tell whether the reader is empty, at once or within timeout_s. Raise ReaderLost."""
        with self._changed:
            self._wait(lambda: not self._plugged or self._device is None, timeout_s)
            self._demand_reader()
            return self._device is None

    def wait_for_reader(self, timeout_s: float) -> bool:
        """Tell whether the reader is plugged in, at once or within timeout_s."""
        with self._changed:
            return self._wait(lambda: self._plugged, timeout_s)

    # For its channels.

    def power(self) -> tuple[int, bytes]:
        """Reset the card cold; return its sitting and its answer to reset. Raise CardLeft, ReaderLost."""
        with self._changed:
            atr = cold_reset(self._demand_card())
            return self._sitting, atr

    def exchange(self, sitting: int, command: bytes) -> Outcome:
        """Have the card answer if it is the one of this sitting; tears fall here. Raise ReaderLost."""
        with self._changed:
            self._demand_reader()
            if self._device is None or sitting != self._sitting:
                return NOTHING
            outcome = answer(self._device, command, self.tears)
            if outcome.gone:
                self._take_away()
            return outcome

    def let_go(self, sitting: int) -> None:
        """Take the power away if the card is still the one of this sitting."""
        with self._changed:
            if self._device is not None and self._plugged and sitting == self._sitting:
                self._device.power_off()

    def _lay(self, device: Device) -> None:
        self._device = device
        self._leave()

    def _take_away(self) -> None:
        if self._device is not None:
            self._device.power_off()
            self._device = None
            self._leave()

    def _leave(self) -> None:
        self._sitting += 1
        self._changed.notify_all()

    def _open(self) -> "VirtualChannel":
        if self._channel is not None:
            self._channel.close()
        self._channel = VirtualChannel(self)
        self._channel.power_on()
        return self._channel

    def _wait(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        if self._clock is None:
            return self._changed.wait_for(ready, timeout_s)
        if not ready():
            self._clock.sleep(timeout_s)
        return ready()

    def _demand_reader(self) -> None:
        if not self._plugged:
            raise ReaderLost(Sentence("{reader}: the reader is not there", reader=self.name))

    def _demand_card(self) -> Device:
        self._demand_reader()
        if self._device is None:
            raise CardLeft(Sentence("{reader}: no card lies there", reader=self.name))
        return self._device


class VirtualChannel:
    """A channel to the card on a `VirtualReader`. It implements `CardChannel`."""

    def __init__(self, reader: VirtualReader) -> None:
        self._reader = reader
        self._sitting: int | None = None  # None: closed, or the card has left

    @property
    def reader(self) -> str:
        return self._reader.name

    def power_on(self) -> bytes:
        """Reset what lies there now, cold, and return its answer to reset. Raise CardLeft, ReaderLost."""
        self._sitting, atr = self._reader.power()
        return atr

    def reset(self) -> bytes:
        """Reset the card; a card in software knows no difference between warm and cold."""
        return self.power_on()

    def transmit(self, command: bytes) -> bytes:
        """Send a command and return the whole answer; one that was cut short never counts.

        Raises:
            CardLeft: it has left; stays so until power_on or reset.
            ReaderLost: the reader was unplugged.
        """
        if self._sitting is None:
            raise self._card_left()
        outcome = self._reader.exchange(self._sitting, command)
        if not outcome.whole or len(outcome.sent) < 2:
            self._sitting = None
            raise self._card_left()
        return outcome.sent

    def close(self) -> None:
        """Let the card go: it loses its power."""
        if self._sitting is not None:
            self._reader.let_go(self._sitting)
            self._sitting = None

    def _card_left(self) -> CardLeft:
        return CardLeft(Sentence("{reader}: the card left", reader=self.reader))
