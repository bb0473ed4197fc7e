"""Compare what senders durably know with the raw tables of a node. This file imports none of our packages.

    python record_checker.py --node data/ledger.sqlite senders/*.jsonl
    python record_checker.py --node "postgresql://127.0.0.1/north" senders/*.jsonl

It is written from docs/records.md and docs/wire.md alone, so that it cannot share a mistake with the product.
What stands in a sender's file is told in hil_rig/senders/knowledge.py; bodies are different by chance, so a
body that stands in two rows was posted twice, whatever its number. The result is one JSON object on the last
line of standard output; exit 0 = everything holds, 1 = it does not, 2 = usage.
"""

import argparse
import json
import sqlite3
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

SAMPLES_MAX = 20  # of each kind of finding, in the report

Key = tuple[str, int]  # (journal, number)


class Row(NamedTuple):
    """One record at the node."""

    terminal: str
    outcome: int
    body: str


class Sender(NamedTuple):
    """What one sender knows."""

    name: str
    terminal: str
    journal: str
    appended: dict[int, str]
    sent: list[tuple[int, int]]
    marks: list[tuple[int, int]]  # durable, backed up; in the order in which they came
    verdicts: list[tuple[int, int]]  # number, outcome


class Findings:
    """What does not hold, counted by name with a few samples."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.samples: dict[str, list[str]] = defaultdict(list)

    def expect(self, name: str, holds: bool, sample: str) -> None:
        if not holds:
            self.counts[name] += 1
            if len(self.samples[name]) < SAMPLES_MAX:
                self.samples[name].append(sample)


def read_sender(path: Path) -> Sender:
    """Read one sender's file; a torn last line, where it died while writing, is not yet knowledge."""
    sender = Sender(path.stem, "", "", {}, [], [], [])
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            event = json.loads(line)
        except ValueError as error:
            raise SystemExit(f"{path}:{number}: no JSON: {error}") from error
        if "journal" in event:
            if sender.journal not in {"", event["journal"]}:
                raise SystemExit(f"{path}:{number}: another journal")
            sender = sender._replace(journal=event["journal"], terminal=event["terminal"])
        elif "appended" in event:
            sender.appended[event["appended"]] = event["body"]
        elif "sent" in event:
            first, last = event["sent"]
            sender.sent.append((first, last))
        elif "acknowledged" in event:
            sender.marks.append((event["acknowledged"], event["backed_up"]))
            sender.verdicts.extend((seq, outcome) for seq, outcome in event["verdicts"])
    return sender


def read_node(node: str) -> dict[Key, Row]:
    """Read all records in one consistent view."""
    if node.startswith(("postgresql:", "postgres:")) or "dbname=" in node:
        import psycopg2  # noqa: PLC0415 - SQLite needs nothing but Python

        connection: Any = psycopg2.connect(node)
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    else:
        if not Path(node).is_file():
            raise SystemExit(f"there is no file {node}")
        connection = sqlite3.connect(f"{Path(node).absolute().as_uri()}?mode=ro", uri=True)
    cursor = connection.cursor()
    cursor.execute("SELECT journal_id, seq, terminal_id, outcome, body FROM terminal_records")
    rows: dict[Key, Row] = {}
    for journal, seq, terminal, outcome, body in cursor.fetchall():
        key = (_hex(journal), int(seq))
        if key in rows:
            raise SystemExit(f"{key} stands twice: the table has lost its key")
        rows[key] = Row(_hex(terminal), int(outcome), _hex(body))
    connection.close()
    return rows


def _hex(value: Any) -> str:  # Any: bytes or memoryview, as the driver gives them
    return bytes(value).hex().upper()


def check_sender(sender: Sender, rows: dict[Key, Row], findings: Findings) -> None:
    """What was acknowledged is there as it was written; first answers were repeated, never changed."""
    durable = max((durable for durable, _ in sender.marks), default=0)
    for seq, body in sender.appended.items():
        name = f"{sender.name} {seq}"
        row = rows.get((sender.journal, seq))
        findings.expect("unacknowledged", seq <= durable, f"{name}: acknowledged through {durable}")
        findings.expect("lost", row is not None or seq > durable, f"{name}: acknowledged, and not there")
        if row is not None:
            findings.expect("altered", row.body == body, f"{name}: another content")
            findings.expect("misattributed", row.terminal == sender.terminal, f"{name}: {row.terminal}")
    findings.expect(
        "acknowledged_unsent",
        durable <= max(sender.appended, default=0),
        f"{sender.name}: {durable} acknowledged of {len(sender.appended)}",
    )
    for marks in sender.marks:
        findings.expect("marks_contradict", marks[1] <= marks[0], f"{sender.name}: {marks}")
    told: dict[int, set[int]] = defaultdict(set)
    for seq, outcome in sender.verdicts:
        told[seq].add(outcome)
    for seq, outcomes in told.items():
        row = rows.get((sender.journal, seq))
        written = set() if row is None else {row.outcome}
        findings.expect("answered_differently", len(outcomes) == 1, f"{sender.name} {seq}: {outcomes}")
        findings.expect(
            "answer_differs", outcomes == written, f"{sender.name} {seq}: told {outcomes}, is {written}"
        )


def check_rows(senders: list[Sender], rows: dict[Key, Row], findings: Findings) -> None:
    """Nothing is there that nobody wrote, and nothing twice."""
    journals = {sender.journal: sender for sender in senders}
    places: dict[str, list[Key]] = defaultdict(list)
    for key, row in rows.items():
        sender = journals.get(key[0])
        written = sender is not None and key[1] in sender.appended
        findings.expect("written_by_nobody", written, f"{key}")
        places[row.body].append(key)
    places.pop("", None)  # torn writes have no content
    for keys in places.values():
        findings.expect("double", len(keys) == 1, f"{keys}")


def check(node: str, paths: list[Path]) -> dict[str, Any]:
    """Return everything that was compared, as one JSON object."""
    senders, rows, findings = [read_sender(path) for path in paths], read_node(node), Findings()
    for sender in senders:
        check_sender(sender, rows, findings)
    check_rows(senders, rows, findings)
    return {
        "holds": not findings.counts,
        "senders": len(senders),
        "appended": sum(len(sender.appended) for sender in senders),
        "acknowledged": sum(max((mark for mark, _ in sender.marks), default=0) for sender in senders),
        "rows": len(rows),
        "lost": findings.counts["lost"],
        "double": findings.counts["double"],
        "repeated": sum(_repeated(sender) for sender in senders),
        "answered_again": sum(_answered_again(sender) for sender in senders),
        "outcomes": dict(Counter(row.outcome for row in rows.values())),
        "findings": dict(findings.counts),
        "samples": dict(findings.samples),
    }


def _repeated(sender: Sender) -> int:
    """Return how many records were sent more than once."""
    times: Counter[int] = Counter()
    for first, last in sender.sent:
        times.update(range(first, last + 1))
    return sum(count > 1 for count in times.values())


def _answered_again(sender: Sender) -> int:
    """Return of how many records the outcome was told more than once."""
    times = Counter(seq for seq, _ in sender.verdicts)
    return sum(count > 1 for count in times.values())


def main() -> int:
    """Check what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", required=True, help="an SQLite file, or a PostgreSQL address")
    parser.add_argument("files", nargs="+", type=Path, help="what senders wrote down")
    asked = parser.parse_args()
    said = check(asked.node, asked.files)
    sys.stdout.write(json.dumps(said) + "\n")
    return 0 if said["holds"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
