"""The spool does what a dictionary would do that never fails, whatever comes in which order."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from campus_node.gateway.spool_turn import Brought
from tests.gateway.spools import TILL, open_spool

SIZE = 64
JOURNALS = [bytes([each]) * 16 for each in range(3)]


class SpoolAgainstModel(RuleBasedStateMachine):
    """Runs a spool beside a list of what was ever kept."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.spool = open_spool(self.directory, SIZE)
        self.kept: list[tuple[bytes, int, bytes]] = []  # by position, from 1
        self.base: dict[bytes, int] = {}
        self.oldest = 1
        self.covered = self.committed = 0
        self.claimed: dict[bytes, int] = {}

    def teardown(self) -> None:
        self.spool.close()
        shutil.rmtree(self.directory)

    @rule(journal=st.sampled_from(JOURNALS))
    def terminal_reports(self, journal: bytes) -> None:
        self.spool.safe_through(TILL, journal, 0)
        self.base.setdefault(journal, 0)

    @rule(
        journal=st.sampled_from(JOURNALS),
        first=st.integers(1, 30),
        contents=st.lists(st.sampled_from([b"a", b"b", b""]), min_size=1, max_size=12),
    )
    def records_come(self, journal: bytes, first: int, contents: list[bytes]) -> None:
        (settled,) = self.spool.take([Brought(TILL, journal, first, contents)], 1)
        here = set(self.kept[self.oldest - 1 :])
        new = [
            (journal, seq, content)
            for seq, content in enumerate(contents, first)
            if (journal, seq, content) not in here
        ]
        room = SIZE - (len(self.kept) - self.oldest + 1) + (self.covered - self.oldest + 1)
        assert settled.full == (len(new) > room)
        if not settled.full:
            self.kept += new
        self.oldest = self.spool.state.oldest_position or len(self.kept) + 1
        assert self.oldest <= self.covered + 1, "only what is covered is overwritten"
        if settled.marks is not None:
            self.claimed[journal] = settled.marks.durable_through

    @rule(commit=st.integers(0, 80), cover=st.integers(0, 80))
    def node_answers(self, commit: int, cover: int) -> None:
        self.committed = max(self.oldest - 1, min(commit, len(self.kept)))
        self.covered = max(self.oldest - 1, min(cover, self.committed))
        for marks in self.spool.taken(self.committed, self.covered):
            assert marks.backed_up_through <= marks.durable_through

    @rule()
    def process_starts_again(self) -> None:
        self.spool.close()
        self.spool = open_spool(self.directory, SIZE)
        for journal in self.base:
            self.spool.safe_through(TILL, journal, 0)

    @invariant()
    def positions_have_no_gap(self) -> None:
        rows = self.spool.read(0, 1_000)
        assert [row.position for row in rows] == list(range(self.oldest, len(self.kept) + 1))
        assert [(row.journal_id, row.seq, row.body) for row in rows] == self.kept[self.oldest - 1 :]

    @invariant()
    def what_is_acknowledged_was_kept_without_a_gap(self) -> None:
        for journal in JOURNALS:
            seqs = {seq for each, seq, _ in self.kept if each == journal}
            marks = self.spool.marks_of(journal)
            if journal not in self.base:
                assert marks is None
                continue
            assert marks is not None
            through = next(seq for seq in range(100) if seq + 1 not in seqs)
            assert marks.durable_through == through
            never_covered = {
                seq
                for seq in seqs
                if all((each, number) != (journal, seq) for each, number, _ in self.kept[: self.covered])
            }
            assert marks.backed_up_through <= through
            assert not never_covered & set(range(1, marks.backed_up_through + 1))


TestSpoolAgainstModel = SpoolAgainstModel.TestCase
TestSpoolAgainstModel.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
