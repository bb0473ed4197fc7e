"""The system's PC/SC service with virtual readers, into which the rig lays cards and PSAMs in software.

There can be one pcscd on a machine, because the place of its socket is fixed. So one that runs and lists
virtual readers is used as it is and never stopped; else one of our own is started, with a configuration
of its own, and stopped by its process id. Nothing is written outside the given directory.

The readers' driver, vpcd, listens on all addresses of the machine: whoever reaches its ports can lay a card
into the reader. Keep them off the network; only test keys belong into a virtual card.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice, pairwise
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from campus_node.purse import pcsc
from campus_node.purse.errors import ReaderLost
from federation.clock import Clock, SystemClock
from federation.errors import Misconfigured
from hil_rig.processes import ProcessFailed

ADVICE: Final = "run `scripts/services pcsc` and then `scripts/bootstrap dev`"
SOCKET: Final = Path("/run/pcscd/pcscd.comm")
PID_FILE: Final = Path("/run/pcscd/pcscd.pid")
SYSTEM_CONFIGURATION: Final = Path("/etc/reader.conf.d")
PROGRAMS: Final = ("/usr/sbin", "/usr/local/sbin", "/usr/bin")  # not always on the path
DRIVERS: Final = ("/usr/lib/pcsc/drivers/serial", "/usr/lib64/pcsc/drivers/serial")
DRIVER: Final = "libifdvpcd.so"
FIRST_PORT: Final = 0x8C7B  # what the driver's own package takes; ours too where it is free
PORT_END: Final = 0xA000
SLOTS_A_DRIVER: Final = (
    2  # fixed when the driver was compiled; a further pair needs a copy under another name
)
READERS_MAX: Final = 16  # of one pcscd
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 15.0
POLL_S: Final = 0.02
LOG_TAIL_BYTES: Final = 3_000


@dataclass(frozen=True, slots=True)
class Slot:
    """One virtual reader.

    Args:
        reader: its name in the PC/SC service.
        host: where its driver listens for a card.
        port: on which.
    """

    reader: str
    host: str
    port: int


def missing() -> Sequence[str]:
    """Return what virtual readers lack on this machine; empty = nothing."""
    lacks = {
        "pyscard": find_spec("smartcard") is None,
        "pcscd": _program() is None,
        "vsmartcard-vpcd": _driver() is None,
    }
    return [name for name, lacking in lacks.items() if lacking]


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
        if _somebody_answers():
            self.slots = self._demand(_slots_of(_running_configuration()))
            return
        self._configure()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *_as_root(),
                    str(_program()),
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
        self._ports = self._ports or _free_ports(pairs)
        self._configuration.mkdir(parents=True, exist_ok=True)
        driver = _driver()
        assert driver is not None
        for pair, port in enumerate(self._ports):
            if pair:  # a driver knows its own two slots only, and is loaded once under one name
                driver = self._directory / f"pair{pair}-{DRIVER}"
                shutil.copy(_driver() or driver, driver)
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
            if _somebody_answers():
                slots = _slots_of(self._configuration)
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


def _slots_of(configuration: Path) -> Sequence[Slot]:
    """Return the virtual readers that the running service lists, with the ports of this configuration."""
    ports = _configured_ports(configuration)
    try:
        names = pcsc.readers()
    except ReaderLost:  # it is starting, or has just ended
        return ()
    slots = []
    for name in names:
        parts = re.fullmatch(r"(.*) [0-9A-F]{2} ([0-9A-F]{2})", name)
        if parts is not None and parts[1] in ports:
            slots.append(Slot(name, "127.0.0.1", ports[parts[1]] + int(parts[2], 16)))
    return slots


def _configured_ports(configuration: Path) -> Mapping[str, int]:
    """Return the first port of each reader with our driver, by the reader's name without its numbers."""
    ports = {}
    for path in sorted(configuration.iterdir()) if configuration.is_dir() else ():
        text = path.read_text(errors="replace")
        blocks = re.split(r"(?m)^\s*(?=FRIENDLYNAME)", text)
        for block in blocks:
            entry = dict(re.findall(r'(?m)^\s*([A-Z]+)\s+"?([^"\n]*?)"?\s*$', block))
            if "vpcd" in entry.get("LIBPATH", "") and "FRIENDLYNAME" in entry:
                ports[entry["FRIENDLYNAME"]] = int(entry.get("CHANNELID", str(FIRST_PORT)), 0)
    return ports


def _running_configuration() -> Path:
    """Return where the running service has its readers from."""
    try:
        pid = PID_FILE.read_bytes().strip(b"\0\n ").decode()
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return SYSTEM_CONFIGURATION
    for option, value in pairwise(arguments):
        if option in (b"--config", b"-c"):
            return Path(value.decode())
    return SYSTEM_CONFIGURATION


def _somebody_answers() -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(SOCKET))
        except OSError:
            return False
        return True


def _program() -> str | None:
    return shutil.which("pcscd", path=os.pathsep.join(PROGRAMS))


def _driver() -> Path | None:
    found = (Path(directory) / DRIVER for directory in DRIVERS)
    return next((path for path in found if path.exists()), None)


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


def _send_signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if os.geteuid() == 0:
        process.send_signal(number)
        return
    pid = PID_FILE.read_bytes().strip(b"\0\n ").decode()  # of pcscd itself: sudo stands between
    subprocess.run([*_as_root(), "kill", f"-{number.value}", pid], check=False)


def _free_ports(pairs: int) -> Sequence[int]:
    """Return the first port of each pair: both of it are free on every address."""
    candidates = range(FIRST_PORT, PORT_END, SLOTS_A_DRIVER)
    free = (port for port in candidates if all(_is_free(port + slot) for slot in range(SLOTS_A_DRIVER)))
    return list(islice(free, pairs))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True
