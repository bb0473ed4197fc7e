"""One gateway with CAN, RS-485, TCP and a thin link between a node and tills (B3, B4.1, B4.4, A10, A16)."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from campus_node.firmware.image import sign
from campus_node.notices.key import read_key
from hil_rig.building import free_port
from hil_rig.senders.order import SegmentLine
from hil_rig.virtual.can_broker import CanBroker
from hil_rig.virtual.radio_hub import RadioHub
from hil_rig.virtual.serial_hub import PtyHub
from tests.gateway.places import can_line
from tests.gateway.test_gateway_lines import certified
from tests.gateway.whole import ALICE, BOB, ISSUER, MODEL, WholeTill, whole_campus
from tests.outage_lines.segments import terminal

pytestmark = pytest.mark.slow

BITRATE, BAUD = 250_000, 115_200
WAIT_S = 120.0
CONTENT = random.Random("four lines").randbytes(16_000)
LOST = "00000001000000000042"


@pytest.fixture
def sockets() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="four-") as directory:  # a short path: sockets have 108 bytes
        yield Path(directory)


def test_firmware_and_a_lost_card_reach_a_till_on_each_line_though_the_gateway_is_killed(
    tmp_path: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whos = {
        "can0": terminal(1, 17),
        "serial0": terminal(2, 17),
        "tills": terminal(3, 0),
        "air0": terminal(4, 17),
    }
    port = free_port()
    with ExitStack() as ending:
        campus = ending.enter_context(
            whole_campus(tmp_path, {line: [who] for line, who in whos.items()}, monkeypatch)
        )
        ending.enter_context(CanBroker(sockets / "can0", BITRATE))
        wire = ending.enter_context(PtyHub(["head", whos["serial0"].name]))
        for name, path in wire.paths.items():
            (sockets / name).symlink_to(path)
        ending.enter_context(RadioHub(sockets / "air0", 7))
        gateway = ending.enter_context(
            campus.gateway(
                [
                    can_line("can0", sockets / "can0", BITRATE),
                    f'name = "serial0"\nkind = "serial"\ndevice = "{sockets / "head"}"\nbaud = {BAUD}',
                    f'name = "tills"\nkind = "tcp"\nlisten = "127.0.0.1:{port}"',
                    f'name = "air0"\nkind = "thin"\nsocket = "{sockets / "air0"}"',
                ]
            )
        )
        gateway.start()
        campus.say("firmware", "key")
        pins = campus.say("terminal", "pins", "--issuer", ISSUER.hex())
        lines = {
            "can0": SegmentLine("can", str(sockets / "can0"), BITRATE),
            "serial0": SegmentLine("serial", str(sockets), BAUD),
            "tills": SegmentLine(
                "tcp",
                f"127.0.0.1:{port}",
                server_name="canteen.gateway.north.campus.test",
                authority=str(campus.place / "pki" / "campus.pem"),
            ),
        }
        whos["tills"] = certified(campus.place, whos["tills"])
        tills = {
            name: ending.enter_context(
                WholeTill(
                    tmp_path / "tills",
                    lines.get(name, lines["can0"]),
                    who,
                    pins,
                    sockets / "air0" if name == "air0" else None,
                )
            )
            for name, who in whos.items()
        }
        for till in tills.values():
            till.sell(1)
            till.wait_until(lambda till=till: till.journal.durable_through == 1, WAIT_S)

        image = tmp_path / "pos-7.fw"
        image.write_bytes(sign(read_key(campus.place / "pki" / "firmware.key"), CONTENT, MODEL, 7, 3))
        campus.say("firmware", "rollout", image, "--force", "--hold-s", 0, *ALICE)
        slow = tills["air0"].receiver.blocks
        tills["air0"].wait_until(lambda: slow.progress[0] > 0, WAIT_S)
        campus.say("card", "register", LOST, "--issuer", ISSUER.hex(), "--account", "online/42", *BOB)
        assert campus.say("card", "lost", LOST, *BOB)["hotlist_version"] == 1
        gateway.kill()
        assert 0 < slow.progress[0] < slow.progress[1], "it was killed in the middle"
        gateway.start()

        for till in tills.values():
            till.wait_until(lambda till=till: till.refuses(bytes.fromhex(LOST)), WAIT_S)
        gateway.wait_until(
            lambda: set(states(campus.say("firmware", "status", f"{MODEL}-7"))) == {"stored"}, WAIT_S
        )
        assert len(states(campus.say("firmware", "status", f"{MODEL}-7"))) == len(tills)
        for till in tills.values():
            kept = (tmp_path / "tills" / f"{till.who.name}.images" / "firmware.blocks").read_bytes()
            assert kept == image.read_bytes()
            assert {label.version for label in till.images} == {7}
        assert gateway.terminate() == 0


def states(status: dict[str, list[dict[str, str]]]) -> list[str]:
    """Return how far each terminal said, sealed, that it is."""
    return [each["state"] for each in status["terminals"]]
