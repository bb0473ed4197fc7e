"""The intake against a simple model: any program of messages, repeats, forgeries and restores of spools."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Engine

from campus_node.database import migrate
from campus_node.database.connect import connect, reading
from campus_node.records import gaps
from campus_node.records.intake import Intake
from campus_node.records.spooled import Marks, Outcome, Spooled
from federation.clock import VirtualClock
from tests.records.build import FOURTEEN, SEVEN, held, register_all, rows

TERMINALS = {SEVEN.terminal_id, FOURTEEN.terminal_id}
STRANGER = b"\x99" * 6
GATEWAYS = ("canteen", "library")

terminal_ids = st.sampled_from([SEVEN.terminal_id, FOURTEEN.terminal_id, STRANGER])
contents = st.tuples(
    st.sampled_from([b"J" * 16, b"K" * 16]),
    st.integers(1, 12),
    terminal_ids,
    st.sampled_from([b"", b"a", b"b"]),
)
messages = st.lists(contents, min_size=1, max_size=8)


@cache
def new_database() -> bytes:
    """A file with our schema and nothing in it, made once."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "new.sqlite"
        migrate.upgrade(f"sqlite:///{file}")
        return file.read_bytes()


class IntakeAgainstModel(RuleBasedStateMachine):
    """What is kept is a dictionary by journal and number; the first content wins for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[bytes, int], tuple[bytes, bytes, Outcome]] = {}
        self.held: set[tuple[bytes, int, bytes, bytes]] = set()
        self.marks = dict.fromkeys(GATEWAYS, 0)
        self.sent: dict[str, dict[int, Spooled]] = {gateway: {} for gateway in GATEWAYS}
        self.directory = TemporaryDirectory()
        self.db: Engine

    @initialize()
    def begin(self) -> None:
        file = Path(self.directory.name) / "campus.sqlite"
        file.write_bytes(new_database())
        self.db = connect(f"sqlite:///{file}")
        clock = VirtualClock()
        register_all(self.db, clock, SEVEN, FOURTEEN)
        self.intake = Intake(self.db, clock)

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.db.dispose()
        self.directory.cleanup()

    @rule(gateway=st.sampled_from(GATEWAYS), message=messages)
    def send(self, gateway: str, message: list[tuple[bytes, int, bytes, bytes]]) -> None:
        first = self.marks[gateway] + 1
        records = [
            Spooled(first + at, terminal_id, journal, seq, body, 1_000)
            for at, (journal, seq, terminal_id, body) in enumerate(message)
        ]
        self.sent[gateway] |= {record.position: record for record in records}
        self._take(gateway, records)

    @rule(gateway=st.sampled_from(GATEWAYS), last=st.integers(1, 6))
    def repeat(self, gateway: str, last: int) -> None:
        """The answer was lost: what stands at the end of the spool comes again."""
        positions = range(max(1, self.marks[gateway] - last + 1), self.marks[gateway] + 1)
        records = [self.sent[gateway][position] for position in positions]
        if records:
            self._take(gateway, records)

    @rule(gateway=st.sampled_from(GATEWAYS), lost=st.integers(0, 5))
    def put_back(self, gateway: str, lost: int) -> None:
        """The spool was put back from a copy: it gives out the same positions once more."""
        last = max(0, self.marks[gateway] - lost)
        spool = self.intake.attach(gateway, self._spool(gateway), last, min(1, last))
        self.marks[gateway] = spool.committed_through
        assert spool.committed_through == last

    def _take(self, gateway: str, records: list[Spooled]) -> None:
        expected = [self._predict(record) for record in records]
        assert self.intake.take(gateway, self._spool(gateway), records) == expected
        self.marks[gateway] = max(self.marks[gateway], records[-1].position)

    def _predict(self, record: Spooled) -> Outcome:
        key = record.journal_id, record.seq
        if key not in self.kept:
            good = record.terminal_id in TERMINALS and record.body
            outcome = Outcome.PENDING if good else Outcome.QUARANTINED
            self.kept[key] = record.terminal_id, record.body, outcome
            return outcome
        terminal_id, body, outcome = self.kept[key]
        if (terminal_id, body) == (record.terminal_id, record.body):
            return outcome
        self.held.add((*key, record.terminal_id, record.body))
        return Outcome.CONFLICT

    @staticmethod
    def _spool(gateway: str) -> bytes:
        return gateway.encode().ljust(16, b".")

    @invariant()
    def the_table_is_the_model(self) -> None:
        if not hasattr(self, "intake"):
            return
        assert {row[:2]: row[2:] for row in rows(self.db)} == {
            key: (body, outcome) for key, (_, body, outcome) in self.kept.items()
        }
        assert held(self.db) == sorted((seq, body) for _, seq, _, body in self.held)
        for gateway in GATEWAYS:
            mark = self.marks[gateway]
            assert self.intake.marks(gateway, self._spool(gateway)) == Marks(mark, mark)

    @invariant()
    def what_is_missing_is_what_lies_below_the_highest_number(self) -> None:
        if not hasattr(self, "intake"):
            return
        with reading(self.db) as connection:
            found = gaps.missing(connection, 100)
        listed = {(g.journal_id, seq) for g in found for seq in range(g.first_seq, g.through_seq + 1)}
        assert listed == set(self._below_the_highest()) - set(self.kept)

    def _below_the_highest(self) -> Iterator[tuple[bytes, int]]:
        for journal in {key[0] for key in self.kept}:
            highest = max(seq for other, seq in self.kept if other == journal)
            yield from ((journal, seq) for seq in range(1, highest))


TestIntakeAgainstModel: Any = IntakeAgainstModel.TestCase
TestIntakeAgainstModel.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)
