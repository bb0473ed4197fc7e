"""A stranger in an honest terminal's place: it has the line, the address and what it heard, and no PSAM."""

import os
import random

from campus_node.lines import handshake as shake
from campus_node.lines.errors import LineDown, PeerGone
from campus_node.lines.line import HEAD
from federation.clock import SystemClock
from federation.errors import Overloaded
from hil_rig.senders.lines import open_line
from hil_rig.senders.order import SegmentLine, SenderOrder

CLOCK = SystemClock()
PUMP_S = 0.02


class Impostor:
    """A context manager.

    Args:
        where: the line.
        place: the terminal in whose place it sits.
        seed: of what it makes up.
    """

    def __init__(self, where: SegmentLine, place: SenderOrder, seed: int) -> None:
        self.place = place
        self.luck = random.Random(f"stranger {seed} {place.name}")
        self.heard: list[bytes] = []
        self.number = 1_000_000
        self._stop, self._told = os.pipe()
        self._open = open_line(where, place, CLOCK, self._stop)

    def __enter__(self) -> "Impostor":
        return self

    def __exit__(self, *_about: object) -> None:
        self._open.line.close()
        os.close(self._told)
        os.close(self._stop)

    def pump(self, seconds: float) -> None:
        """Drive the line for so long."""
        until_s = CLOCK.monotonic_s() + seconds
        while (now_s := CLOCK.monotonic_s()) < until_s:
            due_s = self._open.line.step(now_s)
            while (received := self._open.line.receive(0)) is not None:
                self.heard.append(received.message)
            self._open.wait(min(due_s - CLOCK.monotonic_s(), PUMP_S))

    def say(self, message: bytes) -> bool:
        """Put a message on the line; tell whether the line took it."""
        try:
            self._open.line.send(HEAD, message)
        except (Overloaded, PeerGone, LineDown):
            self.pump(0.1)
            return False
        return True

    def hello(self, claimed: SenderOrder) -> bytes:
        """Return a HELLO in the name of a terminal; only its PSAM could go on from there."""
        self.number += 1
        return shake.Hello(
            self.place.address,
            bytes.fromhex(claimed.terminal_id),
            bytes.fromhex(claimed.psam_serial),
            claimed.usage,
            claimed.key_version,
            claimed.algorithm,
            self.number,
            self.luck.randbytes(shake.NONCE_BYTES),
        ).encode()

    def impersonate(self, claimed: SenderOrder, patience_s: float = 30.0) -> bool:
        """Ask for a session in a terminal's name and invent the proof; tell whether it was challenged."""
        before = len(self.heard)
        until_s = CLOCK.monotonic_s() + patience_s
        while CLOCK.monotonic_s() < until_s:
            self.say(self.hello(claimed))
            self.pump(1.0)  # then again: nobody may have asked this address yet
            for message in self.heard[before:]:
                if message[:1] == bytes((shake.CHALLENGE,)):
                    session = shake.Challenge.parse(message).session
                    self.say(shake.Proof(session, self.luck.randbytes(shake.PROOF_BYTES)).encode())
                    self.say(self.envelope(session))
                    self.pump(0.5)
                    return True
        return False

    def envelope(self, session: int) -> bytes:
        """Return something that looks like a record in an envelope."""
        return b"\1" + session.to_bytes(4, "big") + self.luck.randbytes(4 + 130)

    def garbage(self) -> bytes:
        """Return bytes that begin like a message of ours, or not even that."""
        kind = self.luck.choice([b"", b"\x01", b"\x11", b"\x12", b"\x13", b"\x14", b"\x21"])
        return kind + self.luck.randbytes(self.luck.randint(1, 60))
