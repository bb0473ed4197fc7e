"""History on SQLite: every row links back to the row before it of either of its accounts.

A tree a side would cost more than all the rest of a commit there. The links are a projection, not part of the
journal's proof: `differences` compares them with the rows, `rebuild` writes them anew.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, text

_BACK: Final = """
WITH RECURSIVE walk (seq) AS (
    SELECT :start
    UNION ALL
    SELECT CASE WHEN t.debit = :account THEN t.debit_prev ELSE t.credit_prev END
    FROM walk JOIN transfers t ON t.seq = walk.seq
    LIMIT :most
)
SELECT seq FROM walk WHERE seq IS NOT NULL"""
_MOVED_SINCE: Final = """
WITH RECURSIVE walk (seq, prev, posted, reserved) AS (
    SELECT 0, last_seq, 0, 0 FROM balances WHERE account = :account
    UNION ALL
    SELECT
        t.seq,
        CASE WHEN t.debit = :account THEN t.debit_prev ELSE t.credit_prev END,
        CASE WHEN t.debit = :account THEN -t.posted_fen ELSE t.posted_fen END,
        CASE WHEN t.debit = :account THEN t.reserved_fen ELSE 0 END
    FROM walk JOIN transfers t ON t.seq = walk.prev
    WHERE t.seq > :last_seq
)
SELECT coalesce(sum(posted), 0), coalesce(sum(reserved), 0) FROM walk"""
_LEGS: Final = """
WITH legs AS (
    SELECT debit AS account, seq, debit_prev AS prev FROM transfers WHERE posted_fen <> 0 OR reserved_fen <> 0
    UNION ALL
    SELECT credit, seq, credit_prev FROM transfers WHERE posted_fen <> 0
), ordered AS (
    SELECT account, seq, prev, lag(seq) OVER (PARTITION BY account ORDER BY seq) AS before FROM legs
)"""
_WRONG_LINKS: Final = f"{_LEGS} SELECT account, seq, before, prev FROM ordered WHERE prev IS NOT before"
_WRONG_ENDS: Final = f"""{_LEGS}
SELECT b.account, b.last_seq, l.last FROM balances b
LEFT JOIN (SELECT account, max(seq) AS last FROM legs GROUP BY account) l USING (account)
WHERE b.last_seq IS NOT l.last"""


def seqs_back(connection: Connection, account: int, before_seq: int | None, most: int) -> list[int]:
    """Return the account's newest rows before a seq, newest first, at most so many."""
    start = _link_of(connection, account, before_seq)
    seqs: list[int] = []
    while start is not None and len(seqs) < most:
        found = connection.execute(text(_BACK), {"start": start, "account": account, "most": most + 1})
        page = [seq for (seq,) in found]
        seqs += [seq for seq in page[:most] if before_seq is None or seq < before_seq]
        start = page[most] if len(page) > most else None
    return seqs[:most]


def moved_since(connection: Connection, account: int, last_seq: int) -> tuple[int, int]:
    """Return what all rows after a seq added to the account's booked balance and to what it has set aside."""
    asked = {"account": account, "last_seq": last_seq}
    posted_fen, reserved_fen = connection.execute(text(_MOVED_SINCE), asked).one()
    return posted_fen, reserved_fen


def differences(connection: Connection) -> Iterator[tuple[str, int | None, int | None]]:
    """Yield (subject, expected, found) of every link that does not lead to the row before."""
    for account, seq, before, prev in connection.execute(text(_WRONG_LINKS)):
        yield f"account/{account}, row {seq}", before, prev
    for account, last_seq, last in connection.execute(text(_WRONG_ENDS)):
        yield f"account/{account}, last row", last, last_seq


def rebuild(connection: Connection) -> None:
    """Write every link anew that is wrong."""
    for account, seq, before, _ in connection.execute(text(_WRONG_LINKS)).all():
        asked = {"account": account, "seq": seq, "before": before}
        for side in ("debit", "credit"):
            change = f"UPDATE transfers SET {side}_prev = :before WHERE seq = :seq AND {side} = :account"
            connection.execute(text(change), asked)
    change = "UPDATE balances SET last_seq = :last WHERE account = :account"
    for account, _, last in connection.execute(text(_WRONG_ENDS)).all():
        connection.execute(text(change), {"account": account, "last": last})


def _link_of(connection: Connection, account: int, before_seq: int | None) -> int | None:
    """Return where to begin: the link of the row at before_seq if it is the account's, else its last row."""
    asked = {"account": account, "seq": before_seq}
    linked = text(
        "SELECT CASE WHEN debit = :account THEN debit_prev ELSE credit_prev END FROM transfers"
        " WHERE seq = :seq AND ((debit = :account AND (posted_fen <> 0 OR reserved_fen <> 0))"
        " OR (credit = :account AND posted_fen <> 0))"
    )
    found = connection.execute(linked, asked).one_or_none()
    if found is None:
        last = text("SELECT last_seq FROM balances WHERE account = :account")
        found = connection.execute(last, asked).one_or_none()
    return None if found is None else found[0]
