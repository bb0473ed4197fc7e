"""Whatever instant a gateway is killed at, its spool has what it acknowledged."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from tests.gateway.spools import JOURNAL, OTHER, body, open_spool

KILLS = 8
ROOM = 256
TAKING = """
import os, sys
from pathlib import Path
from tests.gateway.spools import JOURNAL, OTHER, begun, brought, take

directory, size, covered_behind = Path(sys.argv[1]), int(sys.argv[2]), 40
spool = begun(directory, size)
print("open", flush=True)
through = {each: spool.marks_of(each).durable_through for each in (JOURNAL, OTHER)}
while True:
    batch = [brought(through[each] + 1, through[each] + 7, each) for each in through]
    settled = take(spool, *batch)
    last = spool.state.last_position
    spool.taken(last - 10, max(last - covered_behind, 0))
    assert not any(each.full for each in settled)
    for each in settled:
        through[each.marks.journal_id] = each.marks.durable_through
    os.write(1, b"%d %d\\n" % (through[JOURNAL], through[OTHER]))
"""


def test_nothing_acknowledged_is_lost_by_kill_9_at_any_instant(tmp_path: Path, seed: int) -> None:
    luck = random.Random(seed)
    acknowledged = (0, 0)
    for _ in range(KILLS):
        taking = subprocess.Popen(
            [sys.executable, "-c", TAKING, str(tmp_path), str(ROOM)], stdout=subprocess.PIPE, cwd=os.getcwd()
        )
        assert taking.stdout is not None
        assert taking.stdout.readline() == b"open\n"
        for _ in range(luck.randint(1, 30)):
            line = taking.stdout.readline()
            assert line, "the spool ended by itself"
        for _ in range(luck.randint(0, 200_000)):
            pass  # somewhere inside the turns that follow
        taking.send_signal(signal.SIGKILL)
        last_words = taking.stdout.read().splitlines()
        taking.wait()
        taking.stdout.close()
        words = [each for each in (line, *last_words) if len(each.split()) == 2]
        first, second = (int(each) for each in words[-1].split())
        assert (first, second) >= acknowledged
        acknowledged = first, second
        _check(tmp_path, acknowledged)


def _check(path: Path, acknowledged: tuple[int, int]) -> None:
    spool = open_spool(path, ROOM)
    rows = spool.read(0, 10_000)
    assert [row.position for row in rows] == list(range(rows[0].position, spool.state.last_position + 1))
    for journal, through in zip((JOURNAL, OTHER), acknowledged, strict=True):
        found = spool.marks_of(journal)
        assert found is not None
        assert found.durable_through >= through
        seqs = [row.seq for row in rows if row.journal_id == journal]
        assert seqs == list(range(seqs[0], found.durable_through + 1))
        assert all(row.body == body(row.seq) for row in rows)
        assert found.backed_up_through >= seqs[0] - 1, "overwritten means covered"
    spool.close()
