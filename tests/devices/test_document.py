"""The examples of docs/devices.md do what the page says, against a whole node (B5.2)."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from campus_node.devices.topology import instant
from federation.clock import SystemClock
from hil_rig.processes import NodeProcess
from tests.serving.node import make_campus

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")


def example(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def run(*command: str, environment: dict[str, str]) -> str:
    ended = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_the_examples_of_the_page_work_as_written(tmp_path: Path) -> None:
    assert shutil.which("curl"), "the page's examples need curl"
    campus = make_campus(tmp_path / "north")
    cli = sys.executable, "-m", "campus_node.cli"
    with NodeProcess(campus.path, campus.settings.domain, campus.tls()) as node:
        node.start()
        environment = dict(os.environ)
        run(*cli, "operator", "add", "alice", "-C", str(campus.path), environment=environment)
        made = run(
            *cli, "device", "key", "create", "doors", "--kind", "door-controller", "--read",
            "--operator", "alice", "--reason", "new gates", "-C", str(campus.path), "--json",
            environment=environment,
        )  # fmt: skip
        ports = campus.directory.ports()
        environment |= {
            "DOMAIN": campus.settings.domain,
            "ROOT": str(campus.path / "pki" / "root.pem"),
            "KEY": json.loads(made.splitlines()[-1])["key"],
            "PORT": str(ports.web),
            "GRPC_PORT": str(ports.devices),
            "NOW": str(instant(SystemClock().unix_ms())),
        }
        tell, read = example("sh")
        (python,) = example("python")
        assert json.loads(run("sh", "-c", tell, environment=environment)) == {"taken": 1}
        assert run(sys.executable, "-c", python, environment=environment) == "1\n"
        known = json.loads(run("sh", "-c", read, environment=environment))
        assert [(each["device"], each["health"]) for each in known["reported"]] == [
            ("east-1", "degraded"),
            ("west-1", "well"),
        ]
        assert node.terminate() == 0
