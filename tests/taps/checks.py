"""What the independent checkers say of a canteen."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from hil_rig import payment_checker, record_checker
from hil_rig.tills.canteen import Canteen


def check_payments(canteen: Canteen) -> dict[str, Any]:
    """Compare purses, screens and the node's tables; a process of its own."""
    said = _run(payment_checker.__file__, canteen, canteen.files)
    print({name: value for name, value in said.items() if name != "samples"})
    return said


def check_records(canteen: Canteen) -> dict[str, Any]:
    """Compare what tills wrote and were told with the node's tables; a process of its own."""
    return _run(record_checker.__file__, canteen, canteen.till_files)


def _run(script: str, canteen: Canteen, files: list[Path]) -> dict[str, Any]:
    asked = [sys.executable, "-I", script, "--node", canteen.building.campus.ledger, *map(str, files)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said
