"""Two slots for firmware: a new image boots once on trial and stays only if it is healthy (A15, B4.4).

| slot | what runs |
|---|---|
| 0 | what was installed on the machine; always there |
| 1, 2 | images that came over the line; a new one takes the one that is not in use |

The state is one small file of two pages; an image is named in it only after every byte of it is durable. A
power cut at any byte of any write leaves the state before or the one after, and an image whose hash does
not fit is never started.

    store ──▶ waiting ──boot──▶ on trial ──confirm──▶ in use
                                   │ not healthy in time, ended, or power cut
                                   └──▶ refused, for ever; what was in use before runs again
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from campus_node.terminal.storage import FileStorage, Storage, create_file
from campus_node.terminal.two_slots import TwoSlots, new_content
from campus_node.wording import Sentence
from federation.errors import Refused, Unavailable

INSTALLED: Final = 0
SLOTS: Final = (1, 2)
STATE_BYTES: Final = 4096
REFUSED_MAX: Final = 8  # images that are remembered as refused


class ImageNotKept(Unavailable):
    """The storage failed: the image is not in its slot; what runs is as it was."""


class NotOnTrial(Refused):
    """Nothing is on trial, or another image than the one that says that it is healthy."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An image in a slot. Args: sha256: of its content, hexadecimal."""

    version: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class State:
    """What stands in the slots.

    Args:
        in_use: the slot that runs unless something is on trial.
        images: in slots 1 and 2.
        waiting: the slot to be tried at the next boot; 0 = none.
        begun: its trial has begun.
        refused: hashes of images that were not healthy, the newest last.
        fell_back: how often an older one had to run again.
        why: why it did the last time.
    """

    in_use: int = INSTALLED
    images: tuple[Stored | None, Stored | None] = (None, None)
    waiting: int = 0
    begun: bool = False
    refused: tuple[str, ...] = ()
    fell_back: int = 0
    why: str = ""

    def image(self, slot: int) -> Stored | None:
        """Return what stands in a slot."""
        return self.images[slot - 1] if slot in SLOTS else None

    @property
    def spare(self) -> int:
        """The slot that a new image takes."""
        return 2 if self.in_use == 1 else 1

    def stored(self, image: Stored) -> "State":
        """Return the state with a new image in the spare slot, to be tried."""
        images = list(self.images)
        images[self.spare - 1] = image
        return replace(self, images=(images[0], images[1]), waiting=self.spare, begun=False)

    def emptied(self) -> "State":
        """Return the state before the spare slot is written: nothing is believed to be in it."""
        images = list(self.images)
        images[self.spare - 1] = None
        return replace(self, images=(images[0], images[1]), waiting=0, begun=False)

    def failed(self, why: str) -> "State":
        """Return the state when what is on trial was not healthy."""
        image = self.image(self.waiting)
        refused = self.refused if image is None else (*self.refused, image.sha256)[-REFUSED_MAX:]
        return replace(self, waiting=0, begun=False, refused=refused, fell_back=self.fell_back + 1, why=why)


@dataclass(frozen=True, slots=True)
class Boot:
    """What is to run.

    Args:
        slot: INSTALLED, or where the image is.
        version: of the image; 0 for what is installed, which knows its own.
        on_trial: it must be confirmed, or the one before runs again.
    """

    slot: int
    version: int
    on_trial: bool


class Slots:
    """The state and its images. Whoever has it open is its only writer; open it only for a moment.

    Args:
        state: storage of the state; see `new_state`.
        open_image: opens the storage of a slot's image; with True an empty one.
    """

    def __init__(self, state: Storage, open_image: Callable[[int, bool], Storage]) -> None:
        self._pages = TwoSlots(state, _is_readable)
        self._open_image = open_image
        self.state = State() if self._pages.kept is None else _decode(self._pages.kept)

    @classmethod
    def open(cls, directory: Path) -> "Slots":
        """Open the slots in a directory, or make empty ones there.

        Raises:
            Misconfigured: another process has them open.
            SlotsUnwritable: the state cannot be read.
            OSError: the directory cannot be made.
        """
        directory.mkdir(mode=0o700, exist_ok=True)
        path = directory / "state"
        create_file(path, [new_state()])

        def open_image(slot: int, fresh: bool) -> Storage:
            image = image_path(directory, slot)
            if fresh:  # the end of an older one would make the archive another one
                image.unlink(missing_ok=True)
            create_file(image, [b""])
            return FileStorage(image)

        return cls(FileStorage(path), open_image)

    def boot(self) -> Boot:
        """Return what is to run now, and note durably that a trial has begun.

        A trial that had begun before was cut short, or whoever watched it died: it counts as not healthy.

        Raises:
            SlotsUnwritable: that cannot be noted; start what was in use.
        """
        state = self.state
        if state.waiting and state.begun:
            self._keep(state.failed("it ended before it was healthy"))
        elif state.waiting and not self._is_whole(state.waiting):
            self._keep(state.failed("its image is damaged"))
        elif state.waiting:
            self._keep(replace(state, begun=True))
            image = state.image(state.waiting)
            assert image is not None, "what waits was stored"
            return Boot(state.waiting, image.version, on_trial=True)
        if self.state.in_use != INSTALLED and not self._is_whole(self.state.in_use):
            self._keep(
                replace(
                    self.state,
                    in_use=INSTALLED,
                    fell_back=self.state.fell_back + 1,
                    why="its image is damaged",
                )
            )
        return self.standing()

    def standing(self) -> Boot:
        """Return what runs when nothing is on trial."""
        image = self.state.image(self.state.in_use)
        return Boot(self.state.in_use, 0 if image is None else image.version, on_trial=False)

    def store(self, content: bytes, version: int) -> bool:
        """Put an image into the spare slot, durably, to be tried at the next boot.

        Returns:
            False if there is nothing to do: it waits, is on trial or runs already, or was refused.

        Raises:
            ImageNotKept, SlotsUnwritable: the storage failed.
        """
        image = Stored(version, len(content), hashlib.sha256(content).hexdigest())
        known = {self.state.image(slot) for slot in {self.state.in_use, self.state.waiting}}
        if image in known or image.sha256 in self.state.refused:
            return False
        if self.state.image(self.state.spare) is not None or self.state.waiting:
            self._keep(self.state.emptied())
        try:
            storage = self._open_image(self.state.spare, True)
            try:
                storage.write(0, content)
                storage.sync()
            finally:
                storage.close()
        except OSError as error:
            raise ImageNotKept(Sentence("the image cannot be kept: {cause}", cause=error)) from error
        self._keep(self.state.stored(image))
        return True

    def confirm(self, slot: int) -> None:
        """Keep what is on trial in this slot: it is healthy. Raise NotOnTrial, SlotsUnwritable."""
        if not (self.state.begun and self.state.waiting == slot):
            raise NotOnTrial(Sentence("slot {slot} is not on trial", slot=slot))
        self._keep(replace(self.state, in_use=slot, waiting=0, begun=False))

    def fail(self, why: str) -> None:
        """Refuse what is on trial, if anything is: it was not healthy. Raise SlotsUnwritable."""
        if self.state.waiting and self.state.begun:
            self._keep(self.state.failed(why))

    def close(self) -> None:
        """Let the files go. May be called twice."""
        self._pages.close()

    def _keep(self, state: State) -> None:
        self._pages.keep(_encode(state))
        self.state = state

    def _is_whole(self, slot: int) -> bool:
        image = self.state.image(slot)
        if image is None:
            return False
        storage = self._open_image(slot, False)
        try:
            content = storage.read(0, image.size)
        except OSError:
            return False
        finally:
            storage.close()
        return hashlib.sha256(content).hexdigest() == image.sha256


def image_path(directory: Path, slot: int) -> Path:
    """Return where the image of slot 1 or 2 lies: an archive that Python runs."""
    return directory / f"slot-{slot}.pyz"


def new_state() -> bytes:
    """Return what a new state file begins with."""
    return new_content(STATE_BYTES)


def _encode(state: State) -> bytes:
    return json.dumps(asdict(state)).encode()


def _decode(content: bytes) -> State:
    fields = json.loads(content)
    first, second = (None if each is None else Stored(**each) for each in fields.pop("images"))
    return State(images=(first, second), refused=tuple(fields.pop("refused")), **fields)


def _is_readable(content: bytes) -> bool:
    try:
        _decode(content)
    except (ValueError, TypeError, KeyError):
        return False
    return True
