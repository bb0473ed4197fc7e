"""kill -9 of the node process in the middle of load: nothing acknowledged is lost, nothing posted twice."""

from pathlib import Path

import pytest

from tests.kill.siege import besiege, campus_in, node_strike
from tests.soak import size

KILLS = size(3, 60)


def test_a_node_on_sqlite_that_is_killed_again_and_again_loses_nothing(tmp_path: Path, seed: int) -> None:
    with campus_in(tmp_path) as campus:
        verdict = besiege(campus, "node", seed, KILLS, node_strike(campus))
        verdict.demand()
        assert campus.node.starts == KILLS + 1


@pytest.mark.postgres
def test_a_node_on_postgresql_that_is_killed_again_and_again_loses_nothing(
    tmp_path: Path, postgres_dsn: str, seed: int
) -> None:
    with campus_in(tmp_path, database=postgres_dsn) as campus:
        verdict = besiege(campus, "node", seed, KILLS, node_strike(campus))
        verdict.demand()
        assert campus.node.starts == KILLS + 1
