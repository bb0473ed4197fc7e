"""Prices, each change on a line of its own, rounded half up to the fen; loads."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.spending.loads import load_refused
from campus_node.spending.parameter_values import DEFAULTS, Place
from campus_node.spending.refusals import Refusal
from campus_node.spending.rounding import share_fen
from campus_node.spending.tariffs import LineKind, bill, fixed_price_fen, menu_price_fen, quota_price_fen
from tests.spending.tills import values


@settings(deadline=None)
@given(st.integers(0, 10**7), st.integers(0, 20_000), st.integers(1, 10_000))
def test_half_a_fen_goes_up_and_less_goes_down(amount_fen: int, share: int, of: int) -> None:
    exact = Fraction(amount_fen * share, of)
    whole = exact.numerator // exact.denominator
    assert share_fen(amount_fen, share, of) == whole + (exact - whole >= Fraction(1, 2))


@pytest.mark.parametrize(
    ("price", "rate", "surcharge", "lines"),
    [
        (1_000, "100", "0", "price 1000"),
        (1_000, "80", "0", "price 1000, discount -200"),
        (1_000, "120", "0", "price 1000, increase 200"),
        (1_000, "100", "15", "price 1000, surcharge 150"),
        (1_000, "80", "15", "price 1000, discount -200, surcharge 120"),
        (1_000, "0", "200", "price 1000, discount -1000"),
        (1_000, "200", "200", "price 1000, increase 1000, surcharge 4000"),
        (5, "50", "0", "price 5, discount -2"),
        (1, "50", "0", "price 1"),
        (333, "87.5", "0", "price 333, discount -42"),
        (999, "33.33", "0.05", "price 999, discount -666"),
        (0, "80", "15", "price 0"),
    ],
)
def test_each_change_of_a_price_stands_on_its_own_line(
    price: int, rate: str, surcharge: str, lines: str
) -> None:
    settings = values(f"rate_percent={rate}", f"surcharge_percent={surcharge}")
    found = bill(price, Place(), settings)
    assert ", ".join(f"{line.kind.value} {line.amount_fen}" for line in found.lines) == lines


@settings(deadline=None)
@given(st.integers(0, 10**7), st.integers(0, 200), st.integers(0, 200))
def test_the_lines_are_the_total_and_the_total_is_never_below_zero(price: int, rate: int, extra: int) -> None:
    found = bill(price, Place(), values(f"rate_percent={rate}", f"surcharge_percent={extra}"))
    remains = share_fen(price, rate * 100)
    assert found.total_fen == remains + share_fen(remains, extra * 100)
    assert 0 <= found.total_fen <= 6 * price
    assert [line for line in found.lines[1:] if line.amount_fen == 0] == []
    assert all((line.amount_fen < 0) == (line.kind is LineKind.DISCOUNT) for line in found.lines)


def test_a_price_goes_by_merchant_class_and_meal() -> None:
    settings = values(
        "rate_percent=100",
        "class_3_rate_percent=90",
        "tariff_2_rate_percent=80",
        "tariff_2_class_3_rate_percent=70",
        "tariff_2_class_3_meal_1_rate_percent=60",
        "meal_4_rate_percent=110",
    )
    found = {
        (tariff, card_class, meal): bill(1_000, Place(tariff, card_class, meal), settings).total_fen
        for tariff in (1, 2)
        for card_class in (1, 3)
        for meal in (1, 2, 4)
    }
    assert found == {
        (1, 1, 1): 1_000, (1, 1, 2): 1_000, (1, 1, 4): 1_100,
        (1, 3, 1): 900, (1, 3, 2): 900, (1, 3, 4): 900,
        (2, 1, 1): 800, (2, 1, 2): 800, (2, 1, 4): 800,
        (2, 3, 1): 600, (2, 3, 2): 700, (2, 3, 4): 700,
    }  # fmt: skip


def test_a_menu_costs_what_its_items_cost() -> None:
    settings = values(
        "item_1_price_fen=350", "item_2_price_fen=200", "class_3_item_2_price_fen=150", "price_fen=9"
    )
    assert menu_price_fen([(1, 1), (2, 3)], Place(card_class=1), settings) == 950
    assert menu_price_fen([(1, 1), (2, 3)], Place(card_class=3), settings) == 800
    assert menu_price_fen([(1, 0)], Place(), settings) is None
    assert menu_price_fen([], Place(), settings) is None
    assert menu_price_fen([(3, 1)], Place(), values("item_1_price_fen=350")) is None
    assert fixed_price_fen(Place(), settings) == 9
    assert fixed_price_fen(Place(), DEFAULTS) is None


def test_a_quota_is_what_a_meal_costs_a_class() -> None:
    settings = values("meal_2_quota_fen=1200", "class_3_meal_2_quota_fen=800")
    assert quota_price_fen(Place(card_class=1, meal=2), settings) == 1_200
    assert quota_price_fen(Place(card_class=3, meal=2), settings) == 800
    assert quota_price_fen(Place(card_class=3, meal=1), settings) is None


@pytest.mark.parametrize(
    ("amount", "balance", "refusal"),
    [
        (0, 0, Refusal.AMOUNT_NOT_POSITIVE),
        (49_900, 0, None),
        (49_901, 0, Refusal.OVER_LOAD_LIMIT),
        (49_900, 50_100, None),
        (49_900, 50_101, Refusal.OVER_BALANCE_LIMIT),
    ],
)
def test_a_load_is_refused_before_any_bank_is_asked(
    amount: int, balance: int, refusal: Refusal | None
) -> None:
    assert load_refused(amount, balance, 1, DEFAULTS) is refusal
