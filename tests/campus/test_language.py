"""Everything that people may be shown is there in English and in Chinese."""

import pytest

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
from campus_node.cli.language import CATALOGUE, Language, language_named, language_of
from campus_node.wording import Sentence
from tests.campus.texts import commands, help_texts, holes, sentence_templates


def _says_something(template: str) -> bool:
    without_holes = template
    for name in holes(template):
        without_holes = without_holes.replace(f"{{{name}}}", "")
    return any(character.isalpha() for character in without_holes)


def test_every_sentence_has_its_chinese() -> None:
    missing = {
        template: place
        for template, place in sentence_templates().items()
        if _says_something(template) and template not in CATALOGUE
    }
    assert not missing


def test_every_help_text_has_its_chinese() -> None:
    assert not {text for text in help_texts() if text not in CATALOGUE}


def test_the_catalogue_has_nothing_that_nobody_says() -> None:
    assert not set(CATALOGUE) - set(sentence_templates()) - help_texts()


def test_no_text_stands_in_the_catalogue_twice() -> None:
    parts = (CARD, CARD_HELP, HELP, KEYS, LINES, MESSAGES, PURSE, RIG, SETTINGS, TERMINAL)
    parts += (GATEWAY, MONITOR, RECORDS, FIRMWARE, DEVICES, SPENDING, POS)
    assert len(CATALOGUE) == sum(map(len, parts))


def test_both_languages_have_the_same_holes() -> None:
    wrong = [english for english, chinese in CATALOGUE.items() if holes(english) != holes(chinese)]
    assert not wrong


def test_every_chinese_text_is_chinese() -> None:
    names = {text for text in CATALOGUE.values() if not any("\u4e00" <= c <= "\u9fff" for c in text)}
    assert names <= {"node/1、gateway/canteen 或 terminal/0001。"}


def test_every_command_has_help_and_examples() -> None:
    for path, command in commands():
        assert command.help, path
        assert command.epilog, path
        for example in command.epilog.splitlines():
            assert path in example, f"{example} is no example of {path}"
        for parameter in command.params:
            assert parameter.help, f"{path}: {parameter.name}"


def test_a_nested_sentence_is_said_in_one_language() -> None:
    sentence = Sentence("{kind} needs two people: nothing is posted yet.", kind=Sentence("empty"))
    assert str(sentence) == "empty needs two people: nothing is posted yet."
    assert Language.CHINESE.say(sentence) == "空 须两人经手: 尚未入账。"
    assert Language.ENGLISH.say(sentence) == str(sentence)


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("zh", Language.CHINESE),
        ("zh-CN", Language.CHINESE),
        ("zh_CN.UTF-8", Language.CHINESE),
        ("en_GB.UTF-8", Language.ENGLISH),
        ("C.UTF-8", Language.ENGLISH),
        ("POSIX", Language.ENGLISH),
        ("de_DE.UTF-8", None),
        ("zhuang", None),
    ],
)
def test_languages_are_known_by_their_names(name: str, language: Language | None) -> None:
    assert language_named(name) is language


def test_campus_lang_goes_before_the_systems_language() -> None:
    assert language_of({"LANG": "zh_CN.UTF-8"}) is Language.CHINESE
    assert language_of({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}) is Language.ENGLISH
    assert language_of({"LANG": "C", "LC_ALL": "C", "CAMPUS_LANG": "zh"}) is Language.CHINESE
    assert language_of({"LANG": "de_DE.UTF-8"}) is Language.ENGLISH
    assert language_of({}) is Language.ENGLISH
