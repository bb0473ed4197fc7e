"""A stranger on every line injects, replays, impersonates and floods: nothing is taken, and he is named."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from campus_node.database.connect import connect, reading
from campus_node.watch.store import find
from hil_rig.building import GATEWAY, Building, Segment, Work, free_port
from hil_rig.gateway_process import can_bus, serial_bus
from hil_rig.senders.order import SegmentLine
from hil_rig.senders.process import SegmentProcess
from tests.outage_lines.siege import BAUD, CAN_BITRATE, PATIENCE_S, run_checker
from tests.strangers.impostor import CLOCK, Impostor
from tests.strangers.taps import CanTap, SerialTap, Tap, listening

pytestmark = pytest.mark.slow

HONEST = 3  # on each line; the stranger sits in the place of a fourth that is registered
RECORDS_EACH = 30
WORK = Work(RECORDS_EACH, 1.0, again=2)
FLOODER = 0x09


@pytest.fixture
def sockets() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="strangers-") as directory:
        yield Path(directory)


def lines(ending: ExitStack, sockets: Path) -> list[Segment]:
    ending.enter_context(can_bus(sockets / "can0", CAN_BITRATE))
    ptys = sockets / "serial0"
    ptys.mkdir()
    names = [f"serial0-{number:03d}" for number in range(1, HONEST + 2)]
    ending.enter_context(serial_bus(ptys, ["head", "tap", *names]))
    return [
        Segment("can0", SegmentLine("can", str(sockets / "can0"), CAN_BITRATE), HONEST + 1),
        Segment("serial0", SegmentLine("serial", str(ptys), BAUD), HONEST + 1, device=str(ptys / "head")),
        Segment("tcp0", SegmentLine("tcp", f"127.0.0.1:{free_port()}"), HONEST + 1),
    ]


def attack(impostor: Impostor, tap: Tap | None, process: SegmentProcess) -> None:
    """Do everything that somebody can do who has the line and no PSAM."""
    victim = process.order.terminals[0]
    for _ in range(3):
        assert impostor.impersonate(impostor.place), "nobody answers the stranger: the attack is none"
        impostor.impersonate(victim, patience_s=3.0)
    recorded: list[bytes] = []
    if tap is not None:
        assert tap.replay(victim.address) > 0
        recorded = [message for message in tap.messages_of(victim.address) if message[0] == 1]
        assert recorded, "nothing of the victim was heard"
    for message in recorded:
        impostor.say(message)
        impostor.say(message[:-1] + bytes((message[-1] ^ 1,)))
        impostor.pump(0.02)
    for _ in range(60):
        impostor.say(impostor.envelope(impostor.luck.randint(1, 20)))
        impostor.say(impostor.garbage())
        impostor.pump(0.02)
    if isinstance(tap, CanTap):
        tap.flood(FLOODER, 3000)


def alarms_of(building: Building) -> list[tuple[str, str]]:
    """Return name and subject of each alarm that reached the node."""
    database = connect(building.campus.database_url)
    with reading(database) as connection:
        found = [(each.alarm.name, each.alarm.subject) for each in find(connection)]
    database.dispose()
    return found


def wait_for_alarm(building: Building, name: str, subject: str) -> None:
    until_s = CLOCK.monotonic_s() + PATIENCE_S
    while not any(each == name and about.startswith(subject) for each, about in alarms_of(building)):
        assert CLOCK.monotonic_s() < until_s, f"no {name} about {subject}: {alarms_of(building)}"
        CLOCK.sleep(0.2)


def test_no_record_of_a_stranger_is_taken_he_is_named_and_honest_terminals_go_on(
    tmp_path: Path, sockets: Path, seed: int
) -> None:
    with ExitStack() as ending:
        segments = lines(ending, sockets)
        building = ending.enter_context(Building(tmp_path / "building", segments))
        building.gateway.terminate()  # it knows its roll now, so that it looks for who should be on a line
        building.gateway.start()
        taps: dict[str, Tap] = {
            "can0": CanTap(str(sockets / "can0")),
            "serial0": SerialTap(str(sockets / "serial0" / "tap"), BAUD),
        }
        ending.enter_context(listening(taps.values()))
        processes: list[SegmentProcess] = []
        for segment in segments:
            order = building.order(segment, WORK, seed)
            honest = replace(order, terminals=order.terminals[:HONEST])
            processes.append(ending.enter_context(SegmentProcess(honest, segment.name)))
        for process, segment in zip(processes, segments, strict=True):
            process.wait_until(lambda now: now.durable >= 2 * HONEST, PATIENCE_S)
            order = building.order(segment, WORK, seed)
            with Impostor(order.line, order.terminals[HONEST], seed) as impostor:
                attack(impostor, taps.get(segment.name), process)
        for segment in segments:
            wait_for_alarm(building, "line.forged", f"{GATEWAY}/{segment.name}")
        wait_for_alarm(building, "line.babbling", f"{GATEWAY}/can0/{FLOODER}")
        for process in processes:
            process.wait_until(lambda now: now.done == HONEST, PATIENCE_S)
            process.stop()
        building.gateway.terminate()
        building.node.terminate()
        files = [path for process in processes for path in process.files]
        said = run_checker(building.campus.ledger, files)
    assert said["holds"], said
    assert said["rows"] == said["acknowledged"] == RECORDS_EACH * HONEST * len(processes)
