"""The system's PC/SC service with virtual readers, into which the rig lays cards and PSAMs in software.

There can be one pcscd on a machine, because the place of its socket is fixed. So one that runs and lists
virtual readers is used as it is and never stopped; else one of our own is started, with a configuration
of its own, and stopped by its process id. Nothing is written outside the given directory.

The readers' driver, vpcd, listens on all addresses of the machine: whoever reaches its ports can lay a card
into the reader. Keep them off the network; only test keys belong into a virtual card.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from federation.clock import Clock, SystemClock
from federation.errors import Misconfigured
from hil_rig.pcsc_machine import (
    DRIVER,
    PID_FILE,
    SLOTS_A_DRIVER,
    Slot,
    driver_path,
    free_ports,
    missing,
    program_path,
    running_configuration,
    slots_of,
    somebody_answers,
)
from hil_rig.processes import ProcessFailed

ADVICE: Final = "run `scripts/services pcsc` and then `scripts/bootstrap dev`"
READERS_MAX: Final = 16  # of one pcscd
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 15.0
POLL_S: Final = 0.02
LOG_TAIL_BYTES: Final = 3_000


class PcscDaemon:
    """The PC/SC service with virtual readers, for as long as its `with`.

    Args:
        directory: for configuration and log; made where it is missing.
        readers: how many virtual readers at least, 1 to 16. One more than 2 copies the driver.

    Raises:
        Misconfigured: something is missing here, or a pcscd runs that lists too few virtual readers.
        ProcessFailed: ours ended or did not come up in START_TIMEOUT_S.
    """

    def __init__(self, directory: Path, readers: int = 2, clock: Clock | None = None) -> None:
        assert 1 <= readers <= READERS_MAX
        if lacks := missing():
            raise Misconfigured(f"missing for virtual readers: {', '.join(lacks)}; {ADVICE}")
        self._directory = directory
        self._count = readers
        self._clock = clock or SystemClock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: Sequence[int] = ()
        self.slots: Sequence[Slot] = ()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def ours(self) -> bool:
        """Whether we started it, and so may stop it."""
        return self._process is not None

    @property
    def log_path(self) -> Path:
        return self._directory / "pcscd.log"

    def start(self) -> None:
        """Find or start the service; on the same ports as before if it was ours."""
        assert self._process is None, "already running"
        if somebody_answers():
            self.slots = self._demand(slots_of(running_configuration()))
            return
        self._configure()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *_as_root(),
                    str(program_path()),
                    "--foreground",
                    "--info",
                    "--config",
                    str(self._configuration),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the rig; the rig ends its processes itself
            )
        try:
            self.slots = self._demand(self._wait_for_readers())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the service if it is ours."""
        if self._process is None:
            return
        process, self._process = self._process, None
        _send_signal(process, signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            _send_signal(process, signal.SIGKILL)
            process.wait()

    def kill(self) -> None:
        """End our service as a crash would: SIGKILL. Its readers are lost until `start`."""
        assert self._process is not None, "not ours, or not running"
        process, self._process = self._process, None
        _send_signal(process, signal.SIGKILL)
        process.wait()

    def log_tail(self) -> str:
        """Return the end of what the service wrote about itself."""
        return self.log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    @property
    def _configuration(self) -> Path:
        return self._directory / "readers"

    def _configure(self) -> None:
        pairs = -(-self._count // SLOTS_A_DRIVER)
        self._ports = self._ports or free_ports(pairs)
        self._configuration.mkdir(parents=True, exist_ok=True)
        driver = driver_path()
        assert driver is not None
        for pair, port in enumerate(self._ports):
            if pair:  # a driver knows its own two slots only, and is loaded once under one name
                driver = self._directory / f"pair{pair}-{DRIVER}"
                shutil.copy(driver_path() or driver, driver)
            name = "Virtual PCD" if pair == 0 else f"Virtual PCD {pair + 1}"
            (self._configuration / f"vpcd{pair}").write_text(
                f'FRIENDLYNAME "{name}"\nDEVICENAME /dev/null:{port}\nLIBPATH {driver}\nCHANNELID {port}\n'
            )

    def _wait_for_readers(self) -> Sequence[Slot]:
        assert self._process is not None
        wanted = len(self._ports) * SLOTS_A_DRIVER
        deadline_s = self._clock.monotonic_s() + START_TIMEOUT_S
        while True:
            if (code := self._process.poll()) is not None:
                raise ProcessFailed(f"pcscd ended with {code}:\n{self.log_tail()}")
            if somebody_answers():
                slots = slots_of(self._configuration)
                if len(slots) >= wanted:
                    return slots
            if self._clock.monotonic_s() > deadline_s:
                raise ProcessFailed(f"pcscd lists no readers after {START_TIMEOUT_S} s:\n{self.log_tail()}")
            self._clock.sleep(POLL_S)

    def _demand(self, slots: Sequence[Slot]) -> Sequence[Slot]:
        if len(slots) < self._count:
            raise Misconfigured(
                f"a pcscd runs and lists {len(slots)} virtual readers, {self._count} are needed. Stop it, "
                "and one of our own is started; or install vsmartcard-vpcd and start it again"
            )
        return slots


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


def _send_signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if os.geteuid() == 0:
        process.send_signal(number)
        return
    pid = PID_FILE.read_bytes().strip(b"\0\n ").decode()  # of pcscd itself: sudo stands between
    subprocess.run([*_as_root(), "kill", f"-{number.value}", pid], check=False)
