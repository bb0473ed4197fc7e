"""A card that answers DEBIT with a wrong MAC2, as a forged one would."""

from campus_node.purse.channel import CardChannel

DEBIT = b"\x80\x54"


class ForgedChannel:
    """A channel whose card gives a wrong MAC2."""

    def __init__(self, inner: CardChannel) -> None:
        self._inner = inner

    @property
    def reader(self) -> str:
        return self._inner.reader

    def power_on(self) -> bytes:
        return self._inner.power_on()

    def reset(self) -> bytes:
        return self._inner.reset()

    def transmit(self, command: bytes) -> bytes:
        answer = self._inner.transmit(command)
        if command[:2] != DEBIT or len(answer) != 10:
            return answer
        return answer[:7] + bytes([answer[7] ^ 1]) + answer[8:]

    def close(self) -> None:
        self._inner.close()


def forge_mac2(channel: CardChannel) -> CardChannel:
    return ForgedChannel(channel)
