"""What the cashier wants to be paid, as far as it was typed. Pure."""

from dataclasses import dataclass, replace
from typing import Final

from campus_node.spending.sessions import Session
from campus_node.terminal.pos import screens
from campus_node.terminal.pos.due import Wanted
from campus_node.terminal.pos.entry import Chosen, Typed, chosen, typed
from campus_node.terminal.pos.settings import Key, Mode, TillSettings
from campus_node.terminal.pos.view import View

NOTHING: Final = Typed()
NO_ITEMS: Final = Chosen()


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed, and where the vehicle is.

    Args:
        settings: the till's.
        stop: from 0.
        typed: an amount.
        chosen: items of a menu.
    """

    settings: TillSettings
    stop: int = 0
    typed: Typed = NOTHING
    chosen: Chosen = NO_ITEMS

    @property
    def amount_fen(self) -> int | None:
        """The amount that was typed; None = none was."""
        return self.typed.amount_fen or None

    def after(self, key: Key) -> "Wish":
        """Return the wish after a key."""
        match self.settings.mode:
            case Mode.KEYPAD | Mode.LOAD:
                return replace(self, typed=typed(self.typed, key))
            case Mode.MENU:
                return replace(self, chosen=chosen(self.chosen, key))
        return self

    def cleared(self) -> "Wish":
        """Return the wish with nothing typed."""
        return Wish(self.settings, self.stop)

    def wanted(self, session: Session | None = None) -> Wanted | None:
        """Return what a card is to pay now; None = that was not typed yet."""
        mode, items = self.settings.mode, self.chosen.all_items
        if (mode in {Mode.KEYPAD, Mode.LOAD} and not self.amount_fen) or (mode is Mode.MENU and not items):
            return None
        tariff = self.settings.tariff
        return Wanted(mode, tariff, self.typed.amount_fen, items, self.stop, session=session)

    def view(self) -> View:
        """Return the screen while it is typed."""
        if not self.typed.empty:
            return screens.entering(self.typed.amount_fen, self.typed.text, ready=self.amount_fen is not None)
        if not self.chosen.empty:
            return screens.choosing(self.chosen.items, self.chosen.text)
        return screens.idle(self.settings.merchant, self.settings.mode)
