"""The chip under card and PSAM: power, the parts of a command, dispatch, what a command may rely on."""

import os
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from federation.errors import Misconfigured
from hil_rig.virtual import status
from hil_rig.virtual.file_system import CHIP_GET_RESPONSE, CHIP_SLOT, Directory, File, FileSystem, Life
from hil_rig.virtual.memory import Memory, MemoryFailed, PowerLost

LE_ALL: Final = 256
OPTION_BLOCKED_6283: Final = 0x08
DONE: Final = status.DONE.to_bytes(2)
CLASSES: Final = frozenset({0x00, 0x04, 0x80, 0x84})

# What a blocked application still answers, by class and instruction.
WHEN_BLOCKED: Final = frozenset({0x00A4, 0x0084, 0x8418, 0x841E, 0x8416})


class Request(NamedTuple):
    """One command taken apart.

    Args:
        le: 1 to 256, as many answer bytes as are wanted; None = not said.
        challenge: the one that the command before it fetched, else empty.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    content: bytes
    le: int | None
    challenge: bytes

    @property
    def header(self) -> bytes:
        """Return CLA INS P1 P2 Lc."""
        return bytes((self.cla, self.ins, self.p1, self.p2, len(self.content)))

    def expect(self, length: int) -> None:
        """End with 6700 unless the content has this length."""
        if len(self.content) != length:
            raise status.Ended(status.WRONG_LENGTH)

    def expect_parameters(self, p1: int, p2: int) -> None:
        """End with 6A86 unless P1 and P2 are these."""
        if self.p1 != p1 or self.p2 != p2:
            raise status.Ended(status.WRONG_PARAMETERS)


Answerer = Callable[[Request], bytes]


class Chip:
    """State of one chip while it has power, and its way from command to answer.

    `commands` maps CLA << 8 | INS to what answers; whoever builds on a chip adds to it.
    `step` counts commands, `selection` the directories that were selected: what holds for one of them only
    keeps its number.

    Args:
        kind: CHIP_CARD or CHIP_PSAM.
        slots: makes what an empty memory begins with.

    Raises:
        Misconfigured: the memory belongs to another kind of chip.
    """

    def __init__(
        self,
        kind: int,
        slots: Callable[[], Mapping[str, bytes]],
        memory: Memory | None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.memory = Memory() if memory is None else memory
        if not self.memory.slots:
            self.memory.commit(slots())
        if self.memory.slots.get(CHIP_SLOT, b"\0")[0] & 0x7F != kind:
            raise Misconfigured("this memory belongs to a chip of another kind")
        self.random_bytes = random_bytes
        self.commands: dict[int, Answerer] = {}
        self.files = FileSystem(self.memory)
        self.step = 0
        self.selection = 0
        self.file: File | None = None
        self._powered = False
        self._get_response = bool(self.memory.slots[CHIP_SLOT][0] & CHIP_GET_RESPONSE)
        self._forget()

    def power_on(self) -> None:
        """Forget what is volatile; finish or undo a commit that was torn."""
        if self.memory.torn:
            self.memory.recover()
            self.files.read()
        self._forget()
        self._powered = True

    def power_off(self) -> None:
        """Forget what is volatile."""
        self._powered = False
        self._forget()

    @property
    def directory(self) -> Directory:
        """The current directory."""
        return self.files.directories[self._directory]

    def enter(self, directory: Directory) -> None:
        """Make a directory current; what was proved before no longer counts."""
        self._directory = directory.number
        self.selection += 1
        self.file = None
        self.pin_verified = False
        self.authenticated = False

    def give_challenge(self, length: int) -> bytes:
        """Return random bytes that the next command can use."""
        self._challenge = self.random_bytes(length)
        self._challenge_step = self.step
        return self._challenge

    def process(self, command: bytes) -> bytes:
        """Return the answer to one APDU. Raise PowerLost."""
        if not self._powered:
            raise PowerLost
        fetching = command[:2] == b"\x00\xc0"
        if not fetching:
            self.step += 1
        try:
            answer = self._fetch(command) if fetching else self._answer(command)
        except status.Ended as ended:
            return ended.sw.to_bytes(2)
        except MemoryFailed:
            return status.MEMORY_FAILED.to_bytes(2)
        except PowerLost:
            self.power_off()
            raise
        return answer

    def _forget(self) -> None:
        self.step += 1
        self.selection += 1
        self._directory = 0
        self._challenge = b""
        self._challenge_step = -2
        self._waiting = b""
        self.file = None
        self.pin_verified = False
        self.authenticated = False

    def _answer(self, command: bytes) -> bytes:
        self._waiting = b""
        if self.files.mf.life is Life.TERMINATED:
            raise status.Ended(status.NOT_SUPPORTED)
        request = self._request(command)
        code = request.cla << 8 | request.ins
        answerer = self.commands.get(code)
        if answerer is None:
            raise status.Ended(self._unknown(request))
        if self.directory.life is not Life.ACTIVE and code not in WHEN_BLOCKED:
            self._demand_not_blocked()
        content = answerer(request)
        if not content:
            return DONE
        if request.content and self._get_response:
            self._waiting = content
            return (status.MORE | len(content) & 0xFF).to_bytes(2)
        if (
            not request.content
            and len(content) != (request.le or LE_ALL)
            and (self._get_response or (request.le or LE_ALL) != LE_ALL)
        ):
            raise status.Ended(status.WRONG_LE | len(content) & 0xFF)
        return content + DONE

    def _request(self, command: bytes) -> Request:
        challenge = self._challenge if self._challenge_step == self.step - 1 else b""
        size = len(command)
        if size < 4:
            raise status.Ended(status.WRONG_LENGTH)
        cla, ins, p1, p2 = command[:4]
        if size == 4:
            return Request(cla, ins, p1, p2, b"", None, challenge)
        if size == 5:
            return Request(cla, ins, p1, p2, b"", command[4] or LE_ALL, challenge)
        end = 5 + command[4]
        if command[4] == 0 or size not in {end, end + 1}:
            raise status.Ended(status.WRONG_LENGTH)
        le = (command[end] or LE_ALL) if size > end else None
        return Request(cla, ins, p1, p2, command[5:end], le, challenge)

    def _unknown(self, request: Request) -> int:
        if request.cla not in CLASSES:
            return status.NO_CLASS
        if any(known & 0xFF == request.ins for known in self.commands):
            return status.NO_CLASS
        return status.NO_INSTRUCTION

    def _demand_not_blocked(self) -> None:
        if self.directory.life is Life.BLOCKED_FOR_EVER:
            raise status.Ended(status.LOCKED_FOR_EVER)
        if self.directory.life is Life.BLOCKED:
            raise status.Ended(blocked_sw(self.directory))

    def _fetch(self, command: bytes) -> bytes:
        waiting, self._waiting = self._waiting, b""
        if self.files.mf.life is Life.TERMINATED:
            raise status.Ended(status.NOT_SUPPORTED)
        if len(command) != 5 or command[2:4] != b"\0\0":
            raise status.Ended(status.WRONG_PARAMETERS if len(command) == 5 else status.WRONG_LENGTH)
        if not waiting:
            raise status.Ended(status.CONDITIONS)
        if command[4] != len(waiting) & 0xFF:
            self._waiting = waiting
            raise status.Ended(status.WRONG_LE | len(waiting) & 0xFF)
        return waiting + DONE


def blocked_sw(directory: Directory) -> int:
    """Return what SELECT and everything else say to a blocked application."""
    return status.FILE_BLOCKED if directory.options & OPTION_BLOCKED_6283 else status.NOT_SUPPORTED
