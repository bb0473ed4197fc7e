"""What a serving node looks at all the time: can the ledger post, who is still to be trusted."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import structlog

from campus_node.ledger.engine import Engine, EngineState
from campus_node.serving.callers import Callers
from campus_node.serving.health import Health
from federation.errors import Misconfigured

STATE_POLL_S: Final = 0.1

Alarm = Callable[[str, str, str, dict[str, object]], None]


class Serving(Protocol):
    """What has streams: posting, and gateways."""

    def recheck(self) -> None:
        """Cut the streams of callers that are not accepted any more."""


_log = structlog.get_logger(__name__)


async def watch_engine(engine: Engine, health: Health) -> EngineState:
    """Keep health as the engine's state is; return when the engine has ended by itself."""
    shown: EngineState | None = None
    while True:
        state = engine.state
        if state is not shown:
            await health.tell(serving=state is EngineState.SERVING)
            _log.info("ledger.state", state=state.value)
            shown = state
        if state in {EngineState.LEASE_LOST, EngineState.STOPPED}:
            return state
        await asyncio.sleep(STATE_POLL_S)


async def watch_trust(
    callers: Callers, services: Sequence[Serving], paths: list[Path], poll_s: float, alarm: Alarm
) -> None:
    """Reload our trust when its files change, and cut the streams of those who are not accepted any more."""
    seen = _stamp(paths)
    while True:
        await asyncio.sleep(poll_s)
        now = _stamp(paths)
        if now != seen:
            seen = now
            try:
                callers.reload()
                _log.info("trust.reloaded")
            except Misconfigured as error:
                alarm("trust.not_reloaded", "serious", "pki", {"why": str(error)})
        for service in services:
            service.recheck()


def _stamp(paths: list[Path]) -> list[int]:
    return [path.stat().st_mtime_ns if path.exists() else 0 for path in paths]
