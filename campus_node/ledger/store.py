"""What the ledger's writer asks of a database; one contract suite runs on SQLite and on PostgreSQL."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple, Protocol

from campus_node.ledger.books import Balance, BalanceChanges, Key, TransferState
from campus_node.ledger.decision import OutboxItem
from campus_node.ledger.rows import Row

NO_WRITER_ROW: Final = (
    "the journal has rows but nobody ever wrote it: the writer row is lost; restore the last whole backup"
)
NO_BALANCE_ROW: Final = "an account of the batch has no balance row: run `campus ledger check`"


class Lease(NamedTuple):
    """The right to write, as it stands in the writer row."""

    epoch: int
    incarnation: int
    seq: int  # last one written
    chain_hash: bytes  # 32 bytes
    recorded_at_unix_ms: int  # of the last batch
    business_date: int  # of the last batch, yyyymmdd


class AccountOpening(NamedTuple):
    account: int
    holder: str
    floor_fen: int


class Snapshot(NamedTuple):
    """Everything that the engine keeps in memory, as of one commit."""

    lease: Lease
    balances: dict[int, Balance]
    open_reservations: dict[Key, TransferState]


class Batch(NamedTuple):
    """What one durable commit writes."""

    rows: Sequence[Row]
    encoded: bytes  # the rows as `rows.encode` made them
    changes: BalanceChanges
    outbox: Sequence[OutboxItem]
    before: Lease
    after: Lease


class Store(Protocol):
    """A database behind the engine. One thread uses it; `stage` may run beside `append` of the batch before.

    Every method raises StoreDown when the database does not answer or refuses to write; then nothing was
    written.
    """

    def take_over(self, holder: str, *, now_unix_ms: int, force: bool = False) -> Lease:
        """Become the writer: epoch + 1.

        Raises:
            Misconfigured: another live process is the writer, and force is not set.
        """

    def load(self) -> Snapshot:
        """Read balances, open reservations and the writer row in one consistent view."""

    def stage(self, batch: Batch) -> None:
        """Do ahead what can be done of `append` while the batch before is being committed; nobody sees it.

        What follows is `append` or `unstage` of this batch. Raises what `append` raises, OutcomeUnknown
        excepted; then there is nothing to take back.
        """

    def unstage(self, batch: Batch) -> None:
        """Take back what was staged. Raises nothing."""

    def append(self, batch: Batch) -> None:
        """Write the batch in one durable commit.

        Raises:
            LeaseLost: the fence found another epoch or seq. Nothing was written.
            DuplicateKey: an id of the batch is in the journal. Nothing was written.
            OutcomeUnknown: the commit was sent and its answer was lost.
        """

    def holds_lease(self, epoch: int) -> bool:
        """Tell whether the writer row still has this epoch."""

    def prove_writable(self, epoch: int) -> None:
        """Make one durable commit that changes nothing.

        Raises:
            LeaseLost: another writer took over.
        """

    def find(self, keys: Collection[Key]) -> dict[Key, Row]:
        """Return the rows that have these ids."""

    def find_states(self, keys: Collection[Key]) -> dict[Key, TransferState]:
        """Return what became of these transfers: their own row and all rows that target them."""

    def open_accounts(
        self, lease: Lease, openings: Sequence[AccountOpening], *, now_unix_ms: int
    ) -> list[bool]:
        """Open accounts; one truth value each: False = the number exists with another holder or floor.

        Raises:
            LeaseLost: another writer took over.
        """

    def originator_numbers(self, lease: Lease, names: Collection[str]) -> dict[str, int]:
        """Return a number for each name, giving out new ones as needed; they never change."""

    def reopen(self) -> None:
        """Throw the connection away and connect anew."""

    def close(self) -> None: ...


class DuplicateKey(Exception):  # a fact that the engine acts on, not an error of its caller
    """An id of the batch is already in the journal."""
