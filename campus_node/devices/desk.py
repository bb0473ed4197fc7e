"""Where devices of others come to, by gRPC or REST: the same rules and the same answers for both."""

import threading
from collections.abc import Sequence
from typing import Final

from campus_node.devices.board import DeviceBoard
from campus_node.devices.keys import DeviceKey, KeyRing
from campus_node.devices.reports import DeviceReport
from campus_node.devices.topology import Topology
from campus_node.wording import Sentence
from federation.clock import Clock
from federation.errors import NotPermitted, Overloaded

BURST_S: Final = 5.0  # so long a key that was quiet may go on faster


class Allowance:
    """How often each key may call: a bucket that fills again with time. Thread-safe.

    Args:
        calls_per_s: in the long run.
        clock: monotonic time.
    """

    def __init__(self, calls_per_s: float, clock: Clock) -> None:
        self._per_s = calls_per_s
        self._most = max(1.0, calls_per_s * BURST_S)
        self._clock = clock
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}  # by key: calls left, as of when

    def spend(self, key: str) -> None:
        """Count a call; raise Overloaded, with when to come back, if there were too many."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            left, then_s = self._left.get(key, (self._most, now_s))
            left = min(self._most, left + (now_s - then_s) * self._per_s)
            self._left[key] = (left - 1 if left >= 1 else left, now_s)
        if left < 1:
            raise Overloaded(max(1, round((1 - left) / self._per_s * 1000)))


class ReportDesk:
    """Takes reports of devices of others under a key, and tells what is known of all.

    Args:
        board: where reports are kept.
        keys: who may call.
        clock: of the campus.
        calls_per_s: for each key.
    """

    def __init__(self, board: DeviceBoard, keys: KeyRing, clock: Clock, calls_per_s: float) -> None:
        self._board = board
        self._keys = keys
        self._clock = clock
        self._allowance = Allowance(calls_per_s, clock)

    def admit(self, authorization: str) -> DeviceKey:
        """Return the key of a caller, before anything else of the call is read.

        Raises:
            NotIdentified: it shows no key of ours.
            Overloaded: it calls too often.
            StoreDown: the database does not answer.
        """
        key = self._keys.recognise(authorization)
        self._allowance.spend(key.key)
        return key

    def report(self, key: DeviceKey, reports: Sequence[DeviceReport]) -> int:
        """Take reports, all or none; return how many were newer than what was known. May be repeated.

        Raises:
            NotPermitted: one is of a kind that the key is not good for.
            Unreadable, Refused: see `DeviceBoard.take_reports`.
            StoreDown, OutcomeUnknown: repeat.
        """
        foreign = sorted({report.kind for report in reports} - set(key.kinds))
        if foreign:
            raise NotPermitted(
                Sentence(
                    'key {key} may not report "{kind}": it is good for: {kinds}',
                    key=key.key,
                    kind=foreign[0][:63],
                    kinds=", ".join(key.kinds) or "-",
                )
            )
        return self._board.take_reports(key.key, reports, self._clock.unix_ms())

    def read(self, key: DeviceKey) -> Topology:
        """Return what is known of all devices.

        Raises:
            NotPermitted: the key is not good for that.
        """
        if not key.reads:
            raise NotPermitted(
                Sentence("key {key} may not read: make one with campus device key create --read", key=key.key)
            )
        return self._board.all(self._clock.unix_ms())
