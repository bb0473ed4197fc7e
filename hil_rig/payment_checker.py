"""Compare what cards hold and tills showed with a node's raw tables. This file imports none of our packages.

    python payment_checker.py --node data/ledger.sqlite can0/*.jsonl serial0/*.jsonl
    python payment_checker.py --node "postgresql://127.0.0.1/north" can0/*.jsonl

It is written from docs/purse.md, records.md and ledger.md alone, so that it cannot share a mistake with the
product. A till's file holds what hil_rig/senders/knowledge.py tells, and

    {"tapped": 17, "asn": HEX20, "amount_fen": 350, "due_ns": …, "at_ns": …, "at_unix_ms": …}
    {"shown": "accepted", "tap": 17, "headline": "paid", "amount_fen": 350, "balance_fen": 19650, "at_ns": …}

A file of cards holds what each was issued with and, at the end, what its purse says itself:

    {"card": HEX20, "issued_fen": 20000}
    {"card": HEX20, "holds_fen": 19650}

The cards are the truth: what is gone from a purse must be at the node as payments, each once. The result is
one JSON object on the last line of standard output; exit 0 = everything holds, 1 = it does not, 2 = usage.
"""

import argparse
import json
import sqlite3
import struct
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

SAMPLES_MAX = 20  # of each kind of finding, in the report
MOVEMENT = struct.Struct(">BBBBBB10s8sIIIIH4sBB6sI7s4s4s4s4sQQQ")  # docs/purse.md, a movement's record
CARD_MOVEMENT, DONE, VOID = 0x01, 3, 4
PENDING, QUARANTINED, CONFLICT, REFUSED_RECORD = 2, 5, 4, 6
PURCHASE, POST, CARD_PURSE, LOCAL = 1, 1, 2000, 10**12  # docs/ledger.md: kind, verb, class of accounts
SURE = {"accepted", "refused", "blocked"}


class Payment(NamedTuple):
    """What a chain of records says of one movement: its newest one."""

    state: int
    asn: str
    card_seq: int
    terminal: str
    amount_fen: int
    seq: int
    outcome: int


class Tap(NamedTuple):
    """One card laid on one till, and what the till showed last of it."""

    asn: str
    amount_fen: int
    due_ns: int
    at_ns: int
    at_unix_ms: int
    mood: str = ""
    paid_fen: int = 0  # as shown: what is settled late may be another sum than the one that was typed
    headline: str = ""
    shown_ns: int = 0
    through_seq: int = 0  # the journal's last number then
    doubted: bool = False  # the till did not know, once, whether the card had paid


class Till(NamedTuple):
    """What one till knows."""

    name: str
    terminal: str
    taps: dict[int, Tap]
    marks: list[tuple[int, int]]  # durable through, at


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


def events_of(path: Path) -> list[dict[str, Any]]:
    """Return the events of a file; a torn last line is not yet knowledge."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def read_till(path: Path, events: list[dict[str, Any]]) -> Till:
    """Understand one till's events."""
    terminal, last_seq = "", 0
    taps: dict[int, Tap] = {}
    marks: list[tuple[int, int]] = []
    for event in events:
        if "terminal" in event:
            terminal = event["terminal"]
        elif "tapped" in event:
            number = event["tapped"]
            times = event["due_ns"], event["at_ns"], event["at_unix_ms"]
            before = taps.get(number, Tap(event["asn"].upper(), event["amount_fen"], *times))
            taps[number] = before._replace(mood="")  # nothing is shown of this time yet
        elif "appended" in event:
            last_seq = event["appended"]
        elif "acknowledged" in event:
            marks.append((event["acknowledged"], event["at_unix_ms"]))
        elif "shown" in event and event["tap"]:
            before = taps[event["tap"]]
            taps[event["tap"]] = before._replace(
                doubted=before.doubted or event["shown"] == "unknown",
                mood=event["shown"],
                paid_fen=event["amount_fen"] or before.amount_fen,
                headline=event["headline"],
                shown_ns=event["at_ns"],
                through_seq=last_seq,
            )
    return Till(path.stem, terminal, taps, marks)


def connection_to(node: str) -> Any:  # Any: a connection of either driver
    """Open a node's tables to read one consistent view of them."""
    if node.startswith(("postgresql:", "postgres:")) or "dbname=" in node:
        import psycopg2  # noqa: PLC0415 - SQLite needs nothing but Python

        connection: Any = psycopg2.connect(node)
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        return connection
    if not Path(node).is_file():
        raise SystemExit(f"there is no file {node}")
    return sqlite3.connect(f"{Path(node).absolute().as_uri()}?mode=ro", uri=True)


def read_payments(connection: Any) -> tuple[list[Payment], Counter[int]]:
    """Return every movement by its newest record, and how many records have each outcome."""
    cursor = connection.cursor()
    cursor.execute("SELECT journal_id, seq, outcome, body FROM terminal_records ORDER BY seq")
    newest: dict[tuple[bytes, int], Payment] = {}
    outcomes: Counter[int] = Counter()
    for journal, seq, outcome, body in cursor.fetchall():
        outcomes[int(outcome)] += 1
        if len(body) != MOVEMENT.size or bytes(body)[0] != CARD_MOVEMENT:
            continue
        fields = MOVEMENT.unpack(bytes(body))
        newest[bytes(journal), fields[25] or int(seq)] = Payment(
            state=fields[1],
            asn=fields[6].hex().upper(),
            card_seq=fields[12],
            terminal=fields[16].hex().upper(),
            amount_fen=fields[8],
            seq=int(seq),
            outcome=int(outcome),
        )
    return list(newest.values()), outcomes


def check_tills(tills: list[Till], done: Counter[tuple[str, str, int]], findings: Findings) -> None:
    """What a till called paid is at the node as often as it said so; nothing else is."""
    said: Counter[tuple[str, str, int]] = Counter()
    doubtful: set[tuple[str, str, int]] = set()
    for till in tills:
        for tap in till.taps.values():
            if tap.mood == "accepted":
                said[till.terminal, tap.asn, tap.paid_fen] += 1
            elif tap.mood not in SURE:
                doubtful.add((till.terminal, tap.asn, tap.amount_fen))
    for key in said.keys() | done.keys():
        findings.expect(
            "lost", done[key] >= said[key], f"{key}: paid {said[key]} times, at the node {done[key]}"
        )
        surplus = done[key] > said[key] and key not in doubtful
        findings.expect("never_shown", not surplus, f"{key}: at the node {done[key]}, shown {said[key]}")


def check_cards(
    cards: dict[str, dict[str, int]], payments: list[Payment], tills: list[Till], findings: Findings
) -> int:
    """What is gone from each purse is at the node, each counter once; return what is unexplained, in fen."""
    unexplained_fen = 0
    spent: Counter[str] = Counter()
    counters: Counter[tuple[str, int]] = Counter()
    for payment in payments:
        if payment.state == DONE:
            spent[payment.asn] += payment.amount_fen
            counters[payment.asn, payment.card_seq] += 1
    for key, times in counters.items():
        findings.expect("double", times == 1, f"card {key[0]}, counter {key[1]}: {times} times")
    for asn, card in cards.items():
        gone_fen = card["issued_fen"] - card.get("holds_fen", -1)
        findings.expect(
            "money", "holds_fen" in card and gone_fen == spent[asn], f"{asn}: {card}, {spent[asn]}"
        )
        unexplained_fen += abs(gone_fen - spent[asn])
    for till in tills:
        for number, tap in till.taps.items():
            covered = cards[tap.asn].get("holds_fen", 0) >= tap.amount_fen
            refused = tap.mood in {"refused", "blocked"}
            name = "refused_though_covered"
            findings.expect(name, not (refused and covered), f"{till.name} {number}: {tap.headline}")
    return unexplained_fen


def check_ledger(
    connection: Any, cards: dict[str, dict[str, int]], payments: list[Payment], findings: Findings
) -> dict[str, Any]:
    """Every payment is booked once, and the ledger's account of each purse says what the purse says.

    A purse's account is 2000 × 10^12 + the last 12 digits of the card's number; a purchase is kind 1, POST.
    """
    cursor = connection.cursor()
    cursor.execute("SELECT kind, verb, debit, credit, posted_fen FROM transfers WHERE refusal = 0")
    holds_fen: Counter[int] = Counter()
    booked: Counter[tuple[int, int]] = Counter()
    for kind, verb, debit, credit, posted_fen in cursor.fetchall():
        holds_fen[debit] -= posted_fen
        holds_fen[credit] += posted_fen
        if (kind, verb) == (PURCHASE, POST) and debit // LOCAL == CARD_PURSE:
            booked[debit, posted_fen] += 1
    accounts = {asn: CARD_PURSE * LOCAL + int(asn[-12:]) for asn in cards}
    wanted = Counter((accounts[p.asn], p.amount_fen) for p in payments if p.state == DONE)
    for key in booked.keys() | wanted.keys():
        times = booked[key]
        findings.expect("not_booked", times >= wanted[key], f"{key}: {times} of {wanted[key]}")
        findings.expect("double", times <= wanted[key], f"{key}: {times}, paid {wanted[key]} times")
    apart = [asn for asn, card in cards.items() if holds_fen[accounts[asn]] != card.get("holds_fen")]
    findings.expect("purse_and_ledger", not apart, f"{apart[:3]}")
    return {
        "booked": booked.total(),
        "booked_fen": sum(fen * times for (_, fen), times in booked.items()),
        "balanced": not apart and sum(holds_fen.values()) == 0,
    }


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile; 0 of nothing."""
    values = sorted(values)
    return round(values[min(len(values) - 1, len(values) * percent // 100)], 1) if values else 0.0


def waits(tills: list[Till]) -> dict[str, float]:
    """Return how long paid taps took: on the till alone; from when they were due until shown, until kept.

    Cards that were torn away are left out: what took time then was the hand.
    """
    sale_ms, shown_ms, kept_ms = [], [], []
    for till in tills:
        for tap in till.taps.values():
            if tap.mood != "accepted" or tap.doubted:
                continue
            sale_ms.append((tap.shown_ns - tap.at_ns) / 1e6)
            shown_ms.append((tap.shown_ns - tap.due_ns) / 1e6)
            kept = next((at for durable, at in till.marks if durable >= tap.through_seq), None)
            if kept is not None:
                kept_ms.append(float(kept - tap.at_unix_ms) + (tap.at_ns - tap.due_ns) / 1e6)
    named = {"sale": sale_ms, "shown": shown_ms, "kept": kept_ms}
    return {f"{name}_p{p}_ms": percentile(each, p) for name, each in named.items() for p in (50, 99)}


def check(node: str, paths: list[Path]) -> dict[str, Any]:
    """Return everything that was compared, as one JSON object."""
    tills: list[Till] = []
    cards: dict[str, dict[str, int]] = defaultdict(dict)
    findings = Findings()
    for path in paths:
        events = events_of(path)
        if events and "card" in events[0]:
            for event in events:
                card = cards[event.pop("card")]
                card |= event if "holds_fen" in event or not card else {}  # issued once, whoever restarts
        else:
            tills.append(read_till(path, events))
    connection = connection_to(node)
    payments, outcomes = read_payments(connection)
    done = [payment for payment in payments if payment.state == DONE]
    check_tills(tills, Counter((p.terminal, p.asn, p.amount_fen) for p in done), findings)
    unexplained_fen = check_cards(cards, payments, tills, findings)
    ledger = check_ledger(connection, cards, payments, findings)
    connection.close()
    for outcome in (PENDING, QUARANTINED, CONFLICT, REFUSED_RECORD):
        findings.expect(
            "not_accepted", not outcomes[outcome], f"{outcomes[outcome]} records of outcome {outcome}"
        )
    taps = [tap for till in tills for tap in till.taps.values()]
    still_open = [payment for payment in payments if payment.state not in {DONE, VOID}]
    return {
        "holds": not findings.counts,
        "tills": len(tills),
        "cards": len(cards),
        "payments": len(taps),
        "acknowledged": sum(tap.mood == "accepted" for tap in taps),
        "refused": dict(Counter(tap.headline for tap in taps if tap.mood in {"refused", "blocked"})),
        "unknown": sum(tap.mood not in SURE for tap in taps),
        "doubted": sum(tap.doubted for tap in taps),
        "at_node": len(done),
        "paid_fen": sum(payment.amount_fen for payment in done),
        "open": len(still_open),
        **ledger,
        "rows": sum(outcomes.values()),
        "outcomes": {str(number): count for number, count in sorted(outcomes.items())},
        "lost": findings.counts["lost"],
        "double": findings.counts["double"],
        "unexplained_fen": unexplained_fen,
        **waits(tills),
        "findings": dict(findings.counts),
        "samples": dict(findings.samples),
    }


def main() -> int:
    """Check what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", required=True, help="an SQLite file, or a PostgreSQL address")
    parser.add_argument("files", nargs="+", type=Path, help="what tills and cards wrote down")
    asked = parser.parse_args()
    said = check(asked.node, asked.files)
    sys.stdout.write(json.dumps(said) + "\n")
    return 0 if said["holds"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
