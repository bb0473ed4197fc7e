"""From texts to values: all of a version, or none of it; and the list that people read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.cli.language import Language
from campus_node.spending import parameters as p
from campus_node.spending.parameter_list import shown_name, table
from campus_node.spending.parameter_values import DEFAULTS, ParametersWrong, Place, read_parameters
from campus_node.wording import Sentence
from tests.spending.tills import OTHER, OWN, values
from tests.tidy.source_files import ROOT

ALL = list(p.all_parameters())


def mistakes(*texts: tuple[str, str]) -> tuple[str, str]:
    with pytest.raises(ParametersWrong) as found:
        read_parameters(texts)
    sentence = found.value.args[0]
    assert isinstance(sentence, Sentence)
    return Language.ENGLISH.say(sentence), Language.CHINESE.say(sentence)


def test_what_people_read_is_what_the_code_does() -> None:
    document = (ROOT / "docs/limits.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in document if line.startswith("| `")] == list(table())[2:]
    assert set(table()) <= set(document)


def test_names_are_unique_and_end_with_their_unit() -> None:
    assert len({each.name for each in ALL}) == len(ALL) >= 40
    for each in ALL:
        if each.kind.unit in {"fen", "ms", "s", "h", "min"} or each.kind.unit == "%":
            unit = {"%": "percent"}.get(each.kind.unit, each.kind.unit)
            assert each.name.endswith(f"_{unit}"), each.name
    assert shown_name(p.RATE) == "[tariff_N_class_N_meal_N_]rate_percent"  # type: ignore[arg-type]  # of any value


def test_without_anything_given_the_defaults_hold() -> None:
    for each in ALL:
        assert DEFAULTS.of(each) == each.kind.read(each.default)
    assert DEFAULTS.of(p.MEAL_ENDS) == (36_000, 50_400, 72_000, 86_399)
    assert DEFAULTS.of(p.CONFIRM_PAYMENT) == 2_000


def test_a_name_that_is_not_known_is_ignored_and_shown() -> None:
    found = read_parameters([("colour", "red"), ("day_max_fen", "7"), ("meal_3_day_max_fen", "8"), ("", "")])
    assert found.of(p.DAY_MAX) == 7
    assert found.ignored == ("colour", "meal_3_day_max_fen", "")


WRONG = {
    "day_max_fen": ["-1", "10000001", "12.50", "", " 5", "５", "9" * 50],
    "class_256_day_max_fen": ["5"],
    "meal_0_quota_fen": ["5"],
    "meal_9_quota_fen": ["5"],
    "item_100_price_fen": ["5"],
    "rate_percent": ["200.01", "1.234", "80 %", ".5", "-1"],
    "served": ["true", ""],
    "day_cut_off": ["24:00", "3:00", "03:00:00"],
    "meal_ends": ["", "10:00,10:00", "10:00,20:00,14:00", "10:00,", "10:60", "1,2,3,4,5,6,7,8,9"],
    "timezone": ["", "../etc/passwd"],
    "own_issuer": ["4355", f"{OWN.hex()},{OTHER.hex()}"],
    "accepted_offline_issuers": [f"{OWN.hex()},"],
    "fare_matrix_fen": ["0,1", "0,1;1", "0,a;1,0", "100001"],
    "session_price_units": ["0"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_one_wrong_value_refuses_the_whole_version(name: str, text: str) -> None:
    english, chinese = mistakes(("payment_max_fen", "300"), (name, text))
    assert name in english
    assert name in chinese
    assert any("\u4e00" <= character <= "\u9fff" for character in chinese)


def test_every_mistake_is_said_in_both_languages() -> None:
    english, chinese = mistakes(("day_max_fen", "much"), ("served", "maybe"), ("day_max_fen", "5"))
    assert english == (
        "day_max_fen is 'much', wanted: a whole number from 0 to 10000000; "
        "served is 'maybe', wanted: yes or no"
    )
    assert (
        chinese
        == "day_max_fen 的值为 'much', 应为: 0 至 10000000 的整数; served 的值为 'maybe', 应为: yes 或 no"
    )
    twice, _ = mistakes(("class_3_day_max_fen", "5"), ("class_03_day_max_fen", "5"))
    assert twice == "class_03_day_max_fen stands there twice"
    many, _ = mistakes(*[(f"class_{number}_served", "?") for number in range(30)])
    assert many.count("wanted") == 20
    assert many.endswith("and 10 more mistakes")


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (p.RATE, "87.5", 8_750), (p.RATE, "0", 0), (p.RATE, "200.00", 20_000), (p.RATE, "100.05", 10_005),
        (p.SERVED, "no", False), (p.DAY_CUT_OFF, "03:00", "03:00"), (p.TIMEZONE, "UTC", "UTC"),
        (p.MEAL_ENDS, "10:00, 02:00", (36_000, 7_200)), (p.MEAL_ENDS, "23:59:59", (86_399,)),
        (p.ACCEPTED, "", frozenset()),
        (p.ACCEPTED, f"{OWN.hex()}, {OTHER.hex().upper()}", frozenset({OWN, OTHER})),
        (p.FARE_MATRIX, "0, 1; 2, 0", ((0, 1), (2, 0))), (p.FARE_MATRIX, "", ()),
    ],
)  # fmt: skip
def test_texts_become_values(parameter: p.Parameter[object], text: str, value: object) -> None:
    assert values(f"{parameter.name}={text}").of(parameter) == value


PLACES = st.tuples(*[st.none() | st.integers(1, 2)] * 4).map(lambda numbers: Place(*numbers))


@settings(deadline=None)
@given(st.dictionaries(PLACES, st.integers(0, 9)), PLACES)
def test_the_value_for_the_earlier_scope_wins(given_values: dict[Place, int], asked: Place) -> None:
    def text(place: Place) -> str:
        parts = zip(("tariff", "class", "meal", "item"), place, strict=True)
        return "".join(f"{scope}_{number}_" for scope, number in parts if number is not None)

    found = read_parameters((f"{text(place)}price_fen", str(value)) for place, value in given_values.items())
    holds = [
        place for place in given_values if all(n in (None, a) for n, a in zip(place, asked, strict=True))
    ]
    best = max(holds, key=lambda place: [number is not None for number in place], default=None)
    assert found.of(p.PRICE, asked) == (0 if best is None else given_values[best])
