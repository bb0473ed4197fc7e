"""The checker of payments finds what it is for: each wrong here is found under its name."""

import ast
import json
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hil_rig import payment_checker

ASN = "00000001000000000007"
TERMINAL, JOURNAL = "0000000003E9", b"J" * 16
PURSE, MERCHANT, BANK = 2000 * 10**12 + 7, 2300 * 10**12 + 1, 1100 * 10**12 + 1
SENT, DONE = 2, 3


@dataclass
class Story:
    """One card with 200 yuan that paid 3.50 once, as everybody wrote it down."""

    records: list[list[Any]] = field(default_factory=list)
    transfers: list[tuple[int, ...]] = field(default_factory=list)
    till: list[dict[str, Any]] = field(default_factory=list)
    cards: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def told(cls) -> "Story":
        tapped = {"tapped": 1, "asn": ASN, "amount_fen": 350, "due_ns": 0, "at_ns": 0, "at_unix_ms": 1_000}
        shown = {
            "shown": "accepted", "tap": 1, "headline": "paid", "amount_fen": 350, "balance_fen": 19_650,
            "at_ns": 9_000_000,
        }  # fmt: skip
        return cls(
            records=[[1, 1, body(SENT, 0)], [2, 1, body(DONE, 1)]],
            transfers=[(2, 1, BANK, PURSE, 20_000, 0), (1, 1, PURSE, MERCHANT, 350, 0)],
            till=[
                {"journal": JOURNAL.hex().upper(), "terminal": TERMINAL},
                tapped,
                {"appended": 1, "body": ""},
                {"appended": 2, "body": ""},
                shown,
                {"acknowledged": 2, "backed_up": 2, "verdicts": [], "at_unix_ms": 1_200},
            ],
            cards=[{"card": ASN, "issued_fen": 20_000}, {"card": ASN, "holds_fen": 19_650}],
        )

    def checked(self, directory: Path) -> dict[str, Any]:
        """Write all of it down, and check."""
        node = directory / "node.sqlite"
        connection = sqlite3.connect(node)
        connection.execute("CREATE TABLE terminal_records (journal_id, seq, terminal_id, outcome, body)")
        connection.execute("CREATE TABLE transfers (kind, verb, debit, credit, posted_fen, refusal)")
        rows = [(JOURNAL, seq, bytes.fromhex(TERMINAL), outcome, what) for seq, outcome, what in self.records]
        connection.executemany("INSERT INTO terminal_records VALUES (?, ?, ?, ?, ?)", rows)
        connection.executemany("INSERT INTO transfers VALUES (?, ?, ?, ?, ?, ?)", self.transfers)
        connection.commit()
        connection.close()
        for name, events in (("till-1", self.till), ("cards", self.cards)):
            lines = "".join(json.dumps(event) + "\n" for event in events)
            (directory / f"{name}.jsonl").write_text(lines)
        return payment_checker.check(str(node), [directory / "till-1.jsonl", directory / "cards.jsonl"])


def body(state: int, opened: int, counter: int = 1, amount_fen: int = 350) -> bytes:
    """Return a movement's record as docs/purse.md lays it out."""
    return b"".join(
        (
            bytes((1, state, 0, 0, 9, 2)), bytes.fromhex(ASN), bytes(8), amount_fen.to_bytes(4), bytes(12),
            counter.to_bytes(2), bytes(6), bytes.fromhex(TERMINAL), bytes(43), opened.to_bytes(8),
        )
    )  # fmt: skip


def test_a_true_story_holds(tmp_path: Path) -> None:
    said = Story.told().checked(tmp_path)
    assert said["holds"], said
    assert (said["payments"], said["acknowledged"], said["booked"], said["paid_fen"]) == (1, 1, 1, 350)
    assert (said["lost"], said["double"], said["unknown"], said["unexplained_fen"]) == (0, 0, 0, 0)
    assert said["balanced"]
    assert (said["sale_p50_ms"], said["kept_p50_ms"]) == (9.0, 200.0)


def no_record(story: Story) -> None:
    story.records.clear()


def counter_twice(story: Story) -> None:
    story.records += [[3, 1, body(SENT, 0)], [4, 1, body(DONE, 3)]]


def booked_twice(story: Story) -> None:
    story.transfers.append(story.transfers[1])


def not_booked(story: Story) -> None:
    del story.transfers[1]


def purse_lost_more(story: Story) -> None:
    story.cards[1]["holds_fen"] = 19_000


def never_shown(story: Story) -> None:
    del story.till[1], story.till[3]


def refused_with_money(story: Story) -> None:
    story.till[4] |= {"shown": "refused", "headline": "no"}


def left_open(story: Story) -> None:
    story.records[1][1] = 2


def card_that_says_nothing(story: Story) -> None:
    del story.cards[1]


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (no_record, "lost"),
        (counter_twice, "double"),
        (booked_twice, "double"),
        (not_booked, "not_booked"),
        (purse_lost_more, "money"),
        (purse_lost_more, "purse_and_ledger"),
        (never_shown, "never_shown"),
        (refused_with_money, "refused_though_covered"),
        (left_open, "not_accepted"),
        (card_that_says_nothing, "money"),
    ],
)
def test_each_wrong_is_found_under_its_name(
    tmp_path: Path, wrong: Callable[[Story], None], name: str
) -> None:
    story = Story.told()
    wrong(story)
    said = story.checked(tmp_path)
    assert not said["holds"]
    assert said["findings"].get(name), said


def test_a_refusal_of_an_empty_purse_is_no_finding(tmp_path: Path) -> None:
    story = Story.told()
    more = {"tapped": 2, "asn": ASN, "amount_fen": 19_900, "due_ns": 0, "at_ns": 0, "at_unix_ms": 2_000}
    story.till += [more, {**story.till[4], "shown": "refused", "tap": 2, "headline": "too little"}]
    said = story.checked(tmp_path)
    assert said["holds"], said
    assert said["refused"] == {"too little": 1}


def test_a_tap_without_an_outcome_is_unknown(tmp_path: Path) -> None:
    story = Story.told()
    del story.till[4]
    said = story.checked(tmp_path)
    assert said["holds"], "nobody said that it was paid, and nobody that it was not"
    assert said["unknown"] == 1


def test_the_checker_imports_none_of_our_packages() -> None:
    tree = ast.parse(Path(payment_checker.__file__).read_text(encoding="utf-8"))
    found = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert found <= set(sys.stdlib_module_names) | {"psycopg2"}
