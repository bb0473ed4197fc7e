"""One thing that was seen on a line."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from campus_node.lines.line import ALL, HEAD
from campus_node.wording import Sentence


class Layer(StrEnum):
    """What it was."""

    FRAME = "frame"
    MESSAGE = "message"
    RECORD = "record"  # inside a message, opened with its key
    WIRE = "wire"  # the line itself: errors, noise


@dataclass(frozen=True, slots=True)
class Seen:
    """One line of a monitor.

    Args:
        at_s: by the clock of who recorded it.
        layer: what it was.
        kind: for programs, for example `HELLO`.
        words: for people.
        source, target: addresses; None = nobody, or nobody knows.
        grade: the class of a CAN frame, for example `P6`; empty on other wires.
        fields: more for programs.
        trouble: whether it is something that a well-run line does not show.
    """

    at_s: float
    layer: Layer
    kind: str
    words: Sentence
    source: int | None = None
    target: int | None = None
    grade: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    trouble: bool = False

    def at(self, at_s: float, source: int | None, target: int | None, grade: str = "") -> "Seen":
        """Return the same with time, place and class."""
        return replace(self, at_s=at_s, source=source, target=target, grade=grade)

    def content(self) -> dict[str, object]:
        """Return what programs get; texts are English."""
        return {
            "at_s": round(self.at_s, 6),
            "layer": str(self.layer),
            "kind": self.kind,
            "class": self.grade,
            "source": self.source,
            "target": self.target,
            "trouble": self.trouble,
            "text": str(self.words),
            **self.fields,
        }


def message_seen(kind: str, words: Sentence, trouble: bool = False, /, **fields: object) -> Seen:
    """Return a message of which place and time are not known yet."""
    return Seen(0.0, Layer.MESSAGE, kind, words, fields=fields, trouble=trouble)


def shown_address(address: int | None) -> str:
    """Return an address as people see it: two hexadecimal digits, `head` or `all`."""
    if address is None:
        return "--"
    return {HEAD: "head", ALL: "all"}.get(address, f"{address:02X}")  # type: ignore[call-overload, no-any-return]  # an int finds its Peer
