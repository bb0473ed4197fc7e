"""Whether the gateway is within reach: what the screen's offline mark and the rules of a sale go by. Pure.

A session alone says nothing: its keys outlive a gateway that has just died. Within reach is one from which
something authentic was heard lately, and that owes no answer for long. A sign of life is asked for now and
then, so that an idle till notices, too.
"""

from typing import Final

from campus_node.terminal.questions import Question
from campus_node.terminal.uplink import Uplink
from campuscard.v1 import terminal_pb2 as wire

OWED_S: Final = 5.0  # a question that is not answered for so long, and the gateway counts as away
ADMITTED_WITHIN_S: Final = 12.0  # a head that is there opens a session sooner than that
NEVER_S: Final = float("inf")


class Linkage:
    """The gateway as the till sees it; implements `Online`.

    Args:
        uplink: that is stepped by others.
        probe_s: how often to ask for a sign of life.
    """

    def __init__(self, uplink: Uplink, probe_s: float) -> None:
        self._uplink = uplink
        self._probe_s = probe_s
        self._heard_s = -NEVER_S
        self._owed_since_s = NEVER_S  # an answer is awaited since then
        self._probe_due_s = -NEVER_S
        self._contact_since_s = NEVER_S  # a head that opens no session seems to be there since then
        self._connected = False
        self._unadmitted = False
        self.ever_heard = False

    @property
    def connected(self) -> bool:
        """Whether the gateway is within reach, as of the last `step`."""
        return self._connected

    @property
    def unadmitted(self) -> bool:
        """Whether a gateway seems to be there and opens no session: not registered here, or moved."""
        return self._unadmitted

    def ask(self, asked: wire.AuthorizationAsked, now_s: float) -> Question:
        """See `Online.ask`."""
        return self._uplink.ask(asked, now_s)

    def heard(self, now_s: float) -> None:
        """Note an authentic message of the gateway's."""
        self._heard_s = now_s
        self._owed_since_s = NEVER_S
        self.ever_heard = True

    def step(self, now_s: float, *, contact: bool) -> float:
        """Judge anew, and ask for a sign of life if it is time; return when to be called again.

        Args:
            contact: whether the wire believes that a head is there.
        """
        session = self._uplink.connected
        self._note_contact(now_s, contact=contact and not session)
        if not session:
            self._connected = False
            self._owed_since_s = NEVER_S
            self._probe_due_s = -NEVER_S
            return now_s + 1.0
        if now_s >= max(self._probe_due_s, self._heard_s + self._probe_s):
            sign = wire.FromTerminal(time=wire.TimeAsked(asked_at_ms=max(1, round(now_s * 1000))))
            self._uplink.say(sign, now_s)
            self._owed_since_s = min(self._owed_since_s, now_s)
            self._probe_due_s = now_s + min(self._probe_s, OWED_S)
        newest = self._uplink.upload.newest
        if newest is not None and newest.sent_at_s > self._heard_s:
            self._owed_since_s = min(self._owed_since_s, newest.sent_at_s)
        self._connected = self._heard_s > -NEVER_S and now_s - self._owed_since_s < OWED_S
        owed_s = self._owed_since_s + OWED_S if self._connected else NEVER_S
        return min(owed_s, max(self._probe_due_s, self._heard_s + self._probe_s))

    def _note_contact(self, now_s: float, *, contact: bool) -> None:
        self._contact_since_s = min(self._contact_since_s, now_s) if contact else NEVER_S
        self._unadmitted = now_s - self._contact_since_s >= ADMITTED_WITHIN_S
