"""What the ledger promises about ids, batches, clocks and its books: scripts for the model and databases."""

from tests.ledger.script import Script

TABLE = """
    open  li       online
    open  canteen  merchant
    fund  li       5000
"""


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
