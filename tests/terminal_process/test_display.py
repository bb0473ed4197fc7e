"""The line display: the mark on every page, Chinese in its width, nothing lost; and what keys mean (B1.1)."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_node.cli.language import Language
from campus_node.terminal.display import PAGE_S, LineDisplay, cut, width_of, wrapped
from campus_node.terminal.pos import screens
from campus_node.terminal.pos.settings import Key
from campus_node.terminal.pos.view import Mood, View
from campus_node.terminal.screens import notices_on
from campus_node.terminal.tty_view import TtyView, typed_in
from campus_node.wording import Sentence

PAID = View(Mood.ACCEPTED, Sentence("paid"), (), 1250, 8750, online=True)
DOUBT = View(Mood.UNKNOWN, screens.SAME_CARD, (screens.NOT_CHECKED,), 1250)
SIZES = [(20, 2), (20, 4), (16, 2), (40, 8)]


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
@pytest.mark.parametrize("view", [PAID, DOUBT], ids=["paid", "doubt"])
def test_every_page_has_the_mark_and_the_size_of_the_display(
    language: Language, columns: int, rows: int, view: View
) -> None:
    mark = language.say(view.mark)
    for page in LineDisplay(columns, rows, language.say).pages(view):
        assert page[0].endswith(mark)
        assert [width_of(line) for line in page] == [columns] * rows


def test_a_sale_on_four_lines() -> None:
    assert LineDisplay(20, 4, Language.ENGLISH.say).pages(PAID) == [
        ["√ Paid        online", "Paid" + " " * 16, "amount        ¥12.50", "balance       ¥87.50"]
    ]
    assert LineDisplay(20, 4, Language.CHINESE.say).pages(PAID) == [
        ["√ 已付款        联机", "已付款" + " " * 14, "金额          ¥12.50", "余额          ¥87.50"]
    ]


def test_on_two_lines_what_has_no_room_takes_its_turn() -> None:
    display = LineDisplay(20, 2, Language.ENGLISH.say)
    shown = [display.page(PAID, number * PAGE_S)[1] for number in range(4)]
    assert shown == ["Paid" + " " * 16, "amount        ¥12.50", "balance       ¥87.50", "Paid" + " " * 16]


def test_doubt_is_said_in_whole_words_over_several_pages() -> None:
    pages = LineDisplay(20, 4, Language.ENGLISH.say).pages(DOUBT)
    text = " ".join(line.strip() for page in pages for line in page[1:3])
    assert "State unknown: present the same card" in text
    assert "nobody has checked it" in text
    assert all(page[3] == "amount        ¥12.50" for page in pages)


@given(st.text(alphabet=st.characters(codec="gb18030", exclude_categories=("C", "Z", "M")) | st.just(" ")),
       st.integers(2, 40))  # fmt: skip
def test_nothing_of_a_text_is_lost_and_every_line_fits(text: str, columns: int) -> None:
    lines = wrapped(text, columns)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(width_of(line) <= columns for line in lines)
    assert all(width_of(cut(line, columns)) == columns for line in lines)


def test_keys_of_a_keyboard_are_keys_of_the_till() -> None:
    assert typed_in("12.5\n") == [Key.D1, Key.D2, Key.DOT, Key.D5, Key.OK]
    assert typed_in("\x1b") == [Key.CANCEL]
    assert typed_in("\x1b[A") == [], "an arrow is no cancel"
    assert typed_in("\x7f+") == [Key.CLEAR, Key.PLUS]
    assert typed_in("hello") == []


def test_what_a_scanner_types_is_a_pay_code_and_no_amount() -> None:
    assert typed_in("12345678901234567890\r") == [b"12345678901234567890"]
    assert typed_in("1234567890123456") == [Key(digit) for digit in "1234567890123456"], (
        "no Enter, no scanner"
    )


def test_output_that_is_no_window_gets_lines_of_text() -> None:
    out = io.StringIO()
    view = TtyView(LineDisplay(20, 4, Language.CHINESE.say), out, None)
    view.show(PAID, 0.0)
    view.show(View(PAID.mood, Sentence("paid"), (), 1250, 8750, online=True), 1.0)
    assert out.getvalue().count("已付款") == 2, "the same view is written once"
    view.close()


def test_a_refused_terminal_says_its_number_and_a_missing_reader_stops_it() -> None:
    idle = View(Mood.IDLE, Sentence("{merchant}", merchant="A"), (screens.LAY,))
    known = {"number": "112233445566", "clock_valid": True}
    refused = notices_on(idle, reader_works=True, unadmitted=True, **known)
    assert refused.mood is Mood.IDLE, "it may sell offline all the same"
    assert "112233445566" in str(refused.lines[-1])
    assert notices_on(idle, reader_works=False, unadmitted=False, **known).mood is Mood.BLOCKED
    assert notices_on(idle, reader_works=True, unadmitted=False, **known) == idle
