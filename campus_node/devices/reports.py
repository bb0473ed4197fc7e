"""What a device of others tells of itself: the rules that hold whichever way it came. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from campus_node.devices.health import Health
from campus_node.wording import Sentence
from federation.errors import Unreadable
from federation.identity import is_name

REPORTS_MAX: Final = 256  # in one message
FIGURES_MAX: Final = 32  # of one device
REASON_CHARACTERS_MAX: Final = 500
PLACE_CHARACTERS_MAX: Final = 100
SILENT_AFTER_S_MAX: Final = 30 * 86_400
AHEAD_S_MAX: Final = 300  # a clock that far ahead is wrong: its reports would hide all later ones
VALUE_MAX: Final = 2**53 - 1  # the largest that JSON carries everywhere
_FIGURE_NAME: Final = re.compile(r"[a-z0-9_]{1,63}")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Figure:
    """Something measured: a name that ends in its unit, and thousandths of that unit."""

    name: str
    value_thousandths: int


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """How one device is, as it says itself.

    Args:
        device: unique among those of its kind; 1 to 63 of a-z, 0-9 and hyphens.
        kind: what it is; likewise.
        at_unix_ms: when that was so, by the device's clock.
        silent_after_s: without a report for so long it counts as silent; 0 = never.
        place: where it stands, for people.
    """

    device: str
    kind: str
    health: Health
    at_unix_ms: int
    reason: str = ""
    silent_after_s: int = 0
    figures: Sequence[Figure] = ()
    place: str = ""

    @property
    def subject(self) -> str:
        """How alarms name it."""
        return f"{self.kind}/{self.device}"


def require_reports(reports: Sequence[DeviceReport], now_unix_ms: int) -> None:
    """Return if all of these can be taken.

    Raises:
        Unreadable: one cannot; says which and why. Then none is taken.
    """
    if not 1 <= len(reports) <= REPORTS_MAX:
        raise Unreadable(
            Sentence("a message holds 1 to {most} reports, not {count}", most=REPORTS_MAX, count=len(reports))
        )
    for number, report in enumerate(reports):
        why = _mistake(report, now_unix_ms)
        if why is not None:
            raise Unreadable(Sentence("report {number}: {why}", number=number, why=why))


def _mistake(report: DeviceReport, now_unix_ms: int) -> Sentence | None:
    if not is_name(report.device):
        return Sentence("device must be 1 to 63 of a-z, 0-9 and hyphens")
    if not is_name(report.kind):
        return Sentence("kind must be 1 to 63 of a-z, 0-9 and hyphens")
    if report.health is Health.UNSPECIFIED:
        return Sentence("health must be well, degraded, failed, silent or isolated")
    if len(report.reason) > REASON_CHARACTERS_MAX or len(report.place) > PLACE_CHARACTERS_MAX:
        return Sentence(
            "reason has at most {reason} characters, place at most {place}",
            reason=REASON_CHARACTERS_MAX,
            place=PLACE_CHARACTERS_MAX,
        )
    if _UNPRINTABLE.search(report.reason) or _UNPRINTABLE.search(report.place):
        return Sentence("reason and place are one line of text each, without control characters")
    if not 0 < report.at_unix_ms <= now_unix_ms + AHEAD_S_MAX * 1000:
        return Sentence(
            "its time is not between 1970 and {ahead} s from now: set the device's clock", ahead=AHEAD_S_MAX
        )
    if not 0 <= report.silent_after_s <= SILENT_AFTER_S_MAX:
        return Sentence("silent_after_s must be 0 to {most}", most=SILENT_AFTER_S_MAX)
    return _mistake_in_figures(report.figures)


def _mistake_in_figures(figures: Sequence[Figure]) -> Sentence | None:
    if len(figures) > FIGURES_MAX:
        return Sentence("a device has at most {most} figures", most=FIGURES_MAX)
    if len({figure.name for figure in figures}) != len(figures):
        return Sentence("each figure is named once")
    for figure in figures:
        if not _FIGURE_NAME.fullmatch(figure.name):
            return Sentence("a figure's name is 1 to 63 of a-z, 0-9 and _, for example temperature_c")
        if abs(figure.value_thousandths) > VALUE_MAX:
            return Sentence("a figure's value is too large")
    return None
