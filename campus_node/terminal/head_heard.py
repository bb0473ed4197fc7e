"""Whether a head speaks on this CAN bus: a service of the terminal's line that only listens."""

from typing import Final

from campus_node.lines.can.ids import HEAD_ADDRESS, Frame, Signalled, meaning
from campus_node.lines.can.line import Post

LATELY_S: Final = 25.0  # two times SYNC, and then some
NEVER_S: Final = float("inf")


class HeadHeard:
    """Notes when the head's last single frame was heard. Anybody could send one: a hint, never a proof."""

    def __init__(self) -> None:
        self._heard_s = -NEVER_S

    def lately(self, now_s: float) -> bool:
        """Whether the head was heard within the last seconds."""
        return now_s - self._heard_s < LATELY_S

    def take(self, frame: Frame, now_s: float) -> None:
        """See `Service.take`."""
        about = meaning(frame.can_id)
        if isinstance(about, Signalled) and about.source == HEAD_ADDRESS:
            self._heard_s = now_s

    def sent(self, frame: Frame, now_s: float) -> None:
        """Nothing to note."""

    def step(self, now_s: float, post: Post) -> float:  # noqa: ARG002 - it says nothing
        """See `Service.step`."""
        return NEVER_S
