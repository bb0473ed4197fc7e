"""Loaded by Python at start-up: lets a test set the wall clock of one process, while it runs, through a file.

The file that STEPPED_CLOCK_FILE names holds milliseconds to add. The monotonic clock stays as it is.
"""

import os
import time

PATH = os.environ.get("STEPPED_CLOCK_FILE", "")
if PATH:
    real_time_ns = time.time_ns

    def stepped_time_ns() -> int:
        with open(PATH, encoding="ascii") as file:
            return real_time_ns() + int(file.read() or 0) * 1_000_000

    time.time_ns = stepped_time_ns
