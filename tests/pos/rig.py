"""A till with card and PSAM in software, and scripts for it that a cashier could read."""

from collections.abc import Callable
from typing import Any

from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import Purse
from campus_node.purse.movement_log import MovementLog
from campus_node.purse.psam import Psam
from campus_node.purse.sam_session import SamSession
from campus_node.spending.parameter_values import Values, read_parameters
from campus_node.spending.parameter_versions import Schedule, Version
from campus_node.terminal.journal import Journal, new_content
from campus_node.terminal.pos.hotlists import Hotlists
from campus_node.terminal.pos.online import Online
from campus_node.terminal.pos.rules import Rules
from campus_node.terminal.pos.settings import Key, TillSettings
from campus_node.terminal.pos.till import Till as Pos
from campus_node.terminal.pos.view import View, yuan
from campus_node.terminal.pos.wall_clock import WallClock
from federation.clock import VirtualClock
from federation.hotlist import Hotlist, Reason, number_of
from hil_rig.torn_storage import TornStorage
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.profile_entries import CardProfile
from tests.pos.cards import card_of
from tests.purse.flows.hooks import HookedChannel
from tests.purse.flows.till import Till

CAPACITY = 32
SHANGHAI_NOON_MS = 1_788_220_800_000 + 4 * 3_600_000  # 2026-09-01T12:00+08:00
KEYS = {key.value: key for key in Key}


def parameters(*texts: str) -> Values:
    return read_parameters((name, text) for name, _, text in (each.partition("=") for each in texts))


class Rig(Till):
    """One terminal, one card to begin with.

    Args:
        settings: of the till.
        texts: parameters such as payment_max_fen=500.
        capacity: of the journal.
        online: a gateway; None = cut off.
        profile: of the card.
        trusted: whether the machine's clock is believed from the start.
    """

    def __init__(
        self,
        settings: TillSettings | None = None,
        *texts: str,
        capacity: int = CAPACITY,
        online: Online | None = None,
        profile: str = "card-sm4",
        trusted: bool = True,
    ) -> None:
        self.settings = settings or TillSettings(merchant="canteen")
        self.rules = Rules(Schedule(Version(1, 0, parameters(*texts))))
        self.hotlists = Hotlists()
        self.online = online
        self.trusted = trusted
        self.capacity = capacity
        self.cards: dict[str, VirtualCard] = {}
        self.forge: Callable[[CardChannel], CardChannel] | None = None
        self.time = VirtualClock(SHANGHAI_NOON_MS)
        super().__init__(profile, clock=self.time)
        self.cards["li"] = self.card

    def _start_process(self) -> None:
        if self.storage.size() != 8192 + 512 * self.capacity:
            self.storage = TornStorage(b"".join(new_content(self.capacity, bytes(range(16)))))
        self.journal = Journal(self.storage)
        newest = max((self._stamp(entry.body) for entry in self.journal.entries()), default=0)
        self.wall = WallClock(self.clock, newest, trusted=self.trusted)
        self.log = MovementLog(self.journal, self.wall)
        self.sam_place.lay(self.psam)
        self.sam = SamSession(Psam(HookedChannel(self.sam_place.channel(), self.sam_hook, self.sam_seen)))
        self.pos = Pos(
            self.settings,
            self.rules,
            self.hotlists,
            sam=self.sam,
            log=self.log,
            clock=self.wall,
            online=self.online,
            authority=self.line,
        )

    @staticmethod
    def _stamp(body: bytes | None) -> int:
        return int.from_bytes(body[89:97], "big") if body and body[0] == 1 else 0

    @property
    def now_s(self) -> float:
        return self.clock.monotonic_s()

    @property
    def view(self) -> View:
        return self.pos.view

    # What a cashier and a customer do.

    def type(self, text: str) -> View:
        """Press keys: digits and signs one by one, or a key's name."""
        for key in [text] if text in KEYS else list(text):
            self.pos.press(KEYS[key], self.now_s)
        return self.view

    def lay(self, name: str = "li") -> View:
        """Lay a card on the reader; what lay there is taken away."""
        self.take_away()
        self.card_place.lay(self.cards[name])
        return self.pos.card(self.opened(), self.now_s)

    def opened(self) -> CardChannel:
        channel = HookedChannel(self.card_place.channel(), self.card_hook, self.card_seen)
        return channel if self.forge is None else self.forge(channel)

    def take_away(self) -> View:
        if not self.card_place.empty():
            self.card_reader.remove()
        self.pos.card_gone(self.now_s)
        return self.view

    def tap(self) -> View:
        """Have the till take what lies on the reader, as if it had just come."""
        return self.pos.card(self.opened(), self.now_s)

    def touch(self, name: str = "li") -> View:
        """Lay a card on the reader and take it away."""
        self.lay(name)
        return self.take_away()

    def wait(self, seconds: float) -> View:
        self.time.advance(round(seconds * 1000))
        return self.pos.step(self.now_s)

    def restart(self) -> View:
        """Cut the power, and start again from what the disk holds."""
        self.storage = TornStorage(self.storage.after_the_cut())
        self.card_hook.error = self.sam_hook.error = None
        self._start_process()
        return self.view

    # Other cards, other facts.

    def another(self, name: str, number: int = 457, **how: Any) -> CardProfile:
        """Make another card whose keys follow from its number; for `how` see `card_of`."""
        profile = card_of(self.profile, number, **how)
        self.cards[name] = VirtualCard(profile)
        return profile

    def list_card(self, asn: bytes, reason: Reason = Reason.LOST, version: int = 7) -> None:
        issuer = self.profile.issuer
        self.hotlists.put(Hotlist(issuer, version, (), {number_of(asn): reason}), self.wall.unix_ms())

    def held_fen(self) -> int:
        """What the purse holds: the card's memory, not what it says."""
        return self.in_card(Purse.EP).balance_fen

    def do(self, command: str) -> View:
        """Do one thing: type 12.50, ok, cancel, lay li, touch li, away, wait 5, restart, stop 3, meter 40."""
        match command.split():
            case ["type", text]:
                return self.type(text)
            case ["ok" | "cancel" | "clear" as key]:
                return self.type(key)
            case ["lay", name]:
                return self.lay(name)
            case ["touch", name]:
                return self.touch(name)
            case ["away"]:
                return self.take_away()
            case ["wait", seconds]:
                return self.wait(int(seconds))
            case ["restart"]:
                return self.restart()
            case ["stop", number]:
                self.pos.at_stop(int(number))
                return self.view
            case ["meter", units]:
                return self.pos.metered(int(units), self.now_s)
        raise ValueError(f"unknown: {command}")


def play(rig: Rig, script: str) -> None:
    """Do each line of a script; behind the arrow stands what the screen says then."""
    for line in filter(None, map(str.strip, script.splitlines())):
        command, arrow, expected = (part.strip() for part in line.partition("->"))
        view = rig.do(command)
        if arrow:
            assert said(view) == expected, f"{command}: {said(view)}"


def said(view: View) -> str:
    """Return a view in one line, as tests compare it."""
    parts = [view.mood.value, str(view.headline)]
    if view.amount_fen is not None:
        parts.append(yuan(view.amount_fen))
    if view.balance_fen is not None:
        parts.append(f"left {yuan(view.balance_fen)}")
    return " | ".join(parts)
