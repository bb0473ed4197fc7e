"""A gateway process that a test can wait for."""

import json
from collections.abc import Callable
from typing import Any

from federation.clock import SystemClock
from hil_rig.gateway_process import GatewayProcess
from hil_rig.processes import ProcessFailed

POLL_S = 0.05


class WatchedGateway(GatewayProcess):
    """One gateway."""

    def wait_until(self, reached: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Wait until something holds. Raise ProcessFailed: it never did."""
        clock = SystemClock()
        until_s = clock.monotonic_s() + timeout_s
        while not reached():
            if clock.monotonic_s() > until_s:
                raise ProcessFailed(f"it never happened:\n{self.log_tail()}")
            clock.sleep(POLL_S)

    def ports(self) -> dict[str, Any]:
        """Return run/ports.json."""
        content: dict[str, Any] = json.loads((self._directory / "run" / "ports.json").read_text())
        return content
