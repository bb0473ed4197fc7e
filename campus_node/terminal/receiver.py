"""What a terminal takes of what is said to all: revocations, and distributions that it stores (A15, B4.4).

One `Receiver` hears notices and blocks from every wire of the terminal. What it believes is signed by one of
the pinned keys, newer than what it heard before, and meant for it. Blocks survive a power cut at any instant;
a firmware image is checked once more, by its maker's own signature, before it counts as stored.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import DecodeError, Message

from campus_node.firmware.image import FILE_BYTES_MAX, ImageRefused, Label, check_fits, open_image
from campus_node.lines import notice as notices
from campus_node.lines.block_file import BlockFile
from campus_node.lines.distribution import BlockReceiver, Manifest, NotAddressed, Result, manifest_of, mark_of
from campus_node.lines.errors import FrameBroken
from campus_node.lines.messages import check_hotlist
from campus_node.terminal.notices_heard import NoticesHeard
from campus_node.wording import Sentence
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock
from federation.errors import CampusCardError, Refused

REPORT_EVERY_S: Final = 15.0  # while blocks come by multicast
SAY_AGAIN_S: Final = 1.0  # after the line took no report
NEVER_S: Final = float("inf")
_NAMES: Final[dict[int, str]] = {
    wire.DISTRIBUTION_KIND_FIRMWARE: "firmware",
    wire.DISTRIBUTION_KIND_HOTLIST: "hotlist",
    wire.DISTRIBUTION_KIND_PARAMETERS: "parameters",
}
Keys = Mapping[bytes, Ed25519PublicKey]


@dataclass(frozen=True, slots=True)
class Itself:
    """What a terminal knows of itself.

    Args:
        terminal_id: 6 bytes.
        model: whose firmware it takes.
        firmware_version: that runs.
        address: on its line, 1 to 254; 0 where that means nothing.
    """

    terminal_id: bytes
    model: str
    firmware_version: int
    address: int = 0


@dataclass(frozen=True, slots=True)
class Taking:
    """What is done with what has come whole.

    Args:
        hotlist: applies a delta durably; True if it is in force, also from before; False = it does not fit.
        parameters: keeps them durably; True if they or newer ones are there.
        firmware: told that an image is stored, where, and what it says of itself; again after a restart.
    """

    hotlist: Callable[[wire.HotlistDelta], bool]
    parameters: Callable[[wire.Parameters], bool]
    firmware: Callable[[Path, Label], None]


class Receiver:
    """A terminal's side of notices and distributions. One thread.

    Args:
        directory: where blocks and what was heard lie; made if it is not there.
        itself: the terminal.
        notice_keys: whose notices are believed, by `notice.key_id`: pinned when the terminal was set up.
        firmware_keys: whose images are believed, likewise.
        taking: what is done with what has come.
        clock: the terminal's.
        say: sends a report to the gateway, sealed; False = not now.

    Raises:
        Misconfigured: the directory cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        itself: Itself,
        notice_keys: Keys,
        firmware_keys: Keys,
        taking: Taking,
        *,
        clock: Clock,
        say: Callable[[wire.DistributionReport], bool],
    ) -> None:
        self.counts: Counter[str] = Counter()  # what was not taken, by why
        self.blocks = BlockReceiver(self._open, self)
        self._heard = NoticesHeard(directory / "notices.json")
        self._directory = directory
        self._itself = itself
        self._notice_keys = notice_keys
        self._firmware_keys = firmware_keys
        self._taking = taking
        self._clock = clock
        self._say = say
        self._announced = wire.Manifest()
        self._mark = b""
        self._reported: wire.DistributionReport | None = None
        self._report_wanted = False
        self._report_due_s = self._not_before_s = -NEVER_S

    # What the line and the uplink bring.

    def notice(self, message: bytes) -> None:
        """Take a notice as it goes over a line, whoever sent it; what is not good is counted."""
        try:
            heard = notices.hear(message, self._notice_keys, 0, self._clock.unix_ms())
            match heard.notice.WhichOneof("body"):
                case "hotlist":
                    self._revoke(message, heard)
                case "manifest":
                    self._announce(message, heard)
                case "stopped":
                    self._heard.demand_newer(_name(heard), message, heard)
                    self._heard.note(_name(heard), message, heard)
                    if heard.notice.stopped.transfer == self._announced.transfer:
                        self._forget()
        except CampusCardError as error:
            self.counts[type(error).__name__] += 1

    def heed(self, said: wire.FromGateway) -> None:
        """Take what the gateway said inside the session: a block, a hotlist delta, parameters."""
        match said.WhichOneof("body"):
            case "block":
                if said.block.hash == self._announced.hash and self.blocks.manifest is not None:
                    self.blocks.take(said.block.number, said.block.content)
                    self._report_wanted = True
            case "hotlist":
                self._taking.hotlist(said.hotlist)
            case "parameters":
                self._taking.parameters(said.parameters)

    def step(self, now_s: float) -> float:
        """Report what has changed; return when to be called again."""
        report = self._report()
        if report is None:
            return NEVER_S
        ended = self._reported is None or report.state != self._reported.state
        if report == self._reported and not self._report_wanted:
            return NEVER_S
        due_s = self._not_before_s if self._report_wanted or ended else self._report_due_s
        if now_s < due_s:
            return due_s
        if not self._say(report):
            self._not_before_s = self._report_due_s = now_s + SAY_AGAIN_S
            return self._not_before_s
        self._reported, self._report_wanted = report, False
        self._report_due_s = now_s + REPORT_EVERY_S
        return NEVER_S

    # The store of its blocks.

    def begin(self, manifest: Manifest) -> set[int]:
        """See `BlockStore.begin`."""
        if self._is_running():
            return set(range(manifest.blocks))
        return self._file().begin(manifest)

    def write(self, manifest: Manifest, block: int, content: bytes) -> None:
        """See `BlockStore.write`."""
        self._file().write(manifest, block, content)

    def complete(self, manifest: Manifest) -> bool:
        """See `BlockStore.complete`."""
        if self._is_running():
            return True
        if not self._file().complete(manifest):
            return False
        content = self._file().read()
        match self._announced.kind:
            case wire.DISTRIBUTION_KIND_FIRMWARE:
                self._take_image(content)
            case wire.DISTRIBUTION_KIND_HOTLIST:
                delta = wire.HotlistDelta()
                _parse(delta, content)
                check_hotlist(delta)
                _demand(self._taking.hotlist(delta))
            case _:
                parameters = wire.Parameters()
                _parse(parameters, content)
                _demand(self._taking.parameters(parameters))
        return True

    def _take_image(self, file: bytes) -> None:
        image = open_image(file, self._firmware_keys)
        check_fits(image.label, self._itself.model, self._itself.firmware_version)
        if image.label.version != self._announced.version:
            raise ImageRefused(Sentence("the image has another version than was announced"))
        self._taking.firmware(self._path(), image.label)

    def _open(self, signed: bytes) -> Manifest:
        """Verify a notice with a manifest; from here on it is the one that blocks are taken for."""
        self._announced, self._mark = wire.Manifest(), b""  # nothing is reported of what is not believed
        heard = notices.hear(signed, self._notice_keys, 0, self._clock.unix_ms())
        if heard.notice.WhichOneof("body") != "manifest" or heard.notice.manifest.kind not in _NAMES:
            raise FrameBroken(Sentence("this is no notice"))
        announced = heard.notice.manifest
        self._demand_addressed(announced)
        name = _name(heard)
        self._heard.demand_newer(name, signed, heard)
        manifest = manifest_of(announced)
        self._announced, self._mark, self._reported = announced, mark_of(signed), None
        if announced.kind == wire.DISTRIBUTION_KIND_FIRMWARE:
            self._demand_fitting(announced)
        self._heard.note(name, signed, heard)
        return manifest

    def _demand_addressed(self, announced: wire.Manifest) -> None:
        itself, ids = self._itself, announced.terminal_ids
        named = [
            ids[at : at + notices.TERMINAL_ID_BYTES] for at in range(0, len(ids), notices.TERMINAL_ID_BYTES)
        ]
        byte, bit = divmod(itself.address, 8)
        here = not announced.addresses or (
            byte < len(announced.addresses) and bool(announced.addresses[byte] >> bit & 1)
        )
        others_model = not named and announced.models and itself.model not in announced.models
        if (named and itself.terminal_id not in named) or not here or others_model:
            raise NotAddressed(Sentence("this is for other terminals"))

    def _demand_fitting(self, announced: wire.Manifest) -> None:
        itself = self._itself
        if announced.models and itself.model not in announced.models:
            raise ImageRefused(
                Sentence(
                    "the image is for {model}, this is a {other}",
                    model=announced.models[0],
                    other=itself.model,
                )
            )
        if announced.version < itself.firmware_version or announced.size > FILE_BYTES_MAX:
            raise ImageRefused(
                Sentence(
                    "the image has version {version}, {has} is there",
                    version=announced.version,
                    has=itself.firmware_version,
                )
            )

    def _is_running(self) -> bool:
        """Whether what is announced is the firmware that runs already."""
        announced = self._announced
        is_firmware = announced.kind == wire.DISTRIBUTION_KIND_FIRMWARE
        return is_firmware and announced.version == self._itself.firmware_version

    def _announce(self, message: bytes, heard: notices.Heard) -> None:
        """Take a manifest that came as a message; the same one again only asks for a report."""
        self._demand_addressed(heard.notice.manifest)
        if heard.notice.manifest.kind not in _NAMES:
            raise FrameBroken(Sentence("this is no notice"))
        self._heard.demand_newer(_name(heard), message, heard)
        self._report_wanted = True
        if mark_of(message) == self._mark and (self.blocks.manifest is not None or self.blocks.result):
            return
        self._forget()
        self.blocks.open(message)

    def _revoke(self, message: bytes, heard: notices.Heard) -> None:
        self._heard.demand_newer(_name(heard), message, heard)
        if not self._taking.hotlist(heard.notice.hotlist):
            self.counts["other version"] += 1
        self._heard.note(_name(heard), message, heard)

    def _forget(self) -> None:
        self.blocks.forget()
        self._announced, self._mark, self._reported = wire.Manifest(), b"", None

    def _report(self) -> wire.DistributionReport | None:
        blocks = self.blocks
        nothing = blocks.manifest is None and blocks.result is None and not blocks.failing
        if not self._announced.hash or blocks.ignored or nothing:
            return None
        stored, count = blocks.progress
        missing = blocks.missing
        return wire.DistributionReport(
            hash=self._announced.hash,
            state=self._state(),
            blocks_stored=stored,
            blocks=count or len(self._announced.block_hashes),
            first_missing=missing[0] if missing else 0,
        )

    def _state(self) -> wire.DistributionState.ValueType:
        match self.blocks.result:
            case Result.REFUSED:
                return wire.DISTRIBUTION_STATE_REFUSED
            case Result.STORED if (
                self._is_running() or self._announced.kind != wire.DISTRIBUTION_KIND_FIRMWARE
            ):
                return wire.DISTRIBUTION_STATE_ACTIVE
            case Result.STORED:
                return wire.DISTRIBUTION_STATE_STORED
        return wire.DISTRIBUTION_STATE_FAILED if self.blocks.failing else wire.DISTRIBUTION_STATE_RECEIVING

    def _path(self) -> Path:
        return self._directory / f"{_NAMES[self._announced.kind]}.blocks"

    def _file(self) -> BlockFile:
        return BlockFile(self._path())


def _name(heard: notices.Heard) -> str:
    """Return under which name the number of a notice is kept: each kind has its own last one."""
    body = heard.notice.WhichOneof("body")
    kind = _NAMES[heard.notice.manifest.kind] if body == "manifest" else ""
    return f"{heard.key_id.hex()} {body} {kind}".strip()


def _parse(message: Message, content: bytes) -> None:
    try:
        message.ParseFromString(content)
    except DecodeError as error:
        raise FrameBroken(Sentence("what was distributed cannot be read")) from error


def _demand(taken: bool) -> None:
    if not taken:
        raise Refused(Sentence("it does not fit the version that is there"))
