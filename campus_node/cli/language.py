"""Which language people are spoken to in. English is the source; the catalogue has Chinese."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from campus_node.cli.chinese_card import CARD, CARD_HELP
from campus_node.cli.chinese_devices import DEVICES
from campus_node.cli.chinese_firmware import FIRMWARE
from campus_node.cli.chinese_gateway import GATEWAY
from campus_node.cli.chinese_help import HELP
from campus_node.cli.chinese_keys import KEYS
from campus_node.cli.chinese_lines import LINES
from campus_node.cli.chinese_messages import MESSAGES
from campus_node.cli.chinese_monitor import MONITOR
from campus_node.cli.chinese_pos import POS
from campus_node.cli.chinese_purse import PURSE
from campus_node.cli.chinese_records import RECORDS
from campus_node.cli.chinese_rig import RIG
from campus_node.cli.chinese_settings import SETTINGS
from campus_node.cli.chinese_spending import SPENDING
from campus_node.cli.chinese_terminal import TERMINAL
from campus_node.wording import Sentence

CATALOGUE: Final[Mapping[str, str]] = (
    HELP
    | KEYS
    | LINES
    | MESSAGES
    | CARD
    | CARD_HELP
    | PURSE
    | RIG
    | SETTINGS
    | TERMINAL
    | GATEWAY
    | MONITOR
    | RECORDS
    | FIRMWARE
    | DEVICES
    | SPENDING
    | POS
)


class Language(StrEnum):
    """What the command line speaks."""

    ENGLISH = "en"
    CHINESE = "zh"

    def words(self, english: str) -> str:
        """Return a text in this language; one that the catalogue lacks stays English."""
        return english if self is Language.ENGLISH else CATALOGUE.get(english, english)

    def say(self, sentence: Sentence | str) -> str:
        """Return a sentence in this language. Plain text has been said already and stays as it is."""
        return sentence.say(self.words) if isinstance(sentence, Sentence) else sentence


def language_named(name: str) -> Language | None:
    """Return the language of a name such as zh, zh-CN, zh_CN.UTF-8, en, C or POSIX; None = not ours."""
    code = name.lower().replace("-", "_").partition(".")[0].partition("_")[0]
    if code == "zh":
        return Language.CHINESE
    return Language.ENGLISH if code in {"en", "c", "posix"} else None


def language_of(environment: Mapping[str, str]) -> Language:
    """Return the language that CAMPUS_LANG asks for, else LC_ALL, LC_MESSAGES, LANG; else English."""
    for variable in ("CAMPUS_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if name := environment.get(variable):
            return language_named(name) or Language.ENGLISH
    return Language.ENGLISH
