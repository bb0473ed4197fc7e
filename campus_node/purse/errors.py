"""What goes wrong between a terminal and a card, by what the caller must do.

Refused
├── CardRefused          the card's answer is a status word that means no
│   ├── PurseTooSmall        not enough in the purse
│   ├── PinWrong             wrong PIN or authentication; says how many tries are left
│   ├── PinBlocked           no try is left
│   ├── AccessDenied         a condition for this command does not hold: PIN, authentication, order
│   ├── KeyNotFound          the card has no key of this index, version and algorithm
│   ├── NotFoundInCard       no such file, record or application, or it is blocked
│   ├── ProofMissing         the card keeps no proof of this transaction: it did not happen
│   ├── MacRefused           the card says that our MAC is wrong
│   ├── CardSpent            life ends: counter at its maximum, application locked for ever
│   ├── CommandUnknown       the card does not know the command, its parameters or its length
│   └── CardDefective        the card's memory or program failed
└── AlgorithmUnknown     an algorithm byte that is none of ours
Unavailable
├── CardLeft             the answer is lost: the card may or may not have done it
│   └── AnswerUnreadable     an answer came and has not the shape that it must have
└── ReaderLost           the reader broke or was unplugged
Tampered
└── MacWrong             a MAC or TAC does not follow from what it covers

No text here holds a key, a PIN, a session key or the input of a MAC.
"""

from campus_node.wording import Sentence
from federation.errors import Refused, Tampered, Unavailable


class CardRefused(Refused):
    """The card or the PSAM answered with a status word other than 9000.

    Args:
        sw: the status word, 0 to FFFF.
        command: what was asked for, for people; never the command's bytes.
        meaning: what the status word means.
    """

    def __init__(self, sw: int, command: Sentence | str, meaning: Sentence | str) -> None:
        super().__init__(
            Sentence("{command}: {meaning} ({sw})", command=command, meaning=meaning, sw=f"{sw:04X}")
        )
        self.sw = sw
        self.command = str(command)
        self.meaning = str(meaning)


class PurseTooSmall(CardRefused):
    """9401: the purse holds less than the amount."""


class PinWrong(CardRefused):
    """63Cx: a wrong PIN or cryptogram."""

    @property
    def tries_left(self) -> int:
        """How often it may be tried again, 0 to 15."""
        return self.sw & 0xF


class PinBlocked(CardRefused):
    """6983: no try is left."""


class AccessDenied(CardRefused):
    """A condition does not hold: PIN not shown, no challenge, no INIT before this step."""


class KeyNotFound(CardRefused):
    """9403 or 6A88: no key of this index, version and algorithm."""


class NotFoundInCard(CardRefused):
    """No such file, record or application, or it is blocked."""


class ProofMissing(CardRefused):
    """9406: the card keeps no proof of the transaction that was asked about."""


class MacRefused(CardRefused):
    """9302 or 6988: the card says that our MAC is wrong."""


class CardSpent(CardRefused):
    """The card's life, or this application's, has ended."""


class CommandUnknown(CardRefused):
    """The card does not know this command, or not with these parameters or this length."""


class CardDefective(CardRefused):
    """The card's memory or program failed. After a step that moves money: find out by recovery."""


class AlgorithmUnknown(Refused):
    """The card names an algorithm that we do not have.

    Args:
        algorithm_byte: 0 to 255.
    """

    def __init__(self, algorithm_byte: int) -> None:
        super().__init__(
            Sentence("the card names algorithm {byte}, which is unknown", byte=f"{algorithm_byte:02X}")
        )
        self.algorithm_byte = algorithm_byte


class CardLeft(Unavailable):
    """The answer is lost: the card may or may not have done it."""


class AnswerUnreadable(CardLeft):
    """An answer came and is not what this command answers: as good as lost."""


class ReaderLost(Unavailable):
    """The reader broke or was unplugged."""


class MacWrong(Tampered):
    """A MAC or TAC does not follow from what it covers. The message says which one, and of what."""
