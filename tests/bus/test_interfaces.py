"""python-can finds our interfaces by the entry points that the package declares."""

import importlib
import subprocess
import tomllib
from pathlib import Path

import can

from hil_rig.processes import PYTHON, SOURCE, process_environment

TALK = """
import can, sys, tempfile
from hil_rig.virtual.can_broker import CanBroker
from hil_rig.virtual.can_bus import BusModel

def talk(interface, channel):
    with can.Bus(interface=interface, channel=channel, node="one") as one:
        with can.Bus(interface=interface, channel=channel, node="two") as two:
            one.send(can.Message(arbitration_id=0x18DA0001, data=b"found"))
            print(interface, bytes(two.recv(30).data).decode())

talk("campus-model", BusModel())
with tempfile.TemporaryDirectory() as directory, CanBroker(directory + "/can0.sock"):
    talk("campus-broker", directory + "/can0.sock")
"""


def declared() -> dict[str, str]:
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    points: dict[str, str] = project["entry-points"]["can.interface"]
    return points


def test_every_declared_interface_is_a_bus() -> None:
    assert set(declared()) == {"campus-model", "campus-broker"}
    for target in declared().values():
        module, _, name = target.partition(":")
        assert issubclass(getattr(importlib.import_module(module), name), can.BusABC)


def test_a_program_that_knows_only_python_can_gets_them_by_name(tmp_path: Path) -> None:
    installed = (
        tmp_path / "interfaces_of_this_checkout-1.dist-info"
    )  # what an installation leaves for importlib
    installed.mkdir()
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: interfaces-of-this-checkout\nVersion: 1\n"
    )
    lines = ["[can.interface]", *(f"{name} = {target}" for name, target in declared().items())]
    (installed / "entry_points.txt").write_text("\n".join(lines) + "\n")
    ended = subprocess.run(
        [*PYTHON, "-c", TALK],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=process_environment({"PYTHONPATH": str(tmp_path)}),
    )
    assert ended.stdout.split() == ["campus-model", "found", "campus-broker", "found"], ended.stderr
