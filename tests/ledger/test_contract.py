"""What the ledger promises, as scripts that a cashier could read: on the model, SQLite and PostgreSQL."""

from tests.ledger.script import Script

TABLE = """
    open  li       online
    open  canteen  merchant
    fund  li       5000
"""


def test_a_visitors_lunch_is_reserved_then_confirmed(play: Script) -> None:
    play(TABLE)
    play("""
        reserve    t1  li -> canteen  1200
        balance    li  5000  1200
        confirm    t1  1200
        balance    li  3800
        balance    canteen  1200
        statement  li  fund:1 +5000  t1 +0  confirm:t1 -1200
    """)


def test_a_whole_life_fits_into_one_batch(play: Script) -> None:
    play(TABLE)
    play("""
        reserve    t1  li -> canteen  1200
        & confirm  t1  700
        & refund   t1  200
        & reverse  t1   ! ALREADY_CONFIRMED
        & confirm  t1  700
        balance    li       4500
        balance    canteen  500
    """)


def test_what_nobody_confirms_lapses_and_is_free_again(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  5000  for 60s
        post     t2  li -> canteen  1     ! INSUFFICIENT_FUNDS 1
        wait     59999ms
        post     t3  li -> canteen  1     ! INSUFFICIENT_FUNDS 1
        wait     1ms
        post     t4  li -> canteen  1
        balance  li  4999
        confirm  t1  5000   ! EXPIRED
        confirm  t1  5000   ! EXPIRED
        statement  li  fund:1 +5000  t1 +0  expire:t1 +0  t4 -1
    """)


def test_reservations_lapse_in_the_order_of_their_time(play: Script) -> None:
    play(TABLE)
    play("""
        reserve    t1  li -> canteen  100  for 3min
        reserve    t2  li -> canteen  200  for 1min
        reserve    t3  li -> canteen  300  for 1min
        wait       5min
        fund       li  1
        balance    li  5001
        statement  li  fund:1 +5000  t1 +0  t2 +0  t3 +0  expire:t2 +0  expire:t3 +0  expire:t1 +0  fund:2 +1
    """)


def test_a_repeat_alone_lets_the_due_reservations_lapse(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1200
        wait     2min
        reserve  t1  li -> canteen  1200   # the first answer, though it has lapsed meanwhile
        balance  li  5000
        rows     3
    """)


def test_a_late_confirm_that_was_decided_in_time_is_a_fact(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  5000  for 60s
        wait     60s
        post     t2  li -> canteen  4000
        confirm  t1  5000        ! EXPIRED
        confirm  t1  5000  fact  as late
        balance  li       -4000  0  4000
        balance  canteen   9000
        alarm    account.overdrawn_by_fact  1
        confirm  t1  5000  fact  as later   ! ALREADY_CONFIRMED
        reverse  t1                         ! ALREADY_CONFIRMED
        refund   t1  5000
        balance  li  1000
    """)


def test_a_late_confirm_never_takes_more_than_was_reserved(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1000  for 60s
        wait     60s
        confirm  t1  1001  fact          ! EXCEEDS_RESERVED
        confirm  t1  400   fact  as c2
        balance  li  4600
    """)


def test_a_confirm_in_time_is_the_same_for_a_fact(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1000
        confirm  t1  1001  fact           ! EXCEEDS_RESERVED
        confirm  t1  1000  fact  as c2
        balance  li  4000
    """)


def test_a_reverse_that_overtakes_its_reserve_burns_the_id(play: Script) -> None:
    play(TABLE)
    play("""
        reverse  t1
        reserve  t1  li -> canteen  1200        ! ALREADY_REVERSED
        reserve  t1  li -> canteen  1200        ! ALREADY_REVERSED
        confirm  t1  1200                       ! UNKNOWN_TRANSFER
        reverse  t1
        reverse  t1  as again
        balance  li  5000
        rows     5
    """)


def test_a_fact_cannot_reserve_under_a_burnt_id_either(play: Script) -> None:
    play(TABLE)
    play("""
        reverse  t1
        reserve  t1  li -> canteen  1200  fact   ! ALREADY_REVERSED
    """)


def test_a_refused_reverse_burns_nothing(play: Script) -> None:
    play(TABLE)
    play("""
        reverse  t1  currency 840          ! WRONG_CURRENCY
        reserve  t1  li -> canteen  1200
        balance  li  5000  1200
    """)


def test_a_post_is_not_looked_up_among_the_burnt_ids(play: Script) -> None:
    play(TABLE)
    play("""
        reverse  t1
        post     t1  li -> canteen  1200
        reverse  t1  as r2    ! ALREADY_CONFIRMED
        refund   t1  1200
        balance  li  5000
    """)


def test_a_reversed_reservation_gives_everything_back_once(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1200
        reverse  t1
        reverse  t1
        balance  li  5000
        reverse  t1  as r2           ! ALREADY_REVERSED
        confirm  t1  1200            ! ALREADY_REVERSED
        confirm  t1  1200  fact  as c2   ! ALREADY_REVERSED
        refund   t1  1               ! NOT_CONFIRMED
        balance  li  5000
        wait     2min
        fund     li  1
        balance  li  5001            # nothing lapses a second time
        rows     8
    """)


def test_reversing_what_has_lapsed_is_done_and_moves_nothing(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1200
        wait     60s
        reverse  t1
        balance  li  5000
        reverse  t1  as r2   ! ALREADY_REVERSED
        balance  li  5000
    """)


def test_a_reverse_that_was_answered_done_stands_against_a_late_confirm(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1200
        wait     60s
        reverse  t1
        confirm  t1  1200  fact   ! ALREADY_REVERSED
        balance  li  5000
    """)


def test_a_post_is_final_for_a_reverse(play: Script) -> None:
    play(TABLE)
    play("""
        post     t1  li -> canteen  1200
        reverse  t1         ! ALREADY_CONFIRMED
        confirm  t1  1200   ! UNKNOWN_TRANSFER
        balance  li  3800
    """)


def test_nobody_is_told_done_for_reversing_a_confirm_or_a_refund(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1200
        confirm  t1  1200
        refund   t1  200
        reverse  confirm:t1        ! UNKNOWN_TRANSFER
        reverse  refund:t1         ! UNKNOWN_TRANSFER
        confirm  confirm:t1  1200  ! UNKNOWN_TRANSFER
        refund   confirm:t1  1000  ! UNKNOWN_TRANSFER
        refund   refund:t1   200   ! UNKNOWN_TRANSFER
        confirm  t1  1  as c2      ! ALREADY_CONFIRMED
        reverse  c2                ! UNKNOWN_TRANSFER
        balance  li  4000
    """)


def test_a_confirm_for_less_releases_the_rest(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  3000
        confirm  t1  3001           ! EXCEEDS_RESERVED
        confirm  t1  750   as c2
        balance  li       4250
        balance  canteen  750
        confirm  t1  2250  as c3    ! ALREADY_CONFIRMED
        reverse  t1                 ! ALREADY_CONFIRMED
        balance  li       4250
    """)


def test_a_fact_takes_what_is_set_aside_for_others_and_they_still_confirm(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  4000
        fact     t2  li -> canteen  3000
        balance  li  2000  4000  2000
        confirm  t1  4000
        balance  li  -2000  0  2000
        balance  canteen  7000
    """)


def test_what_lapses_heals_an_overdraft(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  4000  for 60s
        fact     t2  li -> canteen  3000
        balance  li  2000  4000  2000
        wait     60s
        fund     li  1
        balance  li  2001
    """)


def test_a_fact_may_reserve_more_than_there_is(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  6000  fact
        balance  li  5000  6000  1000
        reverse  t1
        balance  li  5000
    """)


def test_a_reserve_that_must_stay_is_a_floor_above_zero(play: Script) -> None:
    play("""
        open     deposit  online  floor 100
        open     canteen  merchant
        balance  deposit  0  0  100
        fund     deposit  50
        balance  deposit  50  0  50
        post     t1  deposit -> canteen  1   ! INSUFFICIENT_FUNDS 51
        fund     deposit  60
        post     t2  deposit -> canteen  10
        balance  deposit  100
    """)


def test_a_reservation_stays_seven_days_at_most(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  100  for 7d
        reserve  t2  li -> canteen  100  for 604800001ms   ! EXPIRY_TOO_LONG
        reserve  t3  li -> canteen  100  for 0s            ! EXPIRY_MISSING
        reserve  t4  li -> canteen  100  for -1s           ! EXPIRY_MISSING
        reserve  t5  li -> canteen  100  for -1s  fact     ! EXPIRY_MISSING
        balance  li  5000  100
    """)


def test_a_clock_that_jumps_ahead_lets_reservations_lapse(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1000  for 1h
        clock    2h
        confirm  t1  1000   ! EXPIRED
        balance  li  5000
    """)


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


def test_what_two_people_posted_nobody_refunds_alone(play: Script) -> None:
    play(TABLE)
    play("""
        post     t1  li -> canteen  2000  kind ADJUSTMENT
        refund   t1  2000  as r1         ! NOT_REFUNDABLE
        refund   t1  2000  fact  as r2   ! NOT_REFUNDABLE
        balance  li  3000
        post     t2  canteen -> li  2000  kind ADJUSTMENT
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
    names = [f"s{number}" for number in range(40)]
    opened = "\n".join(f"open {name} online" for name in names)
    funded = "\n".join(f"& fund {name} 1000" for name in names)
    paid = "\n".join(
        f"& post  pay:{name}  {name} -> canteen  {number + 970}" for number, name in enumerate(names)
    )
    play("open canteen merchant\n" + opened)
    play(funded)
    refused = [
        line
        if int(line.split()[-1]) <= 1000
        else f"{line} ! INSUFFICIENT_FUNDS {int(line.split()[-1]) - 1000}"
        for line in paid.splitlines()
    ]
    play("\n".join(refused))
    play(f"balance canteen {sum(range(970, 1001))}")


def test_an_id_names_one_request_whatever_field_another_one_changes(play: Script) -> None:
    play(TABLE)
    play("""
        open     wang  online
        reserve  t1  li -> canteen  1200
        reserve  t1  wang -> canteen  1200               ! TRANSFER_CONFLICT
        reserve  t1  li -> wang  1200                    ! TRANSFER_CONFLICT
        reserve  t1  li -> canteen  1200  made 5s        ! TRANSFER_CONFLICT
        reserve  t1  li -> canteen  1200  window 3       ! TRANSFER_CONFLICT
        reserve  t1  li -> canteen  1200  kind FEE       ! TRANSFER_CONFLICT
        reserve  t1  li -> canteen  1200  currency 840   ! TRANSFER_CONFLICT
        reserve  t1  li -> canteen  1200  fact           ! TRANSFER_CONFLICT
        post     t1  li -> canteen  1200                 ! TRANSFER_CONFLICT
        confirm  t1  1200  as t1                         ! TRANSFER_CONFLICT
        balance  li  5000  1200
        rows     2
    """)


def test_a_repeat_may_differ_in_what_changes_on_the_way(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1200  for 60s
        reserve  t1  li -> canteen  1200  for 45s  origin RECOLLECTED
        balance  li  5000  1200
        wait     59s
        confirm  t1  1200
        post     t2  li -> canteen  100  origin OFFLINE
        post     t2  li -> canteen  100  origin PAPER
        balance  li  3700
        rows     4
    """)


def test_ids_of_two_originators_never_collide(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1000
        reserve  t1  li -> canteen  500  by gate
        confirm  t1  500  by gate  of gate  as c1
        confirm  t1  1000  as c1
        balance  li  3500
        reverse  t1  by gate   ! ALREADY_CONFIRMED
    """)


def test_anybody_may_speak_of_a_transfer_by_its_full_id(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1000  by gate
        confirm  t1  1000               ! UNKNOWN_TRANSFER
        confirm  t1  1000  of gate  as c2
        balance  li  4000
    """)


def test_the_same_id_twice_in_one_batch_is_one_transfer(play: Script) -> None:
    play(TABLE)
    play("""
        post     t1  li -> canteen  1200
        & post   t1  li -> canteen  1200
        & post   t1  li -> canteen  1300   ! TRANSFER_CONFLICT
        & post   t2  li -> canteen  3900   ! INSUFFICIENT_FUNDS 100
        & post   t2  li -> canteen  3900   ! INSUFFICIENT_FUNDS 100
        & fund   li  100
        & post   t3  li -> canteen  3900
        balance  li  0
        rows     5
    """)


def test_a_batch_decides_as_if_items_came_one_by_one(play: Script) -> None:
    play(TABLE)
    play("""
        reverse    t1
        & reserve  t1  li -> canteen  1200   ! ALREADY_REVERSED
        & reserve  t2  li -> canteen  5000
        & post     t3  li -> canteen  1      ! INSUFFICIENT_FUNDS 1
        & reverse  t2
        & post     t4  li -> canteen  1
        balance    li  4999
    """)


def test_an_account_is_opened_once(play: Script) -> None:
    play("""
        open     li    online  number 5
        fund     li    100
        open     li    online  number 5
        open     li    online  number 5  floor -1      ! TRANSFER_CONFLICT
        open     li    online  number 5  holder wang   ! TRANSFER_CONFLICT
        balance  li    100
        restart
        open     li    online  number 5
        open     li    online  number 5  floor -1      ! TRANSFER_CONFLICT
        balance  li    100
    """)


def test_a_clock_that_is_set_back_never_goes_back_in_the_books(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1000  for 60s
        clock    -1h
        wait     30s
        post     t2  li -> canteen  10
        confirm  t1  1000                      # half a minute has passed, not minus an hour
        reserve  t3  li -> canteen  1000  for 60s
        wait     60s
        confirm  t3  1000   ! EXPIRED
        clock    -1d
        restart
        post     t4  li -> canteen  10
        business t4  20260901
        balance  li  3980
    """)


def test_a_business_day_ends_at_the_cut_off_in_local_time(play: Script) -> None:
    play(TABLE)
    play("""
        post      t1  li -> canteen  10
        wait      959min
        post      t2  li -> canteen  10
        business  t2  20260901
        wait      1min
        post      t3  li -> canteen  10  made -3d
        business  t3  20260902
        clock     -3h
        post      t4  li -> canteen  10
        business  t4  20260902
    """)


def test_a_new_writer_finds_the_books_as_they_were(play: Script) -> None:
    play(TABLE)
    play("""
        reserve  t1  li -> canteen  1000  for 60s
        reserve  t2  li -> canteen  1000  for 60s
        reverse  t9
        post     t3  li -> canteen  9000   ! INSUFFICIENT_FUNDS 6000
        restart
        balance  li  5000  2000
        confirm  t1  1000
        reserve  t9  li -> canteen  1      ! ALREADY_REVERSED
        post     t3  li -> canteen  9000   ! INSUFFICIENT_FUNDS 6000
        post     t3  li -> canteen  8000   ! TRANSFER_CONFLICT
        restart
        wait     61s
        confirm  t1  1000
        refund   t1  400  as r1
        restart
        refund   t1  601  as r2            ! EXCEEDS_ORIGINAL
        refund   t1  600  as r3
        confirm  t2  1000                  ! EXPIRED
        balance  li  5000
    """)


def test_a_settlement_window_is_stamped_by_its_number_and_kept(play: Script) -> None:
    play(TABLE)
    play("""
        open  north  due_to
        post  t1  li -> north  100  window 2147483647
        post  t2  li -> north  100  window 2147483648   ! MALFORMED
        post  t3  li -> north  100  window -1           ! MALFORMED
        balance  north  100
    """)
    assert [row[15] for row in play.books.rows() if row[2] == 1 and row[11] == 100] == [2147483647]
