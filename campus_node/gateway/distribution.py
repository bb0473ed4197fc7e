"""Carries out a node's orders on the lines of a gateway: images to terminals, all lines at once (B4.4, A15).

Where a line reaches many at once, one order at a time has it, revoked cards first and firmware last;
elsewhere each terminal gets blocks in a window. What a wire says is a hint: a terminal has an image when it
says so in a sealed message. Orders and images are on disk before anything is sent: kill -9 only costs time.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from campus_node.gateway.hooks import Building, Images, Place
from campus_node.gateway.order_files import OrderFiles, Task, task_of
from campus_node.gateway.window import Window
from campus_node.lines.distribution import Distributing, Distribution
from campus_node.lines.line import Line
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock
from federation.errors import CampusCardError

STEP_S: Final = 0.05
PROGRESS_EVERY_S: Final = 2.0
SEALED_WITHIN_S: Final = 10.0  # after the wire's hint; then the terminal is asked
AGAIN_AFTER_S: Final = 30.0  # for whom stayed silent on the wire
FAILED_AGAIN_AFTER_S: Final = 60.0
FETCH_AGAIN_S: Final = 5.0
SILENT_AFTER: Final = 3  # unanswered questions
UNICAST_AT_ONCE_MAX: Final = 8  # terminals of one line
_ENDED: Final = frozenset(
    {wire.DISTRIBUTION_STATE_STORED, wire.DISTRIBUTION_STATE_ACTIVE, wire.DISTRIBUTION_STATE_REFUSED}
)
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Terminal:
    """How far one terminal is with one order."""

    report: wire.DistributionReport | None = None
    silent: bool = False
    not_before_s: float = 0.0
    window: Window | None = None

    @property
    def ended(self) -> bool:
        return self.report is not None and self.report.state in _ENDED


@dataclass(slots=True)
class _Job:
    """One order under way."""

    task: Task
    terminals: dict[bytes, _Terminal]
    image: bytes | None = None
    fetch_not_before_s: float = 0.0
    changed: bool = True
    told_s: float = -PROGRESS_EVERY_S

    @property
    def ended(self) -> bool:
        return all(terminal.ended for terminal in self.terminals.values())


@dataclass(slots=True)
class _Running:
    """A multicast under way on a line."""

    line: Line
    number: int
    spread: Distribution
    addresses: dict[int, bytes] = field(default_factory=dict)


class Distributions:
    """What `hooks.Distributor` asks for.

    Args:
        building: the gateway's lines and sessions.
        images: where images are fetched.
        directory: keeps orders and images.
        clock: tells the time.

    Raises:
        Misconfigured: the directory cannot be used.
    """

    def __init__(self, building: Building, images: Images, directory: Path, clock: Clock) -> None:
        self._building = building
        self._images = images
        self._files = OrderFiles(directory)
        self._clock = clock
        self._jobs: dict[int, _Job] = {}
        self._running: dict[str, _Running] = {}
        self._fetching: set[bytes] = set()
        self._fetches: set[asyncio.Task[None]] = set()
        self._heard: deque[tuple[bytes, wire.DistributionReport]] = deque()
        self._wake: Callable[[], None] = threading.Event().set
        for order in self._files.orders():
            self._begin(order)

    def take_order(self, order: pb.Order) -> None:
        """See `hooks.Distributor`."""
        if not order.terminal_ids:
            self._end(order.order)
            return
        try:
            self._files.keep(order)
        except CampusCardError as error:
            _log.warning("distribution.order_not_kept order=%s error=%s", order.order, error)
        self._begin(order)
        self._wake()

    def heard(self, terminal_id: bytes, report: wire.DistributionReport) -> None:
        """See `hooks.Distributor`."""
        self._heard.append((terminal_id, report))
        self._wake()

    async def run(self) -> None:
        """See `hooks.Distributor`."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(woken.set)

        self._wake = wake
        try:
            while True:
                woken.clear()
                self.step(self._clock.monotonic_s())
                if not self._jobs:
                    await woken.wait()
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), STEP_S)
        finally:
            self._wake = threading.Event().set
            for fetch in self._fetches:
                fetch.cancel()
            for name in tuple(self._running):
                self._stop(name)

    def step(self, now_s: float) -> None:
        """Do all that is due; `run` calls it."""
        while self._heard:
            self._take(*self._heard.popleft(), now_s)
        now_unix_ms = self._clock.unix_ms()
        for number, job in tuple(self._jobs.items()):
            if job.task.expires_at_unix_ms <= now_unix_ms:
                self._end(number)
            elif job.image is None:
                self._want_image(job, now_s)
        lines = self._building.lines()
        for name in tuple(self._running):
            self._look_after(name, lines.get(name), now_s)
        for name, line in lines.items():
            if isinstance(line, Distributing):
                self._multicast(name, line, line, now_s)
            else:
                self._unicast(name, now_s)
        for number, job in tuple(self._jobs.items()):
            self._tell(number, job, now_s)

    # Orders and images.

    def _begin(self, order: pb.Order) -> None:
        try:
            task = task_of(order)
        except CampusCardError as error:
            _log.warning("distribution.order_refused order=%s error=%s", order.order, error)
            return
        known = self._jobs.get(order.order)
        terminals = {
            terminal_id: (known.terminals.get(terminal_id) if known else None) or _Terminal()
            for terminal_id in order.terminal_ids
        }
        job = known or _Job(task, terminals)
        job.task, job.terminals, job.changed = task, terminals, True
        self._jobs[order.order] = job

    def _end(self, number: int) -> None:
        self._files.drop(number)
        self._jobs.pop(number, None)
        for name, running in tuple(self._running.items()):
            if running.number == number:
                self._stop(name)
        self._files.drop_images_but(job.task.manifest for job in self._jobs.values())

    def _want_image(self, job: _Job, now_s: float) -> None:
        digest = job.task.manifest.image_sha256
        if digest in self._fetching or now_s < job.fetch_not_before_s:
            return
        job.image = self._files.image(job.task.manifest)
        if job.image is None:
            self._fetching.add(digest)
            fetch = asyncio.get_running_loop().create_task(self._fetch(job))
            self._fetches.add(fetch)
            fetch.add_done_callback(self._fetches.discard)

    async def _fetch(self, job: _Job) -> None:
        manifest = job.task.manifest
        try:
            offset = self._files.offset(manifest)
            if offset < manifest.image_bytes:
                async for part in self._images.fetch_image(manifest.image_sha256, offset):
                    self._files.add(manifest, part.offset, part.content)
            if self._files.offset(manifest) == manifest.image_bytes:
                job.image = self._files.complete(manifest)
        except CampusCardError as error:
            _log.info("distribution.fetch_again order=%s error=%s", job.task.order.order, error)
        finally:
            self._fetching.discard(manifest.image_sha256)
            job.fetch_not_before_s = self._clock.monotonic_s() + FETCH_AGAIN_S
            self._wake()

    # What is sent.

    def _pending(self, name: str, now_s: float) -> list[tuple[_Job, dict[bytes, Place]]]:
        """Return what may be sent on a line, first things first, and to whom."""
        now_unix_ms = self._clock.unix_ms()
        found = []
        for job in sorted(self._jobs.values(), key=lambda job: job.task.rank):
            stop_at_unix_ms = job.task.order.stop_at_unix_ms
            if job.image is None or 0 < stop_at_unix_ms <= now_unix_ms:
                continue
            places = {
                terminal_id: place
                for terminal_id, terminal in job.terminals.items()
                if not terminal.ended
                and now_s >= terminal.not_before_s
                and (place := self._building.place_of(terminal_id)) is not None
                and place.line == name
            }
            if places:
                found.append((job, places))
        return found

    def _multicast(self, name: str, line: Line, spreading: Distributing, now_s: float) -> None:
        pending = self._pending(name, now_s)
        running = self._running.get(name)
        if not pending:
            return
        job, places = pending[0]
        if running is not None:
            known = self._jobs.get(running.number)
            if known is None or known.task.rank <= job.task.rank:
                return
            self._stop(name)  # something that cannot wait; what terminals have of the other stays there
        assert job.image is not None, "only what is here is pending"
        addresses = {int(place.address): terminal_id for terminal_id, place in places.items()}
        percent = job.task.order.load_percent or self._building.load_percent(name)
        try:
            spread = spreading.distribute(
                job.task.announced.transfer,
                job.task.order.notice,
                job.image,
                addresses,
                block_bytes=job.task.manifest.block_bytes,
                load=percent / 100,
            )
        except CampusCardError as error:
            _log.info("distribution.line_refuses line=%s error=%s", name, error)
            return
        self._running[name] = _Running(line, job.task.order.order, spread, addresses)

    def _look_after(self, name: str, line: Line | None, now_s: float) -> None:
        """End a multicast that is over, that has no line any more, or whose time is up."""
        running = self._running[name]
        job = self._jobs.get(running.number)
        if job is None or line is not running.line:
            self._stop(name)
            return
        stop_at_unix_ms = job.task.order.stop_at_unix_ms
        if 0 < stop_at_unix_ms <= self._clock.unix_ms():
            self._stop(name)
            return
        everybody = all(
            job.terminals[each].ended for each in running.addresses.values() if each in job.terminals
        )
        if not running.spread.over and not everybody:
            return
        for address, terminal_id in running.addresses.items():
            terminal = job.terminals.get(terminal_id)
            if terminal is None or terminal.ended:
                continue
            there = address in running.spread.stored or address in running.spread.refused
            terminal.not_before_s = now_s + (SEALED_WITHIN_S if there else AGAIN_AFTER_S)
            terminal.silent = not there
            job.changed = True
            if there:
                self._building.tell(terminal_id, wire.FromGateway(notice=job.task.order.notice))
        self._stop(name)

    def _stop(self, name: str) -> None:
        running = self._running.pop(name)
        if isinstance(running.line, Distributing):
            with suppress(CampusCardError):
                running.line.stop_distribution()

    def _unicast(self, name: str, now_s: float) -> None:
        served: set[bytes] = set()
        for job, places in self._pending(name, now_s):
            assert job.image is not None, "only what is here is pending"
            for terminal_id in places:
                if terminal_id in served or len(served) >= UNICAST_AT_ONCE_MAX:
                    continue
                served.add(terminal_id)
                terminal = job.terminals[terminal_id]
                if terminal.window is None:
                    terminal.window = Window(job.task, job.image)
                self._send_window(job, terminal_id, terminal, terminal.window, now_s)

    def _send_window(
        self, job: _Job, terminal_id: bytes, terminal: _Terminal, window: Window, now_s: float
    ) -> None:
        for message in window.messages(now_s):
            if not self._building.tell(terminal_id, message):
                return
            window.said(message, now_s)
        if window.silent_count >= SILENT_AFTER:
            terminal.silent, terminal.window, job.changed = True, None, True
            terminal.not_before_s = now_s + AGAIN_AFTER_S

    # What is heard and told.

    def _take(self, terminal_id: bytes, report: wire.DistributionReport, now_s: float) -> None:
        for job in self._jobs.values():
            terminal = job.terminals.get(terminal_id)
            if terminal is None or job.task.announced.hash != report.hash:
                continue
            job.changed = job.changed or report != terminal.report or terminal.silent
            terminal.report, terminal.silent = report, False
            if terminal.window is not None:
                terminal.window.heard(report, now_s)
            if report.state == wire.DISTRIBUTION_STATE_FAILED:
                terminal.not_before_s = now_s + FAILED_AGAIN_AFTER_S

    def _tell(self, number: int, job: _Job, now_s: float) -> None:
        ended = job.ended
        if not job.changed or (not ended and now_s - job.told_s < PROGRESS_EVERY_S):
            return
        progress = pb.OrderProgress(order=number)
        for terminal_id, terminal in job.terminals.items():
            report = terminal.report or wire.DistributionReport()
            away = not terminal.ended and self._building.place_of(terminal_id) is None
            progress.terminals.add(terminal_id=terminal_id, report=report, silent=terminal.silent or away)
        self._building.progress(progress)
        job.changed, job.told_s = False, now_s
        if ended:
            self._end(number)
