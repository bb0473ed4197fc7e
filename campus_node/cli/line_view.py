"""A line on the screen: one row for each thing that was seen, and a summary at the end."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

import can

from campus_node.cli.everywhere import Everywhere
from campus_node.cli.report import Report, Table, columns_of, json_line
from campus_node.cli.usage import WrongUsage
from campus_node.lines.can.port import Setting
from campus_node.lines.handshake import SecretSource
from campus_node.lines.monitor import keys
from campus_node.lines.monitor.can_ear import CanEar
from campus_node.lines.monitor.recording import Writing, read_capture, write_capture
from campus_node.lines.monitor.seen import Layer, Seen, shown_address
from campus_node.lines.monitor.serial_ear import SerialEar
from campus_node.lines.monitor.talk import Talk
from campus_node.lines.monitor.watch import Enough, listen, listen_serial, open_bus, same_file, taken
from campus_node.wording import Sentence
from federation.clock import SystemClock

KINDS_SHOWN_MAX: Final = 30


class Source(NamedTuple):
    """What is watched, as it was asked for."""

    capture: Path | None
    interface: str
    channel: str
    bitrate: int
    more: Mapping[str, Setting]
    device: str
    baud: int
    most: int | None
    seconds: int | None


class LineView:
    """Shows a line.

    Args:
        everywhere: language, and whether programs read it.
        frames: show every frame.
        open_asn: show card numbers whole.
        write: where to record CAN frames; None = nowhere.
    """

    def __init__(self, everywhere: Everywhere, *, frames: bool, open_asn: bool, write: Path | None) -> None:
        self._everywhere = everywhere
        self._frames = frames
        self._open_asn = open_asn
        self._write = write
        self._clock = SystemClock()
        self._first_s: float | None = None
        self._last_s = 0.0
        self._layers: Counter[Layer] = Counter()
        self._kinds: Counter[str] = Counter()
        self._troubles = 0
        self._arrived = 0

    def run(self, source: Source, leases: Path | None, psam_key: Path | None) -> Report:
        """Show until enough was seen, the capture ends, or Ctrl-C."""
        talk = Talk(self._keys(leases, psam_key), open_asn=self._open_asn)
        if source.device:
            unfinished = self._serial(source, SerialEar(talk))
        else:
            unfinished = self._can(source, CanEar(talk))
        return self._summary(talk, unfinished)

    def _keys(self, leases: Path | None, psam_key: Path | None) -> SecretSource | None:
        if leases is not None:
            return keys.leased(leases, self._clock)
        return keys.one_psam(psam_key) if psam_key is not None else None

    def _can(self, source: Source, ear: CanEar) -> int:
        enough = Enough(source.most, source.seconds)
        writing = self._writing(source.capture)
        try:
            if source.capture is not None:
                self._follow(taken(read_capture(source.capture), source.most), ear.take, writing)
            else:
                with open_bus(source.interface, source.channel, source.bitrate, source.more) as bus:
                    self._follow(listen(bus, self._clock, enough), ear.take, writing)
        finally:
            if writing is not None:
                writing.close()
        return ear.unfinished

    def _writing(self, capture: Path | None) -> Writing | None:
        if self._write is None:
            return None
        if capture is not None and same_file(capture, self._write):
            raise WrongUsage(Sentence("--write {path}: that is the capture itself", path=self._write))
        return write_capture(self._write)

    def _follow(
        self,
        messages: Iterator[can.Message],
        take: Callable[[can.Message], list[Seen]],
        writing: Writing | None,
    ) -> None:
        with suppress(KeyboardInterrupt):
            for message in messages:
                self._arrived += 1
                if writing is not None:
                    writing.write(message)
                self._show(take(message))

    def _serial(self, source: Source, ear: SerialEar) -> int:
        enough = Enough(source.most, source.seconds)
        with (
            suppress(KeyboardInterrupt),
            closing(listen_serial(source.device, source.baud, self._clock, enough)) as arrivals,  # type: ignore[type-var]  # a generator can be closed
        ):
            for arrival in arrivals:
                self._arrived += bool(arrival.received)
                self._show(ear.take(arrival.received, arrival.at_s, gap=arrival.gap))
        return ear.unfinished

    def _show(self, all_seen: list[Seen]) -> None:
        for seen in all_seen:
            self._count(seen)
            if self._everywhere.as_json:
                sys.stdout.write(json_line(seen.content()) + "\n")
            elif self._frames or seen.trouble or seen.layer is not Layer.FRAME:
                sys.stdout.write(self._row(seen) + "\n")
        sys.stdout.flush()

    def _count(self, seen: Seen) -> None:
        self._layers[seen.layer] += 1
        self._kinds[seen.kind] += 1
        self._troubles += seen.trouble
        if seen.layer is not Layer.RECORD:
            self._first_s = seen.at_s if self._first_s is None else self._first_s
            self._last_s = seen.at_s

    def _row(self, seen: Seen) -> str:
        said = self._everywhere.language.say(seen.words)
        if seen.layer is Layer.RECORD:
            return f"{'':29}{said}"
        at_s = seen.at_s - (self._first_s or 0.0)
        way = f"{shown_address(seen.source):>4} > {shown_address(seen.target):<4}"
        mark = "!" if seen.trouble else " "
        indent = "  " if seen.layer is Layer.FRAME else ""
        return f"{at_s:12.6f} {seen.grade:<2} {way}{mark} {indent}{said}"

    def _summary(self, talk: Talk, unfinished: int) -> Report:
        content: dict[str, object] = {
            "arrived": self._arrived,
            "frames": self._layers[Layer.FRAME],
            "messages": self._layers[Layer.MESSAGE],
            "records": self._layers[Layer.RECORD],
            "opened": talk.opened_count,
            "sealed": talk.sealed_count,
            "unfinished": unfinished,
            "troubles": self._troubles,
            "seconds": round(self._last_s - (self._first_s or 0.0), 6),
            "kinds": dict(self._kinds.most_common()),
            "written": None if self._write is None else str(self._write),
        }
        rows = [[kind, str(count)] for kind, count in self._kinds.most_common(KINDS_SHOWN_MAX)]
        told: list[Sentence | Table | str] = [
            Table(columns_of("what", "how often", right={"how often"}), rows),
            Sentence(
                "{messages} messages, {opened} of them opened, {sealed} left sealed; {troubles} troubles.",
                messages=content["messages"],
                opened=talk.opened_count,
                sealed=talk.sealed_count,
                troubles=self._troubles,
            ),
        ]
        if self._write is not None:
            told.append(
                Sentence("{count} frames were written to {path}.", count=self._arrived, path=self._write)
            )
        return Report(content, told)
