"""Transfer ids: UUIDv7, chosen by whoever asks, before the first attempt.

Source: RFC 9562, 5.7 and 6.2 (method 1, counter of 12 bits). Ids of one source sort in the order in which
they were made, which keeps the index of the primary key small and warm.
"""

import os
from collections.abc import Callable
from typing import Final

from federation.clock import Clock, SystemClock

COUNTER_MAX: Final = 0xFFF
_VERSION: Final = 0x7 << 76
_VARIANT: Final = 0b10 << 62
_RANDOM_MASK: Final = (1 << 62) - 1


class TransferIds:
    """A source of transfer ids. Not for use by several threads at once.

    Args:
        clock: whose wall clock goes into the ids; when it is set back, the last instant is used on.
        random_bytes: returns as many random bytes as asked for.
    """

    def __init__(self, clock: Clock | None = None, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock or SystemClock()
        self._random_bytes = random_bytes
        self._last_unix_ms = 0
        self._counter = 0

    def next(self) -> bytes:
        """Return a new id; 16 bytes."""
        unix_ms = self._clock.unix_ms()
        if unix_ms > self._last_unix_ms:
            self._last_unix_ms, self._counter = unix_ms, 0
        elif self._counter < COUNTER_MAX:
            self._counter += 1
        else:  # 4096 in one millisecond: borrow from the next
            self._last_unix_ms, self._counter = self._last_unix_ms + 1, 0
        random = int.from_bytes(self._random_bytes(8), "big") & _RANDOM_MASK
        number = self._last_unix_ms << 80 | _VERSION | self._counter << 64 | _VARIANT | random
        return number.to_bytes(16, "big")
