"""A card or a PSAM in a process of its own, with a stopwatch: `python -m bench.purse_device`.

It serves like `campus rig card serve` and answers two commands of its own, which no card has: ECHO at
once, so that the bare round trip can be measured over the very same way, and METER with what was
computed since the last METER. It ends when its standard input does.
"""

import sys
import threading
import time
from dataclasses import replace
from typing import Final

from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.device import Device
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.psam import VirtualPsam
from hil_rig.virtual.vpcd import serve

ECHO: Final = bytes.fromhex("B0EC")  # class and instruction; Le zeros come back, Le being the last byte
METER: Final = bytes.fromhex("B0ED00000C")
HOST: Final = "127.0.0.1"
BALANCE_FEN: Final = 100_000
_DONE: Final = b"\x90\x00"


class Metered:
    """A device that counts its commands and the time it takes for them."""

    def __init__(self, inner: Device) -> None:
        self._inner = inner
        self.commands = 0
        self.computed_ns = 0

    @property
    def atr(self) -> bytes:
        return self._inner.atr

    def power_on(self) -> object:
        return self._inner.power_on()

    def power_off(self) -> object:
        return self._inner.power_off()

    def process(self, command: bytes) -> bytes:
        if command[:2] == ECHO:
            return bytes(command[-1]) + _DONE
        if command == METER:
            told = self.computed_ns.to_bytes(8, "big") + self.commands.to_bytes(4, "big") + _DONE
            self.computed_ns = self.commands = 0
            return told
        began_ns = time.perf_counter_ns()
        answer = self._inner.process(command)
        self.computed_ns += time.perf_counter_ns() - began_ns
        self.commands += 1
        return answer


def make_card(profile: str, balance_fen: int = BALANCE_FEN) -> VirtualCard:
    """Return a card of a shipped profile with this much in its electronic purse."""
    loaded = load_card_profile(profile)
    assert loaded.ep is not None, f"{profile} has no electronic purse"
    purse = replace(
        loaded.ep, balance_fen=balance_fen, balance_max_fen=max(balance_fen, loaded.ep.balance_max_fen)
    )
    return VirtualCard(replace(loaded, ep=purse))


def make_psam(profile: str) -> VirtualPsam:
    """Return a PSAM of a shipped profile."""
    return VirtualPsam(load_psam_profile(profile))


def main(kind: str, profile: str, port: int) -> None:
    """Serve until standard input ends; say when the driver has taken the connection."""
    device = make_card(profile) if kind == "card" else make_psam(profile)
    stop = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()

    def told(connected: bool) -> None:
        print("connected" if connected else "lost", flush=True)

    serve(Metered(device), HOST, port, stop, told)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
