"""May this card pay? Each line: the amount in yuan and what is so, then what the till says."""

from dataclasses import replace

import pytest

from campus_node.spending.refusals import ASKED, SAID, Question, Refusal
from campus_node.spending.sales import Till, code_refused
from tests.spending.tills import LUNCH, play, said, values

OURS = "own_issuer=4355434100000001"
ACCEPTED = (OURS, "accepted_offline_issuers=4355434100000002")


def table(text: str) -> list[tuple[str, str]]:
    lines = [line.partition("->") for line in text.strip().splitlines()]
    return [(line.strip(), outcome.strip()) for line, _, outcome in lines]


@pytest.mark.parametrize(
    ("line", "outcome"),
    table("""
    0.01                                -> sold
    12.00                               -> sold
    20.00                               -> sold
    20.01                               -> asks confirm
    20.01 confirmed                     -> sold
    12.00 day=38.00                     -> sold
    12.00 day=38.01                     -> asks confirm
    12.00 day=38.01 confirmed           -> sold
    500.00 confirmed                    -> sold
    500.01 confirmed                    -> over_payment_limit
    0.00                                -> amount_not_positive
    1000.01 confirmed                   -> amount_not_sane
    100.00 day=900.00 confirmed         -> sold
    100.01 day=900.00 confirmed         -> over_day_limit
    100.00 month=4900.00 confirmed      -> sold
    100.01 month=4900.00 confirmed      -> over_month_limit
    """),
)
def test_limits_of_a_payment_a_day_and_a_month(line: str, outcome: str) -> None:
    assert said(play(line)) == outcome


@pytest.mark.parametrize(
    ("line", "outcome"),
    table("""
    12.00 listed                        -> card_listed
    12.00 wrong-clock                   -> clock_invalid
    12.00 full                          -> journal_full
    12.00 suspect                       -> psam_suspect
    12.00 expires=20260901              -> sold
    12.00 expires=20260831              -> card_expired
    12.00 expires=0                     -> sold
    12.00 starts=20260901               -> sold
    12.00 starts=20260902               -> card_not_yet_good
    """),
)
def test_what_the_card_and_the_till_are(line: str, outcome: str) -> None:
    assert said(play(line)) == outcome


@pytest.mark.parametrize(
    ("line", "outcome"),
    table("""
    8.00  last=8.00,2999                -> asks repeat
    8.00  last=8.00,2999 again          -> sold
    8.00  last=8.00,3000                -> sold
    8.00  last=8.10,100                 -> sold
    25.00 last=25.00,100                -> asks repeat confirm
    25.00 last=25.00,100 again          -> asks confirm
    25.00 last=25.00,100 confirmed      -> asks repeat
    0.10  last=0.10,500 step            -> sold
    """),
)
def test_the_same_card_and_amount_within_three_seconds_wants_an_override(line: str, outcome: str) -> None:
    assert said(play(line)) == outcome


@pytest.mark.parametrize(
    ("line", "outcome"),
    table("""
    100.00 cut-off confirmed                      -> sold
    100.01 cut-off confirmed                      -> over_offline_payment_budget
    100.01 confirmed                              -> sold
    60.00  cut-off confirmed offline=240.00       -> sold
    60.01  cut-off confirmed offline=240.00       -> over_offline_card_budget
    60.01  confirmed offline=240.00               -> sold
    12.00  cut-off sold=99988.00                  -> sold
    12.01  cut-off sold=99988.00                  -> over_offline_terminal_budget
    20.00  forgetful                              -> sold
    20.01  forgetful confirmed                    -> over_untracked_limit
    12.00  forgetful day=38.00                    -> sold
    12.01  forgetful day=38.00 confirmed          -> over_untracked_limit
    """),
)
def test_budgets_while_nobody_can_be_asked(line: str, outcome: str) -> None:
    assert said(play(line)) == outcome


@pytest.mark.parametrize(
    ("line", "outcome"),
    table("""
    12.00 foreign                                 -> sold
    12.00 foreign unheard=72                      -> sold
    20.00 foreign unheard=73                      -> sold
    20.01 foreign unheard=73 confirmed            -> over_foreign_day_limit
    8.01  foreign unheard=73 day=12.00            -> over_foreign_day_limit
    12.00 foreign unheard=168                     -> sold
    0.01  foreign unheard=169                     -> hotlist_too_old
    0.01  foreign unheard=never                   -> hotlist_too_old
    12.00 unheard=never                           -> sold
    """),
)
def test_visitors_pay_little_and_then_nothing_when_their_hotlist_is_old(line: str, outcome: str) -> None:
    assert said(play(line, values(*ACCEPTED))) == outcome


def test_another_campus_is_taken_only_where_it_is_accepted() -> None:
    assert said(play("12.00 foreign", values(OURS))) == "issuer_not_accepted"
    assert said(play("12.00 foreign")) == "sold", "who has not said which campus it is knows no stranger"


def test_a_class_has_its_own_limits() -> None:
    settings = values(
        "class_3_payment_max_fen=500",
        "class_3_confirm_payment_above_fen=100",
        "class_4_served=no",
        "tariff_2_class_4_served=yes",
        "class_5_meal_payments_max_count=1",
        "class_5_meal_1_payments_max_count=0",
        "class_6_meal_2_meal_payments_max_count=2",
    )
    for line, outcome in table("""
        5.01 class=3                    -> over_payment_limit
        1.01 class=3                    -> asks confirm
        5.01 class=2                    -> sold
        1.00 class=4                    -> class_not_served
        1.00 class=4 tariff=2           -> sold
        1.00 class=6 taken=1            -> sold
        1.00 class=6 taken=2            -> meal_taken
        1.00 class=6 taken=2 step       -> sold
        1.00 class=7 taken=255          -> sold
    """):
        assert said(play(line, settings)) == outcome, line
    assert settings.ignored == ("class_5_meal_1_payments_max_count",)


def test_what_does_not_count_for_a_meal_is_sold_after_it_too() -> None:
    settings = values("meal_payments_max_count=1", "tariff_9_meal_counted=no")
    assert said(play("1.00 taken=1", settings)) == "meal_taken"
    assert said(play("1.00 taken=1 tariff=9", settings)) == "sold"


SEVERITY = [
    ("listed", Refusal.CARD_LISTED),
    ("wrong-clock", Refusal.CLOCK_INVALID),
    ("full", Refusal.JOURNAL_FULL),
    ("suspect", Refusal.PSAM_SUSPECT),
    ("expires=20260831", Refusal.CARD_EXPIRED),
    ("foreign unheard=999", Refusal.HOTLIST_TOO_OLD),
    ("class=4", Refusal.CLASS_NOT_SERVED),
    ("day=900.00", Refusal.OVER_DAY_LIMIT),
    ("month=4900.00", Refusal.OVER_MONTH_LIMIT),
    ("forgetful", Refusal.OVER_UNTRACKED_LIMIT),
    ("cut-off", Refusal.OVER_OFFLINE_PAYMENT_BUDGET),
    ("taken=1", Refusal.MEAL_TAKEN),
]


@pytest.mark.parametrize("first", range(len(SEVERITY)))
def test_of_several_reasons_the_most_severe_is_said(first: int) -> None:
    settings = values(*ACCEPTED, "class_4_served=no", "meal_payments_max_count=1", "month_max_fen=500000")
    words = " ".join(word for word, _ in SEVERITY[first:])
    assert play(f"120.00 confirmed {words}", settings).refusal is SEVERITY[first][1]


@pytest.mark.parametrize(
    ("sold", "amount", "refusal"),
    [
        (0, 2_000, None),
        (1_500, 500, None),
        (1_500, 501, Refusal.OVER_CODE_BUDGET),
        (0, 0, Refusal.AMOUNT_NOT_POSITIVE),
    ],
)
def test_a_cut_off_till_takes_pay_codes_only_where_the_class_allows_it(
    sold: int, amount: int, refusal: Refusal | None
) -> None:
    till = Till(LUNCH, cut_off=True)
    assert code_refused(amount, 3, till, sold, values("class_3_code_outage_max_fen=2000")) is refusal
    assert code_refused(1, 4, till, 0, values("class_3_code_outage_max_fen=2000")) is Refusal.OVER_CODE_BUDGET
    assert code_refused(1, 3, Till(replace(LUNCH, valid=False)), 0, values()) is Refusal.CLOCK_INVALID


def test_every_refusal_and_every_question_has_its_sentence() -> None:
    assert set(SAID) == set(Refusal)
    assert set(ASKED) == set(Question)
