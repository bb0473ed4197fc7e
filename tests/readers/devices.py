"""A device as small as can be that still tells a reader's mistakes apart: what it did, and what it forgot."""

from hil_rig.virtual.memory import PowerLost

COUNT = bytes.fromhex("8001000000")
"""Counts one up for ever; answers 4 bytes and 9000."""
ARM = bytes.fromhex("8002000000")
"""Sets a flag that power takes away."""
ARMED = bytes.fromhex("8003000000")
"""Answers the flag, 1 byte, and 9000."""
REFUSE = bytes.fromhex("8004000000")
"""Answers 6985."""
BREAK = bytes.fromhex("8005000000")
"""Is a mistake in the device."""
LOSE_POWER = bytes.fromhex("8006000000")
"""Loses power in the middle."""


class Counter:
    """Counts commands in a memory that survives, and knows since when it has had power.

    Args:
        number: 0 to 255; stands in its answer to reset, so that two of them can be told apart.
    """

    def __init__(self, number: int = 0) -> None:
        self.atr = bytes([0x3B, 0x68, 0, 0, 0, 0x73, 0xC8, 0x40, 0x13, 0, 0x90, number])
        self.count = 0
        self.resets = 0
        self.powered = False
        self._armed = False

    def power_on(self) -> None:
        self.powered, self._armed = True, False
        self.resets += 1

    def power_off(self) -> None:
        self.powered = self._armed = False

    def process(self, command: bytes) -> bytes:
        if not self.powered:
            raise PowerLost
        match command:
            case c if c == COUNT:
                self.count += 1
                return self.count.to_bytes(4) + b"\x90\x00"
            case c if c == ARM:
                self._armed = True
                return b"\x90\x00"
            case c if c == ARMED:
                return bytes([self._armed]) + b"\x90\x00"
            case c if c == REFUSE:
                return b"\x69\x85"
            case c if c == BREAK:
                raise ZeroDivisionError("a mistake in the card")
            case c if c == LOSE_POWER:
                self.count += 1
                raise PowerLost(b"\x00")
            case _:
                return command + b"\x90\x00"
