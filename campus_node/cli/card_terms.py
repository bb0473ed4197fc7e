"""How a card is driven: its application's name, its key indexes, whether it wants a PIN; from a profile."""

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from campus_node.cli.card_arguments import SOFT, Soft, parse_reader, read_pin
from campus_node.cli.language import Language
from campus_node.purse.presenting import CardLayout, Pin
from campus_node.wording import Sentence
from federation.errors import Misconfigured

if TYPE_CHECKING:
    from campus_node.keys.hierarchy import Usage
    from campus_node.purse.profile import CardProfile

PIN_BEFORE_EP_LOAD: Final = 0x02  # in the options of a card's application


@dataclass(frozen=True, slots=True)
class CardTerms:
    """What is known of a card before it is asked.

    Args:
        layout: application and key indexes.
        pin_before_ep_load: whether a load of the electronic purse takes the PIN.
        pin: 2 to 6 bytes, where the profile has one; not shown.
        profile: None = no profile was named: a card like our own.
    """

    layout: CardLayout = field(default_factory=CardLayout)
    pin_before_ep_load: bool = True
    pin: bytes | None = field(default=None, repr=False)
    profile: "CardProfile | None" = None


def card_terms(profile: str, reader: str) -> CardTerms:
    """Return how the card on a reader is driven.

    Args:
        profile: file or shipped name; "" = that of a card in this process, else a card like our own.
        reader: as --reader names it.

    Raises:
        Misconfigured: there is no such profile, or it is a PSAM's, or wrong.
    """
    from campus_node.keys.hierarchy import Usage
    from campus_node.purse.profile import read_card_profile

    named = profile
    if not named and reader.startswith(SOFT):
        chosen = parse_reader(reader, "--reader")
        assert isinstance(chosen, Soft), "it begins with soft:"
        named = chosen.profile
    if not named:
        return CardTerms()
    read = read_card_profile(profile_path(named), allow_test_keys=True)
    if read.blank:
        return CardTerms(profile=read)
    layout = CardLayout(read.aid, *(_newest(read, u) for u in (Usage.PURCHASE, Usage.LOAD, Usage.UNLOAD)))
    return CardTerms(layout, bool(read.options & PIN_BEFORE_EP_LOAD), read.pin or None, read)


def pin_of(terms: CardTerms, file: Path | None, language: Language) -> Pin:
    """Return the card's PIN: from the file, else from its profile, else asked for. Raise Refused."""
    if file is None and terms.pin is not None:
        return Pin(terms.pin)
    return Pin(read_pin(file, language.say(Sentence("PIN: "))))


def profile_path(text: str) -> Path:
    """Return the file of a profile: a path, or the name of one that is shipped.

    Raises:
        Misconfigured: there is neither; the message lists what is shipped.
    """
    path = Path(text)
    if path.is_file():
        return path
    shipped = {Path(str(each)).stem: Path(str(each)) for each in (files("hil_rig") / "profiles").iterdir()}
    if text in shipped:
        return shipped[text]
    names = ", ".join(sorted(shipped))
    raise Misconfigured(
        Sentence("there is no profile {text}: name a file, or one of {names}", text=text, names=names)
    )


def _newest(profile: "CardProfile", usage: "Usage") -> int:
    """Return the index of the newest key of a usage; 1 where the profile has none."""
    keys = [key for key in profile.keys if key.usage is usage]
    return max(keys, key=lambda key: key.version).index if keys else 1
