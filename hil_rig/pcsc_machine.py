"""What this machine has of the PC/SC service: its parts, whether it runs, and which readers are virtual."""

import fcntl
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

from campus_node.purse import pcsc
from campus_node.purse.errors import ReaderLost
from federation.clock import Clock, SystemClock
from hil_rig.processes import ProcessFailed

SOCKET: Final = Path("/run/pcscd/pcscd.comm")
PID_FILE: Final = Path("/run/pcscd/pcscd.pid")
SYSTEM_CONFIGURATION: Final = Path("/etc/reader.conf.d")
PROGRAMS: Final = ("/usr/sbin", "/usr/local/sbin", "/usr/bin")  # not always on the path
DRIVERS: Final = ("/usr/lib/pcsc/drivers/serial", "/usr/lib64/pcsc/drivers/serial")
DRIVER: Final = "libifdvpcd.so"
FIRST_PORT: Final = 0x8C7B  # what the driver's own package takes; ours too where it is free
PORT_END: Final = 0xA000
SLOTS_A_DRIVER: Final = 2  # fixed when the driver was compiled
LOCK: Final = Path(tempfile.gettempdir()) / f"campuscard-readers-{os.getuid()}.lock"
LOCK_TIMEOUT_S: Final = 280.0
LOCK_POLL_S: Final = 0.2


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
        "pcscd": program_path() is None,
        "vsmartcard-vpcd": driver_path() is None,
    }
    return [name for name, lacking in lacks.items() if lacking]


@contextmanager
def readers_to_ourselves(timeout_s: float = LOCK_TIMEOUT_S, clock: Clock | None = None) -> Iterator[None]:
    """Keep other runs of the rig on this machine away from its virtual readers; waits for them first.

    Raises:
        ProcessFailed: another run kept them for timeout_s.
    """
    clock = clock or SystemClock()
    deadline_s = clock.monotonic_s() + timeout_s
    with LOCK.open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if clock.monotonic_s() > deadline_s:
                    raise ProcessFailed(f"another run keeps the virtual readers: {LOCK}") from error
                clock.sleep(LOCK_POLL_S)
        yield


def slots_of(configuration: Path) -> Sequence[Slot]:
    """Return the virtual readers that the running service lists, with the ports of this configuration."""
    ports = _ports_in(configuration)
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


def _ports_in(configuration: Path) -> Mapping[str, int]:
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


def running_configuration() -> Path:
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


def somebody_answers() -> bool:
    """Tell whether a PC/SC service runs; where the system starts it on demand, this is a demand."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(SOCKET))
        except OSError:
            return False
        return True


def program_path() -> str | None:
    """Return where pcscd is."""
    return shutil.which("pcscd", path=os.pathsep.join(PROGRAMS))


def driver_path() -> Path | None:
    """Return where the driver of virtual readers is."""
    found = (Path(directory) / DRIVER for directory in DRIVERS)
    return next((path for path in found if path.exists()), None)


def free_ports(pairs: int) -> Sequence[int]:
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
