"""History on PostgreSQL: indexes that begin with the chunk of the journal a row stands in.

An index on (account, seq) is touched all over by every batch. With the chunk in front only the pages of the
present 16,384 rows are, however long the journal is; in return a question looks into one chunk after the
other, newest first.
"""

from typing import Final

from sqlalchemy import Connection, text

CHUNK_BITS: Final = 14
_CHUNKS_AT_FIRST: Final = 4  # then four times as many, and so on: most questions are about lately

_SEQS_BACK: Final = f"""
SELECT l.seq FROM generate_series(CAST(:oldest AS bigint), CAST(:newest AS bigint)) AS chunk
CROSS JOIN LATERAL (
    (SELECT t.seq FROM transfers t
     WHERE t.seq >> {CHUNK_BITS} = chunk AND t.debit = :account AND t.seq < :before_seq
       AND (t.posted_fen <> 0 OR t.reserved_fen <> 0)
     ORDER BY t.seq DESC LIMIT :most)
    UNION ALL
    (SELECT t.seq FROM transfers t
     WHERE t.seq >> {CHUNK_BITS} = chunk AND t.credit = :account AND t.seq < :before_seq AND t.posted_fen <> 0
     ORDER BY t.seq DESC LIMIT :most)
) l ORDER BY l.seq DESC LIMIT :most"""
_MOVED_SINCE: Final = f"""
SELECT CAST(coalesce(sum(l.posted), 0) AS bigint), CAST(coalesce(sum(l.reserved), 0) AS bigint)
FROM generate_series(CAST(:last_seq AS bigint) >> {CHUNK_BITS}, CAST(:newest AS bigint)) AS chunk
CROSS JOIN LATERAL (
    SELECT -t.posted_fen AS posted, t.reserved_fen AS reserved FROM transfers t
    WHERE t.seq >> {CHUNK_BITS} = chunk AND t.debit = :account AND t.seq > :last_seq
    UNION ALL
    SELECT t.posted_fen, 0 FROM transfers t
    WHERE t.seq >> {CHUNK_BITS} = chunk AND t.credit = :account AND t.seq > :last_seq
) l"""


def seqs_back(connection: Connection, account: int, before_seq: int | None, most: int) -> list[int]:
    """Return the account's newest rows before a seq, newest first, at most so many."""
    newest = _newest_chunk(connection)
    if before_seq is None:
        before_seq = (newest + 1) << CHUNK_BITS
    newest = min(newest, before_seq >> CHUNK_BITS)
    chunks, seqs = _CHUNKS_AT_FIRST, list[int]()
    while newest >= 0 and len(seqs) < most:
        oldest = max(0, newest - chunks + 1)
        asked = {
            "oldest": oldest,
            "newest": newest,
            "account": account,
            "before_seq": before_seq,
            "most": most,
        }
        seqs += [seq for (seq,) in connection.execute(text(_SEQS_BACK), asked)]
        newest, chunks = oldest - 1, chunks * 4
    return seqs[:most]


def moved_since(connection: Connection, account: int, last_seq: int) -> tuple[int, int]:
    """Return what all rows after a seq added to the account's booked balance and to what it has set aside."""
    asked = {"account": account, "last_seq": last_seq, "newest": _newest_chunk(connection)}
    posted_fen, reserved_fen = connection.execute(text(_MOVED_SINCE), asked).one()
    return posted_fen, reserved_fen


def _newest_chunk(connection: Connection) -> int:
    last_seq: int = connection.execute(text("SELECT coalesce(max(last_seq), 0) FROM batches")).scalar_one()
    return last_seq >> CHUNK_BITS
