"""The desk that `campus card` and `campus psam` work at: readers, trace, journal; all closed at the end."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

from campus_node.cli.card_arguments import Soft, parse_reader
from campus_node.cli.everywhere import Everywhere
from campus_node.cli.language import Language
from campus_node.cli.usage import WrongUsage
from campus_node.purse.channel import CardChannel, Reader
from campus_node.purse.trace import Device, Trace, TracedChannel
from campus_node.wording import Sentence
from federation.clock import Clock, SystemClock
from federation.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from campus_node.terminal.journal import Journal
    from hil_rig.virtual.device import Device as SoftDevice

JOURNAL_RECORDS: Final = 32_768  # 16 MB; some ten thousand sales between two collections
Draw = Callable[[int], bytes]


class _Closable(Protocol):
    def close(self) -> None: ...


Closing = TypeVar("Closing", bound=_Closable)


class NoCard(Unavailable):
    """Nobody laid a card on the reader in time."""


class Desk:
    """What one command works with; as a context it closes all that it opened.

    Args:
        everywhere: the language that errors and traces are told in.
        trace: where to write a trace; None = nowhere.
        trace_full: see Trace.
        wait_s: how long to wait for a card.
    """

    def __init__(
        self,
        everywhere: Everywhere,
        trace: Path | None = None,
        *,
        trace_full: bool = False,
        wait_s: int = 10,
        clock: Clock | None = None,
    ) -> None:
        self.language: Language = everywhere.language
        self.clock = clock or SystemClock()
        self.wait_s = wait_s
        self._stack = ExitStack()
        if trace_full and trace is None:
            raise WrongUsage(Sentence("--trace-full goes with --trace FILE"))
        self._trace = None
        if trace is not None:
            self._trace = self._stack.enter_context(
                Trace(trace, self.clock, self.language.say, full=trace_full)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stack.close()

    def reader(self, text: str, option: str, device: Device, draw: Draw = os.urandom) -> Reader:
        """Return the reader that an option names; see `reader_of`. Raise WrongUsage if it names none."""
        return self.reader_of(parse_reader(text, option), device, draw)

    def reader_of(self, chosen: str | Soft, device: Device, draw: Draw = os.urandom) -> Reader:
        """Return a reader.

        Args:
            chosen: its name, or a device in this process.
            device: what is expected there.
            draw: where a device in this process takes its random bytes from.

        Raises:
            Misconfigured: PC/SC or pyscard is missing here, or the profile is none.
        """
        reader = self._soft(chosen, device, draw) if isinstance(chosen, Soft) else self._pcsc(chosen)
        return reader if self._trace is None else TracedReader(reader, self._trace, device)

    def channel(self, text: str, option: str, device: Device, draw: Draw = os.urandom) -> CardChannel:
        """Return a channel to the card on the reader that an option names; see `wait_at`."""
        return self.wait_at(self.reader(text, option, device, draw))

    def wait_at(self, reader: Reader) -> CardChannel:
        """Return a channel to the card on a reader; waits for one, and closes it at the end.

        Raises:
            NoCard: none came.
            ReaderLost: there is no such reader.
        """
        channel = reader.wait_for_card(self.wait_s)
        if channel is None:
            raise NoCard(
                Sentence(
                    "no card came to {reader} within {seconds} s: lay it there and repeat",
                    reader=reader.name,
                    seconds=self.wait_s,
                )
            )
        self._stack.callback(channel.close)
        return channel

    def journal(self, path: Path) -> "Journal":
        """Open a journal.

        Raises:
            Misconfigured: it is open in another process.
            JournalDamaged, JournalUnwritable: see Journal.
        """
        from campus_node.terminal.journal import Journal

        return self.keep(Journal.open(path, JOURNAL_RECORDS))

    def keep(self, opened: Closing) -> Closing:
        """Return what was opened, and close it at the end."""
        self._stack.callback(opened.close)
        return opened

    def tell(self, sentence: Sentence) -> None:
        """Say something at once, on standard error: somebody has to act while the command runs."""
        sys.stderr.write(self.language.say(sentence) + "\n")
        sys.stderr.flush()

    def _soft(self, chosen: Soft, device: Device, draw: Draw) -> Reader:
        from hil_rig.virtual.in_process import VirtualReader

        made = self.soft_device(chosen, device, draw)
        reader = VirtualReader(made, f"soft:{Path(chosen.profile).stem}")
        if chosen.tear_before:
            reader.tear_before_command(chosen.tear_before)
        if chosen.tear_after:
            reader.tear_after_command(chosen.tear_after)
        if chosen.comes_back:
            reader.insert_when_awaited(made)
        return reader

    def soft_device(self, chosen: Soft, device: Device, draw: Draw = os.urandom) -> "SoftDevice":
        """Return a device in this process; what it remembers is closed at the end. Raise Misconfigured."""
        from hil_rig.virtual.card import VirtualCard
        from hil_rig.virtual.memory import Memory
        from hil_rig.virtual.profile import load_card_profile, load_psam_profile
        from hil_rig.virtual.psam import VirtualPsam

        card_profile = load_card_profile(chosen.profile) if device == "card" else None
        psam_profile = load_psam_profile(chosen.profile) if device == "sam" else None
        memory = None
        if chosen.state is not None:
            memory = Memory.open(chosen.state)
            self._stack.callback(memory.close)
        if card_profile is not None:
            return VirtualCard(card_profile, memory, draw)
        assert psam_profile is not None, "it is one or the other"
        return VirtualPsam(psam_profile, memory, draw)

    def _pcsc(self, name: str) -> Reader:
        from campus_node.purse.pcsc import PcscReader, readers

        return PcscReader(reader_named(name, readers()))


class TracedReader:
    """A reader whose channels are traced.

    Args:
        inner: the reader.
        trace: where its channels are written.
        device: "card" or "sam".
    """

    def __init__(self, inner: Reader, trace: Trace, device: Device) -> None:
        self._inner = inner
        self._trace = trace
        self._device: Device = device
        self.name = inner.name

    def wait_for_card(self, timeout_s: float) -> TracedChannel | None:
        """See Reader."""
        channel = self._inner.wait_for_card(timeout_s)
        return None if channel is None else self._trace.channel(channel, self._device)

    def wait_for_removal(self, timeout_s: float) -> bool:
        """See Reader."""
        return self._inner.wait_for_removal(timeout_s)


def reader_named(name: str, connected: Sequence[str]) -> str:
    """Return the reader of this name, or the only one whose name begins so.

    Raises:
        Misconfigured: there is none, or more than one.
    """
    alike = [each for each in connected if each.startswith(name)]
    if name not in connected and len(alike) != 1:
        known = ", ".join(alike or connected) or Sentence("none")
        raise Misconfigured(
            Sentence("{name} names no reader, or several. Connected are: {known}", name=name, known=known)
        )
    return name if name in connected else alike[0]


def journal_path(file: Path | None) -> Path:
    """Return where the desk's journal is; the directory of the default one is made.

    Raises:
        Misconfigured: the directory of a given one is not there.
    """
    if file is not None:
        if not file.absolute().parent.is_dir():
            raise Misconfigured(Sentence("--journal {path}: there is no such directory", path=file))
        return file
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    path = Path(state) / "campuscard" / "desk.journal"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def terminal_time(at: datetime) -> bytes:
    """Return a local time as terminals and cards write it: 7 bytes BCD YYYYMMDDhhmmss."""
    return bytes.fromhex(f"{at:%Y%m%d%H%M%S}")
