"""What the ledger promises about funds, facts, refusals and refunds: scripts for the model and databases."""

from tests.ledger.script import Script

TABLE = """
    open  li       online
    open  canteen  merchant
    fund  li       5000
"""


def test_a_retried_request_moves_money_once(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1200
        reserve  t1  li -> canteen  1200
        reserve  t1  li -> canteen  1300   ! TRANSFER_CONFLICT
        confirm  t1  1200
        confirm  t1  1200
        post     t2  li -> canteen  800
        post     t2  li -> canteen  800
        balance  li       3000
        balance  canteen  2000
        rows     4
    """)


def test_a_refusal_is_replayed_even_when_the_money_has_come_since(play: Script) -> None:
    play(TABLE)
    play("""
        post     t1  li -> canteen  6200   ! INSUFFICIENT_FUNDS 1200
        fund     li  9000
        post     t1  li -> canteen  6200   ! INSUFFICIENT_FUNDS 1200
        post     t2  li -> canteen  6200
        balance  li  7800
        rows     4
    """)


def test_reversing_what_was_refused_is_done_and_changes_nothing(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  6000  ! INSUFFICIENT_FUNDS 1000
        reverse  t1
        reverse  t1  as r2
        confirm  t1  6000                 ! UNKNOWN_TRANSFER
        balance  li  5000
    """)


def test_refunds_add_up_to_what_was_taken_and_no_more(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  3000
        refund   t1  1            ! NOT_CONFIRMED
        confirm  t1  2000
        refund   t1  2001  as r1  ! EXCEEDS_ORIGINAL
        refund   t1  1500  as r2
        refund   t1  501   as r3  ! EXCEEDS_ORIGINAL
        refund   t1  500   as r4
        refund   t1  1     as r5  ! EXCEEDS_ORIGINAL
        refund   t1  1500  as r2
        balance  li       5000
        balance  canteen  0
        statement  canteen  confirm:t1 +2000  r2 -1500  r4 -500
    """)


def test_a_post_can_be_refunded_in_parts(play: Script) -> None:
    play(TABLE)
    play("""
        post     t1  li -> canteen  2000
        refund   t1  1200  as r1
        & refund t1  801   as r2  ! EXCEEDS_ORIGINAL
        & refund t1  800   as r3
        balance  li  5000
    """)


def test_a_refund_as_a_fact_cannot_exceed_the_original_either(play: Script) -> None:
    play(TABLE)
    play("""
        post     t1  li -> canteen  2000
        refund   t1  2001  fact  as r1  ! EXCEEDS_ORIGINAL
        refund   t1  2000  fact  as r2
        balance  li  5000
    """)


def test_a_merchant_who_was_paid_out_cannot_refund_by_request_but_must_by_fact(play: Script) -> None:
    play(TABLE)
    play("""
        post     t1   li -> canteen  2000
        post     out  canteen -> nobody  1500  kind MERCHANT_SETTLEMENT   ! UNKNOWN_ACCOUNT
        open     icbc bank
        post     out2 canteen -> icbc  1500  kind MERCHANT_SETTLEMENT
        refund   t1   2000  as r1              ! INSUFFICIENT_FUNDS 1500
        refund   t1   2000  fact  as r2
        balance  canteen  -1500  0  1500
        balance  li        5000
        alarm    account.overdrawn_by_fact  1
    """)


def test_a_refund_of_something_unknown_or_refused_is_refused(play: Script) -> None:
    play(TABLE)
    play("""
        refund   nothing  100                 ! UNKNOWN_TRANSFER
        post     t1  li -> canteen  9000      ! INSUFFICIENT_FUNDS 4000
        refund   t1  9000                     ! UNKNOWN_TRANSFER
        refund   t1  9000  fact  as r2        ! UNKNOWN_TRANSFER
        reverse  t9
        refund   t9  1                        ! UNKNOWN_TRANSFER
        balance  li  5000
    """)


def test_a_fact_overdraws_and_later_loads_heal_it(play: Script) -> None:
    play(TABLE)
    play("""
        fact     t1  li -> canteen  7000
        balance  li  -2000  0  2000
        alarm    account.overdrawn_by_fact  1
        post     t2  li -> canteen  1        ! INSUFFICIENT_FUNDS 2001
        reserve  t3  li -> canteen  1        ! INSUFFICIENT_FUNDS 2001
        fund     li  500
        balance  li  -1500  0  1500
        fund     li  1500
        balance  li  0
        post     t4  li -> canteen  1        ! INSUFFICIENT_FUNDS 1
        fund     li  1
        post     t5  li -> canteen  1
        balance  li  0
    """)


def test_an_agreed_floor_is_how_low_requests_may_go(play: Script) -> None:
    play("""
        open     chen     online  floor -2000
        open     canteen  merchant
        post     t1  chen -> canteen  2000
        post     t2  chen -> canteen  1     ! INSUFFICIENT_FUNDS 1
        fact     t3  chen -> canteen  50
        balance  chen  -2050  0  50
    """)


def test_facts_are_refused_for_everything_but_funds(play: Script) -> None:
    play(TABLE)
    play("""
        fact  t1  nobody -> canteen  100                ! UNKNOWN_ACCOUNT
        fact  t2  li -> nobody  100                     ! UNKNOWN_ACCOUNT
        fact  t3  li -> li  100                         ! SAME_ACCOUNT
        fact  t4  canteen -> li  100                    ! WRONG_ACCOUNTS
        fact  t5  li -> canteen  0                      ! AMOUNT_NOT_POSITIVE
        fact  t6  li -> canteen  -5                     ! AMOUNT_NOT_POSITIVE
        fact  t7  li -> canteen  100001                 ! AMOUNT_HELD
        fact  t8  li -> canteen  100  currency 840      ! WRONG_CURRENCY
        fact  t9  li -> canteen  10000000000001         ! AMOUNT_TOO_LARGE
        balance  li  5000
        rows     10
    """)


def test_the_most_severe_refusal_is_the_answer(play: Script) -> None:
    play(TABLE)
    play("""
        post     t1  nobody -> nobody  0  currency 840              ! WRONG_CURRENCY
        post     t2  nobody -> nobody  0                            ! AMOUNT_NOT_POSITIVE
        post     t3  nobody -> nobody  20000000000000               ! AMOUNT_TOO_LARGE
        post     t4  nobody -> nobody  100001                       ! AMOUNT_HELD
        reverse  t5
        reserve  t5  nobody -> nobody  100001  for 0s               ! AMOUNT_HELD
        reverse  t6
        reserve  t6  nobody -> nobody  1  for 0s                    ! ALREADY_REVERSED
        reserve  t7  nobody -> nobody  1  for 0s                    ! UNKNOWN_ACCOUNT
        reserve  t8  li -> li  1  for 0s                            ! SAME_ACCOUNT
        reserve  t9  canteen -> li  1  for 0s                       ! WRONG_ACCOUNTS
        reserve  t10  li -> canteen  9000  for 0s                   ! EXPIRY_MISSING
        reserve  t11  li -> canteen  9000  for 8d                   ! EXPIRY_TOO_LONG
        reserve  t12  li -> canteen  9000  for 7d                   ! INSUFFICIENT_FUNDS 4000
        confirm  t12  0  currency 840  as c1                        ! WRONG_CURRENCY
        confirm  t12  0  as c2                                      ! AMOUNT_NOT_POSITIVE
        confirm  t12  20000000000000  as c3                         ! AMOUNT_TOO_LARGE
        confirm  t12  1  as c4                                      ! UNKNOWN_TRANSFER
        reserve  t13  li -> canteen  1000
        confirm  t13  1000
        confirm  t13  1001  as c5                                   ! ALREADY_CONFIRMED
        refund   t13  2000  currency 840  as r1                     ! WRONG_CURRENCY
        refund   t13  -1    as r2                                   ! AMOUNT_NOT_POSITIVE
        reverse  t13  currency 1  as v1                             ! WRONG_CURRENCY
        rows     25
    """)


def test_the_sane_limit_is_for_purchases_and_a_person_decides_beyond_it(play: Script) -> None:
    play(TABLE)
    play("""
        fund     li  200000
        post     t1  li -> canteen  100000
        post     t2  li -> canteen  100001   ! AMOUNT_HELD
        reserve  t3  li -> canteen  100001   ! AMOUNT_HELD
        alarm    transfer.amount_held  2
        post     t2  li -> canteen  100001   ! AMOUNT_HELD
        alarm    transfer.amount_held  2
        balance  li  105000
    """)


def test_huge_amounts_move_exactly_or_not_at_all(play: Script) -> None:
    play("""
        open     li  online
        fund     li  10000000000000
        fund     li  10000000000001   ! AMOUNT_TOO_LARGE
        fund     li  9223372036854775807   ! AMOUNT_TOO_LARGE
        fund     li  9223372036854775808   ! MALFORMED
        fund     li  -9223372036854775808  ! AMOUNT_NOT_POSITIVE
        fund     li  -9223372036854775809  ! MALFORMED
        fund     li  10000000000000
        balance  li  20000000000000
        balance  the_bank  -20000000000000
    """)


def test_money_goes_only_between_the_classes_that_the_chart_allows(play: Script) -> None:
    play(TABLE)
    play("""
        open  icbc  bank
        open  cash  cash
        open  fees  fees
        open  grants  subsidy
        post  t1  li -> grants  100                            ! WRONG_ACCOUNTS
        post  t2  li -> fees  100  kind FEE
        post  t3  li -> icbc  100                              ! WRONG_ACCOUNTS
        post  t4  li -> icbc  100  kind UNLOAD
        post  t5  icbc -> grants  1000  kind SUBSIDY_GRANT
        post  t6  grants -> li  400  kind SUBSIDY_CLAIM
        post  t7  li -> grants  1  kind SUBSIDY_CLAIM          ! WRONG_ACCOUNTS
        post  t8  cash -> li  250  kind LOAD
        post  t9  li -> cash  50  kind ADJUSTMENT
        balance  li      5400
        balance  grants  600
        balance  cash    -200
        balance  icbc    -900
    """)


def test_two_legs_between_campuses_go_through_due_to_and_due_from(play: Script) -> None:
    play(TABLE)
    play("""
        open     north  due_to
        open     south  due_from
        open     icbc   bank
        reserve  t1  li -> north  1200  window 7
        confirm  t1  1200  window 7
        balance  north  1200
        post     t2  south -> canteen  900  window 8
        balance  south  -900
        post     t3  icbc -> south  900  kind PEER_SETTLEMENT
        post     t4  north -> icbc  1200  kind PEER_SETTLEMENT
        balance  north  0
        balance  south  0
    """)


def test_a_hot_merchant_serves_everybody_in_one_batch(play: Script) -> None:
    names = [f"s{number}" for number in range(60)]
    opened = "\n".join(f"open {name} online\nfund {name} 1000" for name in names)
    paid = "\n".join(
        f"& post  pay:{name}  {name} -> canteen  {number + 950}" for number, name in enumerate(names)
    )
    play("open canteen merchant\n" + opened)
    refused = [
        line
        if int(line.split()[-1]) <= 1000
        else f"{line} ! INSUFFICIENT_FUNDS {int(line.split()[-1]) - 1000}"
        for line in paid.splitlines()
    ]
    play("\n".join(refused))
    play(f"balance canteen {sum(range(950, 1001))}")
