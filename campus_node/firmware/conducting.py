"""Lets the conductor look every few seconds for as long as the node lives."""

import asyncio
import logging
from concurrent.futures import Executor
from typing import Final

from campus_node.firmware.conductor import Conductor
from federation.errors import CampusCardError, Unavailable

EVERY_S: Final = 5.0

_log = logging.getLogger(__name__)


async def conduct(conductor: Conductor, threads: Executor, every_s: float = EVERY_S) -> None:
    """Step the conductor until cancelled; a database that is away only makes it wait."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            await loop.run_in_executor(threads, conductor.step)
        except Unavailable as error:
            _log.warning("firmware.waits error=%s", error)
        except CampusCardError:
            _log.exception("firmware.step_failed")
        await asyncio.sleep(every_s)
