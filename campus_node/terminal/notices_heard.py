"""Which notices a terminal took last: the number of each kind, and the notice itself, across power cuts.

An older notice is a replay. The last one of each kind may come again, on any wire: a distribution goes on
with the notice that announced it.
"""

import hashlib
import json
from pathlib import Path

from campus_node.lines.errors import Replayed
from campus_node.lines.notice import Heard
from campus_node.pki import files
from campus_node.wording import Sentence
from federation.errors import Misconfigured, Unavailable


class NoticesUnwritable(Unavailable):
    """What was heard cannot be kept: the notice is not taken."""


class NoticesHeard:
    """A small file, written whole or not at all.

    Args:
        path: of it. One that is damaged counts as none: signatures and expiry still hold.

    Raises:
        Misconfigured: its directory cannot be made.
    """

    def __init__(self, path: Path) -> None:
        files.make_private_directory(path.parent)
        self._path = path
        self._last: dict[str, tuple[int, str]] = {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            self._last = {str(name): (int(number), str(digest)) for name, (number, digest) in content.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._last = {}

    def demand_newer(self, name: str, message: bytes, heard: Heard) -> None:
        """Raise Replayed unless a notice is above the last one of this name, or that very one."""
        number, digest = self._last.get(name, (0, ""))
        if heard.notice.number <= number and digest != _digest(message):
            raise Replayed(Sentence("notice {number} is old", number=heard.notice.number))

    def note(self, name: str, message: bytes, heard: Heard) -> None:
        """Keep a notice as the last one, durably; nothing is written if it is. Raise NoticesUnwritable."""
        new = (heard.notice.number, _digest(message))
        if self._last.get(name) == new:
            return
        try:
            files.write_private(self._path, json.dumps({**self._last, name: new}).encode())
        except Misconfigured as error:
            raise NoticesUnwritable(Sentence("{cause}", cause=error)) from error
        self._last[name] = new


def _digest(message: bytes) -> str:
    return hashlib.sha256(message).hexdigest()
