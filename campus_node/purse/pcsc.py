"""Cards in the readers of the system's PC/SC service: any reader that it has a driver for.

A removal shows itself in four ways, depending on what the service has noticed by then; each becomes CardLeft:

- the service has not looked yet: the transmission fails;
- it has looked: every call says that the card was removed;
- the card leaves while it works: the transmission succeeds and brings no bytes;
- the card comes back, or another one does, before the service looks: it would go on as if nothing had been. A
  channel that has once lost its card therefore stays without until `power_on` or `reset`. An exchange between
  two commands shows nowhere but in the card's serial number: whoever has waited for a person compares it.
"""

from collections.abc import Sequence
from typing import Final

from campus_node.purse.channel import CardChannel
from campus_node.purse.errors import CardLeft, ReaderLost
from campus_node.purse.pcsc_service import PRESENT, RESET, UNAWARE, UNPOWER, Busy, Card, Service, reader_away
from campus_node.wording import Sentence
from federation.clock import Clock, SystemClock

SLICE_S: Final = 0.5  # a wait comes back to Python this often, so that Ctrl-C is heard
LOOKS: Final = 6  # how often a channel that lost its card looks for one that is back already
LOOK_S: Final = 0.1  # between two of these looks; pcscd itself looks every 0.4 s


def readers() -> Sequence[str]:
    """Return the names of the readers that the PC/SC service knows, in its order.

    Raises:
        Misconfigured: pyscard is not installed.
        ReaderLost: no service answers.
    """
    service = Service()
    try:
        return service.readers()
    finally:
        service.close()


def wait_for_readers(known: Sequence[str], timeout_s: float, clock: Clock | None = None) -> Sequence[str]:
    """Return the names of the readers once they differ from the known ones, or after timeout_s.

    Raises:
        Misconfigured: pyscard is not installed.
        ReaderLost: no service answers.
    """
    clock = clock or SystemClock()
    deadline_s = clock.monotonic_s() + timeout_s
    service = Service()
    try:
        while set(found := service.readers()) == set(known):
            left_s = deadline_s - clock.monotonic_s()
            if left_s <= 0:
                break
            service.wait_for_plug(min(left_s, SLICE_S))
        return found
    finally:
        service.close()


class PcscReader:
    """One reader by its name. It implements `Reader`, and belongs to one thread.

    The reader need not be there yet, and may come and go: every call says ReaderLost while it is away.

    Args:
        name: as `readers` lists it.

    Raises:
        Misconfigured: pyscard is not installed.
    """

    def __init__(self, name: str, clock: Clock | None = None) -> None:
        self.name = name
        self._clock = clock or SystemClock()
        self._service = Service()
        self._channel: PcscChannel | None = None

    def wait_for_card(self, timeout_s: float) -> CardChannel | None:
        """Return a channel to the card that lies there or comes, reset; None after timeout_s.

        A channel that was handed out before loses the card.

        Raises:
            ReaderLost: the reader is not there, or another program holds the card and keeps it.
        """
        self._let_go()
        deadline_s = self._clock.monotonic_s() + timeout_s
        state = self._look()
        while True:
            busy = None
            if state & PRESENT:  # mute or not: it may have been another one that was mute
                channel = PcscChannel(self.name)
                try:
                    channel.power_on()
                except CardLeft:
                    channel.close()  # gone again, or not ready: the next one
                except Busy as error:
                    channel.close()
                    busy = error
                else:
                    self._channel = channel
                    return channel
            left_s = deadline_s - self._clock.monotonic_s()
            if left_s <= 0 and busy is not None:
                raise busy
            if left_s <= 0:
                return None
            state = self._service.reader_state(self.name, state, min(left_s, SLICE_S))

    def wait_for_removal(self, timeout_s: float) -> bool:
        """Tell whether the reader is empty, at once or within timeout_s. Raise ReaderLost."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        state = self._look()
        while state & PRESENT:
            left_s = deadline_s - self._clock.monotonic_s()
            if left_s <= 0:
                return False
            state = self._service.reader_state(self.name, state, min(left_s, SLICE_S))
        return True

    def wait_for_reader(self, timeout_s: float) -> bool:
        """Tell whether the reader is there, at once or within timeout_s; the service may start meanwhile."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        while True:
            left_s = deadline_s - self._clock.monotonic_s()
            try:
                if self.name in self._service.readers():
                    return True
                if left_s > 0:
                    self._service.wait_for_plug(min(left_s, SLICE_S))
            except ReaderLost:  # no service: it cannot tell us when it comes
                self._clock.sleep(max(0.0, min(left_s, SLICE_S)))
            if left_s <= 0:
                return False

    def close(self) -> None:
        """Let the card and the service go. May be called twice."""
        self._let_go()
        self._service.close()

    def _look(self) -> int:
        """Return the reader's state now; a service that was started anew since the last call is found."""
        try:
            return self._service.reader_state(self.name, UNAWARE, 0)
        except ReaderLost:
            self._service.close()
            return self._service.reader_state(self.name, UNAWARE, 0)

    def _let_go(self) -> None:
        if self._channel is not None:
            self._channel.close()  # and stay in mind: somebody may power it on again


class PcscChannel:
    """A channel to the card in a PC/SC reader, held for us alone. It implements `CardChannel`.

    It leads nowhere before the first `power_on`. Once it has lost its card, `power_on` and `reset` give the
    service LOOKS × LOOK_S to notice one that is back already.
    """

    def __init__(self, reader: str) -> None:
        self._reader = reader
        self._service = Service()
        self._card: Card | None = None  # powered on by us and still there, as far as anybody knows
        self._lost = False  # a card left; one that is back already may not have been noticed yet

    @property
    def reader(self) -> str:
        return self._reader

    def power_on(self) -> bytes:
        """Reset what lies there now, cold, and return its answer to reset. Raise CardLeft, ReaderLost."""
        return self._start(UNPOWER)

    def reset(self) -> bytes:
        """Reset what lies there now, warm, and return its answer to reset. Raise CardLeft, ReaderLost."""
        return self._start(RESET)

    def transmit(self, command: bytes) -> bytes:
        """Send a command and return the answer, at least 2 bytes.

        Raises:
            CardLeft: it has left; stays so until power_on or reset.
            ReaderLost: the reader broke; the card may or may not have acted.
        """
        if self._card is None:
            raise CardLeft(Sentence("{reader}: the card left", reader=self._reader))
        try:
            return self._service.transmit(self._reader, self._card, command)
        except CardLeft:
            self._lose_card()
            raise
        except ReaderLost:
            self.close()
            raise

    def close(self) -> None:
        """Let the card go: it loses its power. May be called twice."""
        if self._card is not None:
            self._service.disconnect(self._card)
            self._card = None
        self._service.close()

    def _start(self, what: int) -> bytes:
        for _ in range(LOOKS if self._lost else 0):
            try:
                return self._start_now(what)
            except CardLeft:
                state = self._service.reader_state(self._reader, UNAWARE, 0)
                self._service.reader_state(self._reader, state, LOOK_S)
        return self._start_now(what)

    def _start_now(self, what: int) -> bytes:
        try:
            if self._card is None:
                self._card = self._service.connect(self._reader)
            self._card = self._service.reconnect(self._reader, self._card, what)
            atr = self._service.atr(self._reader, self._card)
        except CardLeft:
            self._lose_card()
            raise
        except ReaderLost:
            self.close()
            raise
        self._lost = False
        return atr

    def _lose_card(self) -> None:
        """Forget the card that left, and raise ReaderLost if it is the reader that has left.

        The service could be asked to power the old connection on again. But then it believes for ever that a
        card lies there, if that one leaves before the service looks.
        """
        self._lost = True
        if self._card is not None:
            self._service.disconnect(self._card)
            self._card = None
        if self._reader not in self._service.readers():
            self.close()
            raise reader_away(self._reader)
