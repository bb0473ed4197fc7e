"""The reference model as the books that ledger scripts are played on."""

from collections.abc import Sequence

from campus_node.ledger.model import Model, ModelRow
from campus_node.ledger.store import AccountOpening
from federation.business_date import BusinessCalendar
from federation.clock import Clock, SteadyClock
from federation.transfer import Answer, Request
from tests.ledger.script import Columns

CALENDAR = BusinessCalendar("Asia/Shanghai", "00:00")


class ModelBooks:
    """The model, told the time by the same kind of clock as the engine."""

    def __init__(self, clock: Clock, calendar: BusinessCalendar = CALENDAR) -> None:
        self.model = Model(calendar)
        self._clock = clock
        self._steady = SteadyClock(clock)

    def open_account(self, opening: AccountOpening) -> bool:
        return self.model.open_account(*opening)

    def now(self) -> int:
        """Return the instant that the next batch is decided at."""
        return self._steady.unix_ms()

    def post(self, batch: Sequence[Request], now_unix_ms: int | None = None) -> list[Answer]:
        now_unix_ms = self.now() if now_unix_ms is None else now_unix_ms
        return [self.model.post(request, now_unix_ms) for request in batch]

    def tick(self) -> None:
        self.model.expire(self.now())

    def restart(self) -> None:
        """End as an engine does, which decides what is due, and begin anew."""
        self.tick()
        self.reopen()

    def reopen(self) -> None:
        """Forget the clock: a new writer knows only the last instant that was written."""
        last: list[ModelRow] = self.model.rows[-1:]
        self._steady = SteadyClock(self._clock, last[0].recorded_at_unix_ms if last else 0)

    def balance(self, account: int) -> tuple[int, int, int, int] | None:
        balance = self.model.balance(account)
        if balance is None:
            return None
        return balance.posted_fen, balance.reserved_fen, balance.floor_fen, balance.overdrawn_fen

    def statement(self, account: int) -> list[Columns]:
        return [row.columns for row in self.model.statement(account)]

    def rows(self) -> list[Columns]:
        return [row.columns for row in self.model.rows]

    def alarms(self) -> list[str] | None:
        return None
