"""A card that plays back a recorded exchange, byte for byte, and accepts no other command."""


class RecordedCard:
    """A channel to a recording.

    Args:
        script: one exchange a line, `command > answer`, in hexadecimal; spaces do not count. An answer may be
            empty: the card fell silent in the middle of it.
    """

    reader = "recorded"

    def __init__(self, script: str) -> None:
        self._left = [line for line in script.splitlines() if line.strip()]

    def power_on(self) -> bytes:
        return bytes.fromhex("3B6800000073C84013009000")

    def reset(self) -> bytes:
        return self.power_on()

    def transmit(self, command: bytes) -> bytes:
        assert self._left, f"nothing was recorded after this, but came {command.hex(' ')}"
        wanted, _, answer = self._left.pop(0).partition(">")
        assert command == bytes.fromhex(wanted), f"recorded was {wanted.strip()}, came {command.hex(' ')}"
        return bytes.fromhex(answer)

    def close(self) -> None:
        pass

    def assert_played(self) -> None:
        """Fail unless everything that was recorded was asked for."""
        assert not self._left, f"nobody asked for {self._left}"
