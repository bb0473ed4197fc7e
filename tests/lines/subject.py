"""Two ends of a session, with a PSAM in software at one and the key that was lent for it at the other."""

import random
from collections.abc import Callable
from itertools import count

from campus_node.lines.counterpart import LeasedKey, LeasedKeys, PsamSecret
from campus_node.lines.handshake import SecretSource
from campus_node.lines.head_sessions import HeadSessions
from campus_node.lines.line import Peer
from campus_node.lines.sessions import Taken, TerminalNames, TerminalSession
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.psam import Psam
from federation.clock import VirtualClock
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.profile import load_psam_profile
from hil_rig.virtual.psam import VirtualPsam

PEER = Peer(0x11)
TERMINAL = bytes.fromhex("112233445566")
SERIAL = bytes(9) + b"\1"
ISSUER = bytes.fromhex("4355434100000001")
KEY_3DES = bytes.fromhex("C8C8C8C8C8C8C8C81122334455667788")
KEY_SM4 = bytes.fromhex("C9C9C9C9C9C9C9C91122334455667788")
LATER = 1 << 62


class Counting:
    """A reservation that lasts as long as this process."""

    def __init__(self, first: int = 1) -> None:
        self._numbers = count(first)

    def take(self) -> int:
        return next(self._numbers)


def random_bytes(seed: str) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def names(algorithm: Algorithm = Algorithm.TDES, address: int = PEER) -> TerminalNames:
    usage = 0x28 if algorithm is Algorithm.TDES else 0x09
    return TerminalNames(TERMINAL, SERIAL, usage, 1, algorithm, address)


def psam_secret_source() -> PsamSecret:
    reader = VirtualReader(VirtualPsam(load_psam_profile("psam")))
    return PsamSecret(Psam(reader.channel()), ISSUER)


def lease(algorithm: Algorithm = Algorithm.TDES, expires_at_unix_ms: int = LATER) -> LeasedKey:
    key = KEY_3DES if algorithm is Algorithm.TDES else KEY_SM4
    usage = 0x28 if algorithm is Algorithm.TDES else 0x09
    return LeasedKey(TERMINAL, usage, 1, algorithm, key, expires_at_unix_ms)


def leased(algorithm: Algorithm = Algorithm.TDES, expires_at_unix_ms: int = LATER) -> LeasedKeys:
    return LeasedKeys({SERIAL: lease(algorithm, expires_at_unix_ms)}, VirtualClock())


class Ends:
    """A terminal and a head, and every message that went between them."""

    def __init__(
        self,
        algorithm: Algorithm = Algorithm.TDES,
        source: SecretSource | None = None,
        numbers: Counting | None = None,
        seed: str = "ends",
    ) -> None:
        self.now_s = 100.0
        self.tapped: list[bytes] = []
        own = source or leased(algorithm)
        self.terminal = TerminalSession(
            names(algorithm), own, numbers or Counting(), random_bytes(seed + "t")
        )
        self.head = HeadSessions(leased(algorithm), Counting(), random_bytes(seed + "h"))

    def to_head(self, message: bytes, peer: Peer = PEER) -> Taken:
        self.tapped.append(message)
        return self.head.take(peer, message, self.now_s)

    def to_terminal(self, message: bytes) -> Taken:
        self.tapped.append(message)
        return self.terminal.take(message, self.now_s)

    def begin(self) -> None:
        """Let a session begin."""
        hello = self.terminal.step(self.now_s)
        assert hello is not None
        challenge = self.to_head(hello).reply
        assert challenge is not None
        proof = self.to_terminal(challenge).reply
        assert proof is not None
        assert self.to_head(proof) == Taken(terminal_id=TERMINAL)
