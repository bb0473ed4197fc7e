"""Water and laundry: paid before it is given, in steps, and never much too much."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.spending.parameter_values import DEFAULTS, Place
from campus_node.spending.sessions import Next, Session, debited, metered, next_debit_fen, next_of, paid_units
from tests.spending.tills import values

WATER = Place()


def test_a_session_at_a_water_tap() -> None:
    session = Session(last_unit_s=100)  # 0.30 yuan a litre, counted in ml, in steps of 0.10
    assert next_of(session, 100, WATER, DEFAULTS) is Next.DEBIT
    assert next_debit_fen(session, WATER, DEFAULTS) == 10
    session = debited(session, 10)
    assert paid_units(session, WATER, DEFAULTS) == 333
    session = metered(session, 332, 110)
    assert next_of(session, 110, WATER, DEFAULTS) is Next.GIVE
    session = metered(session, 333, 111)
    assert next_of(session, 111, WATER, DEFAULTS) is Next.DEBIT
    assert next_of(session, 170, WATER, DEFAULTS) is Next.DEBIT
    assert next_of(session, 171, WATER, DEFAULTS) is Next.END, "nobody drew water for a minute"


def test_a_meter_that_counts_back_or_stands_still_changes_nothing() -> None:
    session = metered(Session(0, 10), 200, 5)
    assert metered(session, 100, 9) is session
    assert metered(session, 200, 9) is session


def test_a_session_ends_at_its_limit_and_debits_no_fen_beyond_it() -> None:
    settings = values("session_max_fen=25")
    session = Session(0)
    for step in (10, 10, 5):
        assert next_debit_fen(session, WATER, settings) == step
        session = metered(debited(session, step), paid_units(debited(session, step), WATER, settings), 1)
    assert next_debit_fen(session, WATER, settings) == 0
    assert next_of(session, 1, WATER, settings) is Next.END


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 500),
    st.integers(1, 5_000),
    st.integers(1, 100),
    st.lists(st.integers(0, 3_000), max_size=8),
)
def test_everything_given_is_paid_and_what_is_lost_is_less_than_a_step_and_a_unit(
    price: int, units: int, step: int, draws: list[int]
) -> None:
    settings = values(
        f"session_price_fen={price}",
        f"session_price_units={units}",
        f"session_step_fen={step}",
        "session_max_fen=9000",
    )
    session = Session(0)
    for draw in draws:
        wanted = session.used_units + draw
        while session.used_units < wanted:
            match next_of(session, 0, WATER, settings):
                case Next.DEBIT:
                    session = debited(session, next_debit_fen(session, WATER, settings))
                case Next.GIVE:
                    session = metered(session, min(wanted, paid_units(session, WATER, settings)), 0)
                case Next.END:
                    break
        cost = Fraction(session.used_units * price, units)
        assert cost <= session.paid_fen <= 9_000
        assert session.paid_fen - cost < max(step, -(-price // units)) + Fraction(price, units) + 1
