"""One context of the system's PC/SC service, by pyscard: its calls, with our errors instead of its codes.

pyscard is an extra (`campuscard[pcsc]`) and is imported when a context is first asked for.
"""

import weakref
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

from campus_node.purse.errors import CardLeft, ReaderLost
from campus_node.wording import Sentence
from federation.errors import Misconfigured

PRESENT: Final = 0x0020  # bits of a reader's state
UNKNOWN: Final = 0x0004
UNAVAILABLE: Final = 0x0008
CHANGED: Final = 0x0002
UNAWARE: Final = 0x0000

RESET: Final = 1  # what SCardReconnect and SCardDisconnect do to the card
UNPOWER: Final = 2
_LEAVE: Final = 0

_OK: Final = 0
_TIMEOUT: Final = 0x8010000A
_NO_READERS: Final = 0x8010002E
_NO_SERVICE: Final = frozenset({0x8010001D, 0x8010001E})  # none answers, or it was stopped
_AWAY: Final = frozenset({0x80100009, 0x80100017})  # no such reader, or not any more
_SHARING_VIOLATION: Final = 0x8010000B
_LEFT: Final = frozenset(
    {
        0x80100016,  # SCARD_E_NOT_TRANSACTED: gone, and the service has not looked yet
        0x80100069,  # SCARD_W_REMOVED_CARD: the service has looked
        0x80100068,  # SCARD_W_RESET_CARD: somebody else has reset it
        0x80100067,  # SCARD_W_UNPOWERED_CARD
        0x80100066,  # SCARD_W_UNRESPONSIVE_CARD
        0x8010000C,  # SCARD_E_NO_SMARTCARD
        0x8010000F,  # SCARD_E_PROTO_MISMATCH: what lies there speaks neither T=0 nor T=1
        0x8010002F,  # SCARD_E_COMM_DATA_LOST
    }
)
_SUCCESS: Final = b"\x90\x00"
_ASK_FOR_ATR: Final = 0x0303  # the driver's tag for the answer to reset; vpcd asks the card for it
_EXCLUSIVE: Final = 1  # between INIT and DEBIT nobody else may speak to the card
_T0_OR_T1: Final = 3
_SYSTEM_SCOPE: Final = 2
_PLUG_AND_PLAY: Final = "\\\\?PnP?\\Notification"  # the reader whose state is the list of readers


class Card(NamedTuple):
    """A connected card.

    Args:
        handle: of the service.
        protocol: 1 = T=0, 2 = T=1.
    """

    handle: int
    protocol: int


class Busy(ReaderLost):
    """Another program holds the card."""


class Service:
    """A context of the PC/SC service, made when it is needed and again after it broke; one thread at a time.

    Raises:
        Misconfigured: pyscard is not installed.
    """

    def __init__(self) -> None:
        self._scard = _pyscard()
        self._context: int | None = None
        self._release: weakref.finalize[..., Any] | None = None

    def readers(self) -> Sequence[str]:
        """Return the names of all readers, as the service orders them. Raise ReaderLost where none serves."""
        code, names = self._scard.SCardListReaders(self._open(), [])
        if _unsigned(code) == _NO_READERS:
            return []
        self._demand(code)
        return [str(name) for name in names]

    def reader_state(self, reader: str, known: int, timeout_s: float) -> int:
        """Return the reader's state once it differs from the known one, or after timeout_s.

        Args:
            known: UNAWARE returns at once.

        Raises:
            ReaderLost: there is no such reader, or not any more.
        """
        waiting = [(reader, known)]
        code, states = self._scard.SCardGetStatusChange(self._open(), round(timeout_s * 1000), waiting)
        if _unsigned(code) == _TIMEOUT:
            return known
        self._demand(code, reader)
        state = int(states[0][1])
        if state & (UNKNOWN | UNAVAILABLE):
            raise reader_away(reader)
        return state & ~CHANGED

    def wait_for_plug(self, timeout_s: float) -> None:
        """Return when a reader comes or goes, or after timeout_s; may return early. Raise ReaderLost."""
        waiting = [(_PLUG_AND_PLAY, UNAWARE)]
        code, _ = self._scard.SCardGetStatusChange(self._open(), round(timeout_s * 1000), waiting)
        if _unsigned(code) != _TIMEOUT:
            self._demand(code)

    def connect(self, reader: str) -> Card:
        """Take the card for ourselves alone. Raise CardLeft, Busy, ReaderLost."""
        code, handle, protocol = self._scard.SCardConnect(self._open(), reader, _EXCLUSIVE, _T0_OR_T1)
        self._demand(code, reader)
        return Card(handle, protocol)

    def reconnect(self, reader: str, card: Card, what: int) -> Card:
        """Reset the card in the way of `what`, whichever lies there now. Raise CardLeft, ReaderLost."""
        if not self._lies_there(card):
            raise _card_left(reader)
        code, protocol = self._scard.SCardReconnect(card.handle, _EXCLUSIVE, _T0_OR_T1, what)
        self._demand(code, reader)
        return Card(card.handle, protocol)

    def atr(self, reader: str, card: Card) -> bytes:
        """Return the card's answer to reset. Raise CardLeft, ReaderLost."""
        code, _, _, _, atr = self._scard.SCardStatus(card.handle)
        self._demand(code, reader)
        return bytes(atr)

    def transmit(self, reader: str, card: Card, command: bytes) -> bytes:
        """Send a command and return the answer, at least 2 bytes.

        vpcd, and who knows which driver else, hands on the beginning of an answer that was cut short, and two
        bytes of a TAC look like any status word. So one that is no success is believed only while the card is
        there. What is cut in the middle of its data at bytes like a success has the wrong length.

        Raises:
            CardLeft: there is no whole answer.
            ReaderLost: the reader or the service broke.
        """
        code, answer = self._scard.SCardTransmit(card.handle, card.protocol, list(command))
        if code != _OK:
            self._demand(code, reader)
        if len(answer) < 2:
            raise _card_left(reader)  # it left while it worked
        if bytes(answer[-2:]) != _SUCCESS and not self._lies_there(card):
            raise _card_left(reader)
        return bytes(answer)

    def disconnect(self, card: Card) -> None:
        """Let the card go, without power if it is still there. What is broken is gone already: no error."""
        self._scard.SCardDisconnect(card.handle, UNPOWER if self._lies_there(card) else _LEAVE)

    def _lies_there(self, card: Card) -> bool:
        """Tell whether the card is there as far as its driver can tell; one that cannot be asked says yes.

        Asked before power is touched: where the card has gone pcscd would note "empty" at once, and not look
        up if the next card came before its regular look; the reader would stay empty for everybody.
        """
        code, _ = self._scard.SCardGetAttrib(card.handle, _ASK_FOR_ATR)
        return _unsigned(code) not in _LEFT

    def close(self) -> None:
        """Give the context back. The next call makes a new one."""
        if self._release is not None:
            self._release()
        self._context = self._release = None

    def _open(self) -> int:
        if self._context is None:
            code, context = self._scard.SCardEstablishContext(_SYSTEM_SCOPE)
            self._demand(code)
            self._context = context
            self._release = weakref.finalize(self, self._scard.SCardReleaseContext, context)
        return self._context

    def _demand(self, code: int, reader: str = "") -> None:
        """Raise what a code means."""
        code = _unsigned(code)
        if code == _OK:
            return
        if code in _LEFT:
            raise _card_left(reader)
        if code in _AWAY:
            raise reader_away(reader)
        if code == _SHARING_VIOLATION:
            raise Busy(Sentence("{reader}: another program holds the card", reader=reader))
        self.close()  # after anything else the context may be dead
        if code in _NO_SERVICE:
            raise ReaderLost(
                Sentence(
                    "no PC/SC service answers. Debian, Ubuntu: apt-get install pcscd; then start it: pcscd"
                )
            )
        reason = str(self._scard.SCardGetErrorMessage(code)).strip()
        raise ReaderLost(
            Sentence(
                "{reader}: {reason} ({code})", reader=reader or "PC/SC", reason=reason, code=f"{code:08X}"
            )
        )


def reader_away(reader: str) -> ReaderLost:
    """Return what to raise where there is no such reader."""
    return ReaderLost(Sentence("{reader}: the reader is not there", reader=reader))


def _card_left(reader: str) -> CardLeft:
    return CardLeft(Sentence("{reader}: the card left", reader=reader))


def _unsigned(code: int) -> int:
    return code & 0xFFFFFFFF


def _pyscard() -> Any:  # a C extension without types
    try:
        return import_module("smartcard.scard")
    except ImportError as error:
        raise Misconfigured(
            Sentence(
                "pyscard is missing. Debian, Ubuntu: apt-get install pcscd libpcsclite-dev gcc python3-dev; "
                "then: pip install 'campuscard[pcsc]'"
            )
        ) from error
