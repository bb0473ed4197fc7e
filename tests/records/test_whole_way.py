"""From a till's journal over a bus and a gateway into the node's table: all real, and killed on the way."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from campus_node.database.connect import connect, writing
from campus_node.keys.hierarchy import Usage, campus_key
from campus_node.keys.sealed_file import SealedFile
from campus_node.keys.sealing import Cost
from campus_node.purse.algorithm import Algorithm
from campus_node.registry.terminals import PsamKey, Terminal, register
from federation.clock import SystemClock
from hil_rig.senders.order import SegmentLine, SenderOrder
from hil_rig.senders.process import SegmentProcess
from hil_rig.senders.sender import ISSUER
from hil_rig.virtual.can_broker import CanBroker
from tests.gateway.places import can_line, make_campus, make_gateway
from tests.gateway.running import WatchedGateway
from tests.outage_lines.segments import CAMPUS_KEY, segment, terminal
from tests.records.build import CANTEEN, alarms, rows
from tests.records.node_process import kill, ports_of, running_node

pytestmark = pytest.mark.slow

BITRATE = 250_000
EACH = 40
PASSPHRASE = "seven green bottles on a wall"


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:  # a short path: sockets have 108 bytes
        yield Path(directory) / "can0"


def open_campus(directory: Path, terminals: list[SenderOrder]) -> Path:
    """A campus whose key store has the session key of these terminals' PSAMs."""
    campus = make_campus(directory)
    clock = SystemClock()
    store = SealedFile.create(campus / "keys", ISSUER, PASSPHRASE, Cost(64, 1, 1))
    key = PsamKey(terminals[0].usage, terminals[0].key_version, Algorithm.TDES)
    store.put(campus_key(Usage.PSAM_SESSION, key.version, key.algorithm, ISSUER), CAMPUS_KEY, clock)
    (campus / "keys.passphrase").write_text(PASSPHRASE + "\n")
    db = connect(f"sqlite:///{campus / 'data' / 'ledger.sqlite'}")
    with writing(db) as connection:
        for each in terminals:
            known = Terminal(
                bytes.fromhex(each.terminal_id), each.name, "till-1", bytes.fromhex(each.psam_serial), key,
                "canteen", CANTEEN, "can0", each.address,
            )  # fmt: skip
            register(connection, known, clock.unix_ms())
    db.dispose()
    return campus


def written_by(senders: SegmentProcess) -> dict[tuple[str, int], str]:
    """What the senders' own files say was recorded."""
    written: dict[tuple[str, int], str] = {}
    for path in senders.files:
        events: list[dict[str, Any]] = [json.loads(event) for event in path.read_text().splitlines()]
        journal = events[0]["journal"]
        written |= {(journal, e["appended"]): e["body"] for e in events if "appended" in e}
    return written


def test_every_record_of_every_till_is_one_row_whoever_is_killed(
    tmp_path: Path, socket_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPUS_KEYS__STORE", "keys")
    monkeypatch.setenv("CAMPUS_KEYS__PASSPHRASE_FILE", "keys.passphrase")
    terminals = [terminal(number, number) for number in (1, 2, 254)]
    campus = open_campus(tmp_path, terminals)
    line = SegmentLine("can", str(socket_path), BITRATE)
    order = segment(tmp_path / "tills", line, terminals, records_each=EACH, interval_s=0.1, seed=seed)
    db = connect(f"sqlite:///{campus / 'data' / 'ledger.sqlite'}")
    with CanBroker(socket_path, BITRATE), running_node(campus) as node:
        port = ports_of(campus).grpc
        monkeypatch.setenv("CAMPUS_GRPC__LISTEN", f"127.0.0.1:{port}")  # where it will be again
        gateway = WatchedGateway(make_gateway(campus, port, [can_line("can0", socket_path)]))
        senders = SegmentProcess(order, "can0")
        with gateway, senders:
            gateway.start()
            gateway.wait_until(lambda: len(rows(db)) > 10)
            kill(node)
            gateway.wait_until(lambda: gateway.status()["spool"]["waiting"] > 5)
            gateway.kill()
            gateway.start()  # the node is away: sessions begin with the keys that were lent
            with running_node(campus):
                senders.wait_until(lambda now: now.done == len(terminals), 90.0)
                gateway.wait_until(lambda: len(rows(db)) == len(terminals) * EACH)
                senders.stop()
                assert gateway.terminate() == 0
    kept = {(journal.hex().upper(), seq): body.hex().upper() for journal, seq, body, _ in rows(db)}
    assert kept == {
        (journal.upper(), seq): body.upper() for (journal, seq), body in written_by(senders).items()
    }
    assert not {name for name in alarms(db) if name.startswith(("record.", "spool.", "terminal."))}
    db.dispose()
