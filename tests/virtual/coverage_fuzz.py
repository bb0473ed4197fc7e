"""Fuzzing that follows the coverage of the chip's code, with atheris (the extra `fuzz`).

`python -m tests.virtual.coverage_fuzz NAME [-max_total_time=SECONDS …]`; NAME is a check of fuzz_checks.py,
the rest are options of libFuzzer. It ends with an error and the bytes that caused it when a check fails.
"""

import importlib
import sys
from typing import Any


def main(arguments: list[str]) -> int:
    """Run until libFuzzer ends; return 2 if the arguments or atheris are missing."""
    try:
        atheris: Any = importlib.import_module("atheris")  # an extra; it ships no types
    except ImportError:
        sys.stderr.write("atheris is missing: pip install 'campuscard[fuzz]'\n")
        return 2
    with atheris.instrument_imports(include=["hil_rig.virtual"]):
        checks = importlib.import_module("tests.virtual.fuzz_checks")
    if not arguments or arguments[0] not in checks.CHECKS:
        sys.stderr.write(f"say which: {', '.join(checks.CHECKS)}\n")
        return 2
    atheris.Setup([sys.argv[0], "-max_len=700", *arguments[1:]], checks.CHECKS[arguments[0]])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
