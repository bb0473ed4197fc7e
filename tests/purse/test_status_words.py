"""The tables of status words and instructions: complete, in both languages, each refusal of its class."""

import ast
from pathlib import Path

import pytest

import campus_node.purse
from campus_node.purse import errors
from campus_node.purse.instructions import Ins, instruction_of, instructions, name_of
from campus_node.purse.status_words import STATUS_WORDS, meaning_of, refusal_of, status_word
from federation.errors import Refused

# Every status word of the purse and the PSAM, written out.
ALL = """
    9000 6100 6281 6283 63C0 6400 6581 6700 6900 6901 6981 6982 6983 6984 6985 6987 6988 6A80 6A81 6A82
    6A83 6A84 6A86 6A88 6B00 6C00 6D00 6E00 6F00 9302 9303 9401 9402 9403 9406 9407 9408
"""


def test_the_table_has_every_status_word_and_no_other() -> None:
    assert sorted(STATUS_WORDS) == sorted(int(sw, 16) for sw in ALL.split())


def test_every_status_word_says_what_it_means_in_both_languages() -> None:
    for row in STATUS_WORDS.values():
        assert any(letter.isalpha() for letter in str(row.meaning.template)), f"{row.sw:04X}"
        assert any("\u4e00" <= letter <= "\u9fff" for letter in row.chinese), f"{row.sw:04X}"
        assert ("{tries}" in row.meaning.template) == ("{tries}" in row.chinese)


def test_no_two_status_words_mean_the_same_to_people() -> None:
    assert len({row.meaning.template for row in STATUS_WORDS.values()}) == len(STATUS_WORDS)


@pytest.mark.parametrize(
    ("sw", "error"),
    [
        (0x9401, errors.PurseTooSmall),
        (0x63C0, errors.PinWrong),
        (0x63CF, errors.PinWrong),
        (0x6983, errors.PinBlocked),
        (0x6982, errors.AccessDenied),
        (0x6985, errors.AccessDenied),
        (0x6901, errors.AccessDenied),
        (0x9403, errors.KeyNotFound),
        (0x6A88, errors.KeyNotFound),
        (0x6A81, errors.NotFoundInCard),
        (0x6283, errors.NotFoundInCard),
        (0x6A82, errors.NotFoundInCard),
        (0x6A83, errors.NotFoundInCard),
        (0x9406, errors.ProofMissing),
        (0x9302, errors.MacRefused),
        (0x6988, errors.MacRefused),
        (0x9402, errors.CardSpent),
        (0x9303, errors.CardSpent),
        (0x6700, errors.CommandUnknown),
        (0x6D00, errors.CommandUnknown),
        (0x6C12, errors.CommandUnknown),
        (0x6581, errors.CardDefective),
        (0x6F00, errors.CardDefective),
        (0x6108, errors.CardRefused),
        (0x1234, errors.CardRefused),
    ],
)
def test_each_status_word_is_raised_as_its_class(sw: int, error: type[errors.CardRefused]) -> None:
    refusal = refusal_of(sw, "GET BALANCE")
    assert type(refusal) is error
    assert isinstance(refusal, Refused)
    assert (refusal.sw, refusal.command) == (sw, "GET BALANCE")
    assert refusal.meaning == str(meaning_of(sw))
    assert f"{sw:04X}" in str(refusal)


def test_a_status_word_of_nobody_is_not_in_the_table() -> None:
    assert status_word(0x9001) is None
    assert status_word(0x63D0) is None
    assert "no table" in str(meaning_of(0x9001))


def test_every_instruction_byte_has_a_name_in_both_languages() -> None:
    assert {row.ins for row in instructions()} == set(Ins)
    for row in instructions():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in row.chinese), row.name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("80500002", "INITIALIZE FOR LOAD"),
        ("80500102", "INITIALIZE FOR PURCHASE"),
        ("80500302", "INITIALIZE FOR CAPP PURCHASE"),
        ("80500501", "INITIALIZE FOR UNLOAD"),
        ("80500401", "INITIALIZE FOR UPDATE"),
        ("80540100", "DEBIT FOR PURCHASE"),
        ("80540300", "DEBIT FOR UNLOAD"),
        ("805E0100", "CHANGE PIN"),
        ("805E0000", "RELOAD PIN"),
        ("80DC03B8", "UPDATE CAPP DATA CACHE"),
        ("00DC01BC", "UPDATE RECORD"),
        ("04DC01BC", "UPDATE RECORD"),
        ("80FA0000", "CIPHER DATA"),
        ("80509900", "80 50 99 00"),
        ("00FF0000", "00 FF 00 00"),
    ],
)
def test_a_command_is_called_what_the_standard_calls_it(header: str, name: str) -> None:
    assert str(name_of(*bytes.fromhex(header))) == name


@pytest.mark.parametrize("header", ["002000", "842400", "805E00", "805E01", "84D400", "80FA00"])
def test_commands_that_carry_a_pin_or_a_key_are_marked_as_secret(header: str) -> None:
    row = instruction_of(*bytes.fromhex(header))
    assert row is not None
    assert row.secret


def test_every_command_whose_answer_has_a_length_is_called_as_in_the_table() -> None:
    names = {str(row.name) for row in instructions()}
    room = Path(campus_node.purse.__file__).parent
    called = {
        node.args[0].value
        for path in room.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "sized"
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(called) >= 10
    assert called <= names
