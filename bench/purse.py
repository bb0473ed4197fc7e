"""Benchmark `purse`: a purchase over PC/SC and in this process, and the issuer's check of records."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

from bench.harness import BenchBroken, Report, Row, Sample
from bench.purse_device import ECHO, METER, Metered, make_card, make_psam
from bench.purse_records import card_keys, check_rates
from bench.purse_till import Shape, Till
from campus_node.purse.channel import CardChannel
from campus_node.purse.pcsc import PcscReader
from campus_node.purse.pcsc_service import Card
from federation.clock import SystemClock
from hil_rig.pcsc_daemon import PcscDaemon
from hil_rig.pcsc_machine import Slot, readers_to_ourselves
from hil_rig.virtual.in_process import VirtualReader

ROWS: Final = (
    Row("purse.pcsc", "purchase over pcscd ÷ its bare round trips", "ms", "lower", 1.5, 1.25),
    Row("purse.in_process", "purchase with PSAM in this process, beside its fsyncs", "ms", "lower", 3, 1),
    Row("purse.verify", "MAC2 and TAC of records, one core", "records/s", "higher", 15_000, 25_000),
    Row("purse.cos", "card and PSAM, mix of a purchase", "APDUs/s", "higher", 5_000, 15_000),
)
CARD_PROFILE: Final = "card-sm4"
PSAM_PROFILE: Final = "psam"
WARM_UP: Final = 100
CARD_WITHIN_S: Final = 30.0
END_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a round measures."""

    purchases: int
    purchases_pcsc: int
    records: int


FULL: Final = Sizes(purchases=2_000, purchases_pcsc=500, records=50_000)
QUICK: Final = Sizes(purchases=400, purchases_pcsc=100, records=10_000)


class PurseBench:
    """A terminal, a card and a PSAM: in this process, and in two processes behind the system's PC/SC service.

    Args:
        directory: an empty directory on a disk; journals lie there.
        quick: fewer purchases and records.
        report: who is told how it goes.
    """

    rows: Sequence[Row] = ROWS

    def __init__(self, directory: Path, *, quick: bool, report: Report) -> None:
        self._directory = directory
        self._sizes = QUICK if quick else FULL
        self._report = report
        self._stack = ExitStack()
        self._seen: dict[str, object] = {}

    def __enter__(self) -> Self:
        with self._stack:
            self._prepare()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _prepare(self) -> None:
        self._report.step("a terminal with card and PSAM in this process")
        self._devices = Metered(make_card(CARD_PROFILE)), Metered(make_psam(PSAM_PROFILE))
        card, sam = (VirtualReader(device).channel() for device in self._devices)
        self._near = self._till("near")
        self._near.lay(card, sam)
        self._near.buy(WARM_UP)

        self._report.step("pcscd with two virtual readers, card and PSAM in processes of their own")
        self._stack.enter_context(readers_to_ourselves())
        daemon = self._stack.enter_context(PcscDaemon(self._directory / "pcscd"))
        kinds = (("card", CARD_PROFILE), ("psam", PSAM_PROFILE))
        self._slots: list[Slot] = []
        for (kind, profile), slot in zip(kinds, daemon.slots, strict=False):
            self._stack.enter_context(served(kind, profile, slot))
            self._slots.append(slot)
        self._far = self._till("far")

    def _till(self, name: str) -> Till:
        till = Till(self._directory / f"{name}.journal", SystemClock())
        self._stack.callback(till.close)
        return till

    def run_round(self) -> Mapping[str, Sample]:
        """Measure each row once."""
        self._report.step(f"{self._sizes.purchases} purchases in this process")
        for device in self._devices:
            device.computed_ns = device.commands = 0
        near = self._near.buy(self._sizes.purchases)
        computed_ns = sum(device.computed_ns for device in self._devices)
        commands = sum(device.commands for device in self._devices)
        ours_ms = (near.took_ns - near.synced.took_ns) / near.purchases / 1e6
        self._seen["in_process_fsync_ms"] = round(near.synced.took_ns / near.purchases / 1e6, 4)
        self._seen["in_process_devices_ms"] = round(computed_ns / near.purchases / 1e6, 4)

        self._report.step(f"{self._sizes.purchases_pcsc} purchases over pcscd, bare commands in between")
        far = self._run_far()

        self._report.step(f"MAC2 and TAC of {self._sizes.records:,} records under each algorithm")
        rates = check_rates(self._sizes.records)
        self._seen["verify_per_s"] = {algorithm.name: round(rate) for algorithm, rate in rates.items()}
        return {
            "purse.pcsc": far,
            "purse.in_process": Sample(ours_ms),
            "purse.verify": Sample(min(rates.values())),
            "purse.cos": Sample(commands / computed_ns * 1e9),
        }

    def _run_far(self) -> Sample:
        """Buy, and after each purchase send bare commands of the same lengths, in its order, the same way."""
        purchases, commands = self._sizes.purchases_pcsc, 0
        took_ns = synced_ns = bare_ns = 0
        with self._laid() as lines:
            self._far.buy(WARM_UP)
            for line in lines:
                line.computed_ns()
            for _ in range(purchases):
                bought = self._far.buy(1)
                took_ns += bought.took_ns
                synced_ns += bought.synced.took_ns
                commands += len(bought.shapes)
                bare_ns += sum(lines[shape.place].round_trip_ns(shape) for shape in bought.shapes)
            computed_ns = sum(line.computed_ns() for line in lines)
        self._seen |= {
            "pcsc_purchase_ms": _each_ms(took_ns, purchases),
            "pcsc_fsync_ms": _each_ms(synced_ns, purchases),
            "pcsc_devices_ms": _each_ms(computed_ns, purchases),
            "pcsc_commands_a_purchase": round(commands / purchases, 2),
            "pcsc_bare_round_trip_ms": _each_ms(bare_ns, commands),
        }
        value_ns = took_ns - synced_ns - computed_ns
        return Sample(value_ns / purchases / 1e6, bare_ns / purchases / 1e6)

    @contextmanager
    def _laid(self) -> "Iterator[list[BareLine]]":
        """Lay card and PSAM on the far terminal's readers for as long as the block runs."""
        with ExitStack() as stack:
            channels = []
            for slot in self._slots:
                channel = PcscReader(slot.reader).wait_for_card(CARD_WITHIN_S)
                if channel is None:
                    raise BenchBroken(f"{slot.reader}: no card came within {CARD_WITHIN_S:.0f} s")
                stack.callback(channel.close)
                channels.append(channel)
            self._far.lay(*channels)
            yield [BareLine(channel) for channel in channels]

    def check(self) -> None:
        """Cards and journals agree, and every record's MAC2 and TAC are right."""
        self._report.step("cards against journals: balance, counters, records; MAC2 and TAC of each")
        keys = card_keys(CARD_PROFILE)
        self._near.check(keys)
        with self._laid():
            self._far.check(keys)

    def describe(self) -> Mapping[str, object]:
        """Tell what was used and what it took in detail."""
        return {"card": CARD_PROFILE, "psam": PSAM_PROFILE, **self._seen}


@contextmanager
def served(kind: str, profile: str, slot: Slot) -> Iterator[None]:
    """Have a device lie in a virtual reader, in a process of its own, until the block ends."""
    program = [sys.executable, "-m", "bench.purse_device", kind, profile, str(slot.port)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None, "a pipe was asked for"
        assert process.stdout is not None, "a pipe was asked for"
        try:
            if process.stdout.readline().strip() != "connected":
                raise BenchBroken(f"the {kind} in software did not come up")
            yield
        finally:
            process.stdin.close()  # it ends by itself
            try:
                process.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()


class BareLine:
    """The connection of a channel, used through the PC/SC library alone, without anything of ours.

    It has to be the same connection: the product's is exclusive, as it is between INIT and DEBIT.
    """

    def __init__(self, channel: CardChannel) -> None:
        self._scard: Any = import_module("smartcard.scard")  # a C extension without types
        self._reader = channel.reader
        self._card: Card = getattr(channel, "_card")  # noqa: B009  # nobody else needs it

    def round_trip_ns(self, shape: Shape) -> int:
        """Return what a command of these lengths takes that nobody computes anything for."""
        body = bytes(max(shape.sent - len(ECHO) - 4, 0))
        count = bytes([len(body)]) if body else b""
        command = list(ECHO + bytes(2) + count + body + bytes([shape.answered - 2]))
        began_ns = time.perf_counter_ns()
        self._transmit(command)
        return time.perf_counter_ns() - began_ns

    def computed_ns(self) -> int:
        """Return how long the device has computed since this was asked last."""
        return int.from_bytes(self._transmit(list(METER))[:8], "big")

    def _transmit(self, command: list[int]) -> bytes:
        code, answer = self._scard.SCardTransmit(self._card.handle, self._card.protocol, command)
        if code != self._scard.SCARD_S_SUCCESS or answer[-2:] != [0x90, 0x00]:
            raise BenchBroken(f"{self._reader}: a bare command failed: {code & 0xFFFFFFFF:08X}")
        return bytes(answer)


def _each_ms(total_ns: int, count: int) -> float:
    return round(total_ns / count / 1e6, 4)
