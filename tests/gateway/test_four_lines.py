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
CONTENT = random.Random("four lines").randbytes(24_000)  # many seconds over the thin link
SERVER = "canteen.gateway.north.campus.test"
LOST = "00000001000000000042"


@pytest.fixture
def sockets() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="four-") as directory:  # a short path: sockets have 108 bytes
        yield Path(directory)


class House:
    """A campus, a gateway on lines of four kinds, and a till on each, which has sold something."""

    def __init__(
        self, ending: ExitStack, directory: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        addresses = {"can0": 17, "serial0": 17, "tills": 0, "air0": 17}
        whos = {line: terminal(n, at) for n, (line, at) in enumerate(addresses.items(), 1)}
        planned = {line: [who] for line, who in whos.items()}
        self.campus = ending.enter_context(whole_campus(directory, planned, monkeypatch))
        ending.enter_context(CanBroker(sockets / "can0", BITRATE))
        wire = ending.enter_context(PtyHub(["head", whos["serial0"].name]))
        for name, path in wire.paths.items():
            (sockets / name).symlink_to(path)
        ending.enter_context(RadioHub(sockets / "air0", 7))
        listen = f"127.0.0.1:{free_port()}"
        self.gateway = ending.enter_context(
            self.campus.gateway(
                [
                    can_line("can0", sockets / "can0", BITRATE),
                    f'name = "serial0"\nkind = "serial"\ndevice = "{sockets / "head"}"\nbaud = {BAUD}',
                    f'name = "tills"\nkind = "tcp"\nlisten = "{listen}"',
                    f'name = "air0"\nkind = "thin"\nsocket = "{sockets / "air0"}"',
                ]
            )
        )
        self.gateway.start()
        self.campus.say("firmware", "key")
        pins = self.campus.say("terminal", "pins", "--issuer", ISSUER.hex())
        can = SegmentLine("can", str(sockets / "can0"), BITRATE)
        authority = str(self.campus.place / "pki" / "campus.pem")
        lines = {
            "can0": can,
            "serial0": SegmentLine("serial", str(sockets), BAUD),
            "tills": SegmentLine("tcp", listen, server_name=SERVER, authority=authority),
        }
        whos["tills"] = certified(self.campus.place, whos["tills"])
        self.images = directory / "tills"
        self.tills = {
            name: ending.enter_context(
                WholeTill(
                    self.images, lines.get(name, can), who, pins, sockets / name if name == "air0" else None
                )
            )
            for name, who in whos.items()
        }
        self.sell()

    def sell(self) -> None:
        """Let each till bring a record: it finds out what has become of its gateway."""
        for till in self.tills.values():
            till.sell(1)
            last = till.journal.last_seq
            till.wait_until(lambda till=till, last=last: till.journal.durable_through == last, WAIT_S)

    def states(self) -> list[str]:
        """Return how far each terminal said, sealed, that it is."""
        status = self.campus.say("firmware", "status", f"{MODEL}-7")
        return [each["state"] for each in status["terminals"]]


def test_firmware_and_a_lost_card_reach_a_till_on_each_line_though_the_gateway_is_killed(
    tmp_path: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as ending:
        house = House(ending, tmp_path, sockets, monkeypatch)
        campus, tills = house.campus, house.tills
        image = tmp_path / "pos-7.fw"
        image.write_bytes(sign(read_key(campus.place / "pki" / "firmware.key"), CONTENT, MODEL, 7, 3))
        campus.say("firmware", "rollout", image, "--force", "--hold-s", 0, *ALICE)
        slow = tills["air0"].receiver.blocks
        tills["air0"].wait_until(lambda: slow.progress[0] > 0, WAIT_S)
        campus.say("card", "register", LOST, "--issuer", ISSUER.hex(), "--account", "online/42", *BOB)
        assert campus.say("card", "lost", LOST, *BOB)["hotlist_version"] == 1
        house.gateway.kill()
        assert 0 < slow.progress[0] < slow.progress[1], "it was killed in the middle"
        house.gateway.start()
        house.sell()
        for till in tills.values():
            till.wait_until(lambda till=till: till.refuses(bytes.fromhex(LOST)), WAIT_S)
        house.gateway.wait_until(lambda: set(house.states()) == {"stored"}, WAIT_S)
        assert len(house.states()) == len(tills)
        for till in tills.values():
            kept = (house.images / f"{till.who.name}.images" / "firmware.blocks").read_bytes()
            assert kept == image.read_bytes()
            assert {label.version for label in till.images} == {7}
        assert house.gateway.terminate() == 0
