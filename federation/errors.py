"""Errors, grouped by what the caller must do.

CampusCardError
├── Refused              a final no: tell the payer, do not retry
│   ├── TransferRefused      the ledger's rules say no, by name
│   ├── NotPermitted         this identity may not ask for this
│   ├── NotIdentified        the certificate names nobody we know, or not any more
│   ├── Unreadable           the message as a whole is no question that can be decided
│   ├── NotFound             there is no such account, row or file
│   └── Misconfigured        a setting, file or argument is wrong; says what to change
├── Unavailable          outcome unknown or not begun: repeat with the same transfer id
│   ├── Overloaded           too much is waiting; says when to come back
│   ├── StoreDown            the database does not answer
│   ├── OutcomeUnknown       a commit was sent and its answer was lost
│   ├── Stopping             this node is shutting down
│   └── LeaseLost            another writer has taken over this ledger
└── Tampered             forged or corrupt: stop, keep the evidence, alarm
    └── JournalBroken        a row, a batch or a balance does not follow from the journal
"""


class CampusCardError(Exception):
    """Base of every error that this system raises on purpose."""


class Refused(CampusCardError):
    """A final no."""


class Unavailable(CampusCardError):
    """Not now, or nobody knows: repeat with the same id."""


class Tampered(CampusCardError):
    """Forged or corrupt."""


class TransferRefused(Refused):
    """The ledger refused a transfer.

    Args:
        name: the refusal's name as in `federation.transfer.Refusal`.
        short_fen: what the payer lacks, in fen; 0 where money was not the reason.
    """

    def __init__(self, name: str, short_fen: int = 0) -> None:
        super().__init__(f"{name}, short by {short_fen} fen" if short_fen else name)
        self.name = name
        self.short_fen = short_fen


class NotPermitted(Refused):
    """The identity is known and may not do this."""


class NotIdentified(Refused):
    """The certificate is missing, expired, revoked or names nobody. The message says which."""


class Unreadable(Refused):
    """The message as a whole cannot be decided: empty, too long, or against the protocol."""


class NotFound(Refused):
    """What was asked about does not exist."""


class Misconfigured(Refused):
    """A setting, a file or an argument is wrong. The message says what to change."""


class Overloaded(Unavailable):
    """The bounded queue is full.

    Args:
        retry_after_ms: when it is worth to come back.
    """

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(f"too much is waiting, repeat in {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms


class StoreDown(Unavailable):
    """The database does not answer, is full or is read-only. Nothing was written."""


class OutcomeUnknown(Unavailable):
    """The commit was sent and no answer came. Only the database knows."""


class Stopping(Unavailable):
    """This node is shutting down: repeat at once elsewhere, or when it is back."""


class LeaseLost(Unavailable):
    """Another writer took over; this one must stop writing."""


class JournalBroken(Tampered):
    """The chain or the balances do not follow from the journal."""
