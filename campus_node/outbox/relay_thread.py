"""Runs a relay in a thread of its own for as long as the node lives."""

import logging
import threading
from typing import Final

from campus_node.outbox.relay import OutboxRelay
from federation.errors import Unavailable

POLL_S: Final = 0.5  # how soon a message leaves that nobody announced by `wake`
DATABASE_PAUSE_S: Final = 5.0  # after the database did not answer

_log = logging.getLogger(__name__)


class RelayThread:
    """Starts and stops with the node; ends between two messages, never within one."""

    def __init__(self, relay: OutboxRelay, poll_s: float = POLL_S) -> None:
        self._relay = relay
        self._poll_s = poll_s
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox-relay", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look now: something was enqueued."""
        self._woken.set()

    def stop(self, timeout_s: float) -> bool:
        """End after the message that is being delivered. False = that took longer; it is delivered again."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            pause_s = self._poll_s
            try:
                if self._relay.run_once(lambda: not self._stopping.is_set()).tried:
                    continue
            except Unavailable as error:
                _log.warning("outbox.waits_for_database error=%s", error)
                pause_s = DATABASE_PAUSE_S
            except Exception:  # the thread's own loop: a mistake of ours must not end all deliveries
                _log.exception("outbox.round_failed")
                pause_s = DATABASE_PAUSE_S
            if not self._stopping.is_set():
                self._woken.wait(pause_s)
