"""Compare what clients durably know with the raw tables of a ledger. This file imports none of our packages.

    python checker.py --ledger data/ledger.sqlite client-1.jsonl client-2.jsonl
    python checker.py --ledger "postgresql://127.0.0.1/north" client-1.jsonl

It is written from docs/ledger.md alone, so that it cannot share a mistake with the product. A client's file
holds one JSON object a line, made durable before the client goes on:

    {"sent": ID, "by": "terminal/0001", "verb": "POST", "debit": 2100…, "credit": 2300…, "amount_fen": 850,
     "target": ID or ""}
    {"answered": ID, "by": "terminal/0001", "refusal": "NONE", "seq": 17, "short_fen": 0}

ID is 32 upper-case hexadecimal digits; other lines are not looked at. The result is one JSON object on the
last line of standard output; exit 0 = everything holds, 1 = it does not, 2 = usage.
"""

import argparse
import hashlib
import json
import sqlite3
import struct
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

VERBS = {1: "POST", 2: "RESERVE", 3: "CONFIRM", 4: "REVERSE", 5: "EXPIRE", 6: "REFUND"}
REFUSALS = [  # by number
    "NONE", "TRANSFER_CONFLICT", "MALFORMED", "WRONG_CURRENCY", "AMOUNT_NOT_POSITIVE", "AMOUNT_TOO_LARGE",
    "AMOUNT_HELD", "UNKNOWN_TRANSFER", "ALREADY_CONFIRMED", "ALREADY_REVERSED", "EXPIRED", "NOT_CONFIRMED",
    "EXCEEDS_RESERVED", "EXCEEDS_ORIGINAL", "UNKNOWN_ACCOUNT", "SAME_ACCOUNT", "WRONG_ACCOUNTS",
    "EXPIRY_MISSING", "EXPIRY_TOO_LONG", "INSUFFICIENT_FUNDS", "UNDECIDABLE",
    "NOT_REFUNDABLE",
]  # fmt: skip
NOT_JOURNALLED = {"TRANSFER_CONFLICT", "MALFORMED", "UNDECIDABLE"}
WIDTHS = {  # of a journal row, in order; letters as in struct
    "seq": "q", "incarnation": "i", "originator": "i", "transfer_id": "16s", "verb": "h", "fact": "?",
    "kind": "h", "origin": "h", "debit": "q", "credit": "q", "amount_fen": "q", "posted_fen": "q",
    "reserved_fen": "q",
    "target_originator": "i", "target_id": "16s", "window_id": "i", "business_date": "i",
    "recorded_at_unix_ms": "q", "made_at_unix_ms": "q", "expires_at_unix_ms": "q", "request_hash": "16s",
    "refusal": "h", "short_fen": "q",
}  # fmt: skip
SAMPLES_MAX = 20  # of each kind of finding, in the report

Key = tuple[str, str]  # (originator's name, id)
Row = dict[str, Any]  # a raw row, whatever types the driver gives


class Books(NamedTuple):
    """The raw tables."""

    rows: list[Row]  # transfers, by seq
    balances: list[Row]
    batches: list[Row]  # by last_seq
    accounts: set[int]
    originators: dict[int, str]
    writer_seq: int


class Clients(NamedTuple):
    """What all clients know."""

    sent: dict[Key, Row]
    answers: dict[Key, list[Row]]


class Findings:
    """What does not hold, counted by name with a few samples."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.samples: dict[str, list[str]] = defaultdict(list)

    def add(self, name: str, sample: str) -> None:
        self.counts[name] += 1
        if len(self.samples[name]) < SAMPLES_MAX:
            self.samples[name].append(sample)

    def expect(self, name: str, holds: bool, sample: str) -> None:
        if not holds:
            self.add(name, sample)


def read_clients(paths: list[Path]) -> Clients:
    """Read the clients' files; a torn last line, where a client died while writing, is not yet knowledge."""
    sent: dict[Key, Row] = {}
    answers: dict[Key, list[Row]] = defaultdict(list)
    for path in paths:
        lines = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):
            try:
                event = json.loads(line)
            except ValueError as error:
                raise SystemExit(f"{path}:{number}: no JSON: {error}") from error
            if "sent" in event:
                sent.setdefault((event["by"], event["sent"]), event)
            elif "answered" in event:
                answers[event["by"], event["answered"]].append(event)
    return Clients(sent, answers)


def read_books(ledger: str) -> Books:
    """Read all tables in one consistent view."""
    if ledger.startswith(("postgresql:", "postgres:")) or "dbname=" in ledger:
        import psycopg2  # noqa: PLC0415 - SQLite needs nothing but Python

        connection: Any = psycopg2.connect(ledger)
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    else:
        if not Path(ledger).is_file():
            raise SystemExit(f"there is no file {ledger}")
        connection = sqlite3.connect(
            f"{Path(ledger).absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
        )
        connection.execute("BEGIN")

    def read(columns: str, table: str, order: str) -> list[Row]:
        cursor = connection.cursor()
        cursor.execute(f"SELECT {columns} FROM {table} ORDER BY {order}")  # noqa: S608 - all three are written here
        names = columns.split(", ")
        return [{n: _plain(v) for n, v in zip(names, values, strict=True)} for values in cursor.fetchall()]

    books = Books(
        rows=read(", ".join(WIDTHS), "transfers", "seq"),
        balances=read("account, posted_fen, reserved_fen, floor_fen, overdrawn_fen", "balances", "account"),
        batches=read("first_seq, last_seq, chain_hash", "batches", "last_seq"),
        accounts={row["account"] for row in read("account", "accounts", "account")},
        originators={
            row["originator"]: row["name"] for row in read("originator, name", "originators", "originator")
        },
        writer_seq=max([0, *(row["seq"] for row in read("seq", "writer", "shard"))]),
    )
    connection.close()
    return books


def _plain(value: Any) -> Any:  # Any: a column's type is the driver's
    """Bytes and UUIDs become upper-case hexadecimal, whatever the database."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex().upper()
    if isinstance(value, str) and len(value) == 36 and value.count("-") == 4:
        return value.replace("-", "").upper()
    return value


def check_clients(clients: Clients, books: Books, findings: Findings) -> None:
    """Everything that was acknowledged is in the journal, once, as it was sent and as it was answered."""
    journal: dict[Key, list[Row]] = defaultdict(list)
    for row in books.rows:
        journal[books.originators.get(row["originator"], ""), row["transfer_id"]].append(row)
    for (by, transfer_id), rows in journal.items():
        done = [row["seq"] for row in rows if row["refusal"] == 0]
        findings.expect(
            "double",
            len(rows) == 1,
            f"{by} {transfer_id} in rows {[row['seq'] for row in rows]}, {done} done",
        )
    for (by, transfer_id), answers in clients.answers.items():
        name = f"{by} {transfer_id}"
        first = answers[0]
        told = (first["refusal"], first["seq"], first["short_fen"])
        for other in answers[1:]:
            again = (other["refusal"], other["seq"], other["short_fen"])
            findings.expect("answered_differently", again == told, f"{name}: {told}, then {again}")
        sent = clients.sent.get((by, transfer_id))
        findings.expect("answered_unasked", sent is not None, name)
        if first["refusal"] in NOT_JOURNALLED:
            findings.expect(
                "answer_differs", first["seq"] == 0, f"{name}: told {told}, which is never journalled"
            )
            continue
        rows = journal.get((by, transfer_id), [])
        findings.expect("lost", bool(rows), f"{name}: told {told}, no row")
        for row in rows:
            written = (REFUSALS[row["refusal"]], row["seq"], row["short_fen"])
            findings.expect("answer_differs", told == written, f"{name}: told {told}, row says {written}")
            if sent is not None:
                _check_content(name, sent, row, findings)


def _check_content(name: str, sent: Row, row: Row, findings: Findings) -> None:
    asked = [sent["verb"], sent["amount_fen"], sent["target"]]
    written = [VERBS.get(row["verb"], "?"), row["amount_fen"], row["target_id"] or ""]
    if sent["verb"] in {"POST", "RESERVE"}:
        asked += [sent["debit"], sent["credit"]]
        written += [row["debit"], row["credit"]]
    findings.expect("altered", asked == written, f"{name}: sent {asked}, row {row['seq']} says {written}")


def check_movements(books: Books, findings: Findings) -> None:
    """Each row moves what its verb says, and nothing is confirmed, released or given back twice."""
    by_key = {(row["originator"], row["transfer_id"]): row for row in books.rows}
    refunded: Counter[tuple[int, str]] = Counter()
    confirmed: Counter[tuple[int, str]] = Counter()
    released: Counter[tuple[int, str]] = Counter()
    for row in books.rows:
        verb, amount = VERBS.get(row["verb"], "?"), row["amount_fen"]
        moved = (row["posted_fen"], row["reserved_fen"])
        target_key = (row["target_originator"], row["target_id"])
        target = by_key.get(target_key)
        held = target["amount_fen"] if target else 0
        if row["refusal"] != 0:
            allowed = {(0, 0)}
        elif verb in {"POST", "REFUND"}:
            allowed = {(amount, 0)}
        elif verb == "RESERVE":
            allowed = {(0, amount)}
            findings.expect("no_expiry", row["expires_at_unix_ms"] is not None, f"row {row['seq']}")
        elif verb == "CONFIRM":
            allowed = {(amount, -held)} | ({(amount, 0)} if row["fact"] else set())
        else:  # REVERSE, EXPIRE
            allowed = {(0, -held), (0, 0)}
        findings.expect(
            "moved_wrongly", moved in allowed, f"row {row['seq']} {verb} of {amount} moved {moved}"
        )
        if target is None or row["refusal"] != 0:
            continue
        refunded[target_key] += moved[0] if verb == "REFUND" else 0
        confirmed[target_key] += verb == "CONFIRM"
        released[target_key] += moved[1] < 0
        once = refunded[target_key] <= held and confirmed[target_key] <= 1 and released[target_key] <= 1
        findings.expect(
            "double", once, f"row {row['seq']} {verb}: refunded too much or ended a transfer twice"
        )


def check_sequence(books: Books, findings: Findings) -> None:
    """Rows are gapless from 1, every row is in one batch, and the chain follows from the rows."""
    rows = {row["seq"]: row for row in books.rows}
    findings.expect(
        "gap",
        sorted(rows) == list(range(1, books.writer_seq + 1)),
        f"{len(rows)} rows, writer at {books.writer_seq}",
    )
    expected, previous = 1, bytes(32)
    for batch in books.batches:
        first, last = batch["first_seq"], batch["last_seq"]
        findings.expect(
            "gap", first == expected and last >= first, f"batch {first}–{last} after row {expected - 1}"
        )
        expected = last + 1
        encoded = b"".join(_copy_tuple(rows[seq]) for seq in range(first, last + 1) if seq in rows)
        computed = hashlib.sha256(previous + encoded).digest()
        findings.expect(
            "chain_broken", computed.hex().upper() == batch["chain_hash"], f"batch {first}–{last}"
        )
        previous = bytes.fromhex(batch["chain_hash"])
    findings.expect(
        "gap",
        expected == books.writer_seq + 1,
        f"batches end at {expected - 1}, writer at {books.writer_seq}",
    )
    for earlier, later in zip(books.rows, books.rows[1:], strict=False):
        steady = earlier["recorded_at_unix_ms"] <= later["recorded_at_unix_ms"]
        steady &= (
            earlier["business_date"] <= later["business_date"]
            and earlier["incarnation"] <= later["incarnation"]
        )
        findings.expect("went_back", steady, f"row {later['seq']} is dated before row {earlier['seq']}")


def _copy_tuple(row: Row) -> bytes:
    """The bytes of a row that are chained: a tuple of PostgreSQL's binary COPY format."""
    parts = [struct.pack(">h", len(WIDTHS))]
    for column, letter in WIDTHS.items():
        value = row[column]
        if value is None:
            parts.append(struct.pack(">i", -1))
            continue
        typed = bytes.fromhex(value) if letter == "16s" else bool(value) if letter == "?" else value
        parts.append(struct.pack(">i" + letter, struct.calcsize(">" + letter), typed))
    return b"".join(parts)


def check_balances(books: Books, findings: Findings) -> int:
    """Every balance is the sum of its journal and all together are zero; return the fen without a cause."""
    posted: Counter[int] = Counter()
    reserved: Counter[int] = Counter()
    for row in books.rows:
        posted[row["debit"]] -= row["posted_fen"]
        posted[row["credit"]] += row["posted_fen"]
        reserved[row["debit"]] += row["reserved_fen"]
    stored: dict[int, Row] = {row["account"]: row for row in books.balances}
    moved = {account for account in (*posted, *reserved) if posted[account] or reserved[account]}
    unexplained_fen = 0
    for account in sorted(moved | set(stored) | books.accounts):
        if account not in stored or account not in books.accounts:
            findings.add("account_missing", f"account {account}")
        if account not in stored:
            unexplained_fen += abs(posted[account])
            continue
        row = stored[account]
        said, computed = row["posted_fen"], posted[account]
        unexplained_fen += abs(said - computed)
        findings.expect(
            "balance_differs", said == computed, f"account {account}: {said}, journal says {computed}"
        )
        held = row["reserved_fen"]
        findings.expect(
            "reserved_differs",
            held == reserved[account],
            f"account {account}: {held}, journal says {reserved[account]}",
        )
        overdrawn = max(0, row["floor_fen"] - (said - held))
        findings.expect("below_floor", row["overdrawn_fen"] == overdrawn, f"account {account}: {row}")
    total: int = sum(row["posted_fen"] for row in books.balances)
    findings.expect("not_zero", total == 0, f"all accounts together are {total} fen")
    return max(unexplained_fen, abs(total))


def check(ledger: str, paths: list[Path]) -> dict[str, Any]:
    """Return everything that was compared, as one JSON object."""
    clients, books, findings = read_clients(paths), read_books(ledger), Findings()
    check_clients(clients, books, findings)
    check_movements(books, findings)
    check_sequence(books, findings)
    unexplained_fen = check_balances(books, findings)
    answers = Counter(answers[0]["refusal"] for answers in clients.answers.values())
    unknown = [key for key in clients.sent if key not in clients.answers]
    for by, transfer_id in unknown:
        findings.add("unknown", f"{by} {transfer_id} was sent and never answered")
    books_hold = not set(findings.counts) - {"lost", "unknown", "answered_unasked", "answered_differently"}
    return {
        "holds": not findings.counts,
        "payments": len(clients.sent),
        "acknowledged": answers.pop("NONE", 0),
        "refused": dict(sorted(answers.items())),
        "unknown": len(unknown),
        "lost": findings.counts["lost"],
        "double": findings.counts["double"],
        "balanced": books_hold,
        "unexplained_fen": unexplained_fen,
        "rows": len(books.rows),
        "findings": dict(sorted((name, count) for name, count in findings.counts.items() if count)),
        "samples": dict(sorted(findings.samples.items())),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Compare what clients durably know with the raw tables of a ledger."
    )
    parser.add_argument("--ledger", required=True, help="SQLite file or postgresql:// address")
    parser.add_argument("clients", nargs="*", type=Path, help="clients' files, JSON lines")
    arguments = parser.parse_args()
    result = check(arguments.ledger, arguments.clients)
    sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
