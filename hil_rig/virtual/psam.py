"""The PSAM in software: the purchase secure access module of a terminal."""

import os
from collections.abc import Callable

from hil_rig.virtual.administration import Administration
from hil_rig.virtual.chip import Chip
from hil_rig.virtual.factory import psam_slots
from hil_rig.virtual.file_commands import FileCommands
from hil_rig.virtual.file_system import CHIP_PSAM
from hil_rig.virtual.memory import Memory
from hil_rig.virtual.profile_entries import PsamProfile
from hil_rig.virtual.sam_commands import SamCommands
from hil_rig.virtual.security_commands import SecurityCommands


class VirtualPsam:
    """A PSAM.

    Args:
        profile: what the PSAM is made from while its memory is empty; later only its ATR counts.
        memory: where it keeps its state; None = a new one in this process.
        random_bytes: gives that many random bytes.

    Raises:
        Misconfigured: the memory belongs to something else than a PSAM.
    """

    def __init__(
        self,
        profile: PsamProfile,
        memory: Memory | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._atr = profile.atr
        self._chip = Chip(CHIP_PSAM, lambda: psam_slots(profile), memory, random_bytes)
        FileCommands(self._chip, look_in_mf=True)
        SecurityCommands(self._chip)
        Administration(self._chip, psam=True)
        SamCommands(self._chip)

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        return self._atr

    @property
    def memory(self) -> Memory:
        """The non-volatile memory: for planning tears and counting writes."""
        return self._chip.memory

    def power_on(self) -> bytes:
        """Cold or warm reset: forget what is volatile, finish or undo a torn commit; return the ATR."""
        self._chip.power_on()
        return self._atr

    def power_off(self) -> None:
        """Forget what is volatile."""
        self._chip.power_off()

    def process(self, command: bytes) -> bytes:
        """Return the answer to one APDU: its bytes and two of status; every status word is in the table.

        Raises:
            PowerLost: at a tear that was planned in the memory, or if the power is off.
        """
        return self._chip.process(command)
