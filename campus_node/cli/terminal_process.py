"""`python -m campus_node.cli.terminal_process DIR`: the terminal itself, as its launcher starts it.

Beside the command line, not below it: help pages and tables are no use in a till's memory. It may run a
reader in software, which the product's own rooms must not know.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from campus_node.cli.startup import refusal_to_start
from campus_node.wording import Sentence
from federation.errors import CampusCardError, Misconfigured

if TYPE_CHECKING:
    from campus_node.cli.card_arguments import Soft
    from campus_node.cli.card_desk import Desk
    from campus_node.purse.channel import Reader
    from campus_node.terminal.station import Device
    from hil_rig.virtual.device import Device as SoftDevice

WRONG_SETTINGS: Final = 78


class Readers:
    """Opens readers by the names that settings give them; a device in software stays what it is.

    A card in software lies on its reader all the time, unless `hand=SOCKET` names a hand for it; see
    hil_rig/virtual/hand.py. Paths of states and hands are relative to the terminal's directory.
    """

    def __init__(self, desk: "Desk", directory: Path) -> None:
        self._desk = desk
        self._directory = directory
        self._soft: dict[str, Reader] = {}

    def open(self, name: str, device: "Device") -> "Reader":
        """Return a reader; raise Misconfigured, ReaderLost."""
        if name in self._soft:
            return self._soft[name]
        if not name.startswith("soft:"):
            return self._desk.reader_of(name, device)
        described, hand, path = name.partition(",hand=")
        if not hand:
            self._soft[name] = self._desk.reader_of(self._chosen(described, device), device)
            return self._soft[name]
        from hil_rig.virtual.hand import HandReader

        def device_of(text: str) -> "SoftDevice":
            return self._desk.soft_device(self._chosen(text or described, device), device)

        reader = HandReader(self._directory / path, described, device_of)
        self._desk.keep(reader)
        self._soft[name] = reader.reader
        return reader.reader

    def _chosen(self, text: str, device: "Device") -> "Soft":
        from campus_node.cli.card_arguments import Soft, parse_reader
        from campus_node.cli.usage import WrongUsage

        try:
            chosen = parse_reader(text, device)
        except WrongUsage as error:
            raise Misconfigured(error.sentence) from error
        if not isinstance(chosen, Soft):
            raise Misconfigured(Sentence("{name} is no device in software", name=text))
        state = None if chosen.state is None else self._directory / chosen.state
        return replace(chosen, state=state)


def main() -> int:
    """Run one terminal; return its exit code, see `campus_node.terminal.run`."""
    why_not = refusal_to_start()
    if why_not is not None:
        sys.stderr.write(f"terminal: {why_not}\n")
        return WRONG_SETTINGS
    parser = argparse.ArgumentParser(prog="campus_node.cli.terminal_process")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--slot", type=int, default=0)
    parser.add_argument("--version", type=int, default=0)
    parser.add_argument("--on-trial", action="store_true")
    parser.add_argument("--lifeline", type=int)
    parser.add_argument("--lang", default="en")
    told = parser.parse_args()

    from campus_node.cli.card_desk import Desk
    from campus_node.cli.everywhere import Everywhere
    from campus_node.cli.language import Language
    from campus_node.serving import log
    from campus_node.terminal.run import run
    from campus_node.terminal.settings import load_settings
    from campus_node.terminal.station import Running

    language = Language(told.lang)
    try:
        settings = load_settings(told.directory.absolute())
    except CampusCardError as error:
        for sentence in getattr(error, "mistakes", None) or error.args[:1]:
            sys.stderr.write(language.say(sentence) + "\n")
        return WRONG_SETTINGS
    log.configure(settings.log.level, settings.log.format)
    with Desk(Everywhere(False, None, language)) as desk:
        return run(
            told.directory,
            Running(told.slot, told.version, told.on_trial),
            Readers(desk, told.directory.absolute()).open,
            {each.value: each.say for each in Language},
            lifeline=told.lifeline,
        )


if __name__ == "__main__":
    sys.exit(main())
