"""What the ledger promises about money that is set aside: scripts for the model, SQLite and PostgreSQL."""

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
