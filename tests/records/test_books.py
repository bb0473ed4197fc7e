"""What becomes of a till's records, on both databases (rules of the field, 4 to 12)."""

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from campus_node.database.connect import reading, writing
from campus_node.ledger.tables import transfers
from campus_node.purse.journal_entries import Movement, State
from campus_node.records import assessment
from campus_node.records.alarming import alarms_of
from campus_node.records.assessment import Read, Ruling, Waiting, read
from campus_node.records.movement_rows import release_revoked
from campus_node.records.spooled import Outcome
from campus_node.registry.cards import Card, CardFlag, of_asn, register
from campus_node.registry.terminals import TerminalState, by_name, note_last_good, set_state
from federation.clock import VirtualClock
from federation.errors import Refused
from federation.transfer import Origin
from hil_rig.sales import ISSUER, JournalRecord, SoftTill, card_number, make_card
from tests.records.build import FOURTEEN, OTHER_SPOOL, SEVEN, SPOOL
from tests.records.counter import NOON, Canteen, changed, ends

EVENING_MS = 1_788_220_800_000 + int(10.5 * 3_600_000)  # 18:30 in Shanghai
ACCEPTED, STEP = (Outcome.ACCEPTED, None), (Outcome.ACCEPTED, "step")


@pytest.fixture
def canteen(db: Engine, url: str, clock: VirtualClock, tmp_path: Path) -> Iterator[Canteen]:
    made = Canteen(db, url, clock, tmp_path)
    yield made
    made.close()


def test_a_sale_is_booked_from_the_card_to_the_merchant(canteen: Canteen) -> None:
    canteen.seven.sell(canteen.li, 1_250, NOON)
    canteen.bring()
    assert canteen.work() == 1
    assert canteen.earned_fen == canteen.spent_fen(1001) == 1_250
    assert canteen.outcomes() == {ACCEPTED: 1, STEP: 1}
    canteen.require_balanced()


def test_every_record_three_times_shuffled_from_two_terminals_is_one_posting(
    canteen: Canteen, seed: int
) -> None:
    rng = random.Random(seed)
    for at in range(12):
        till = rng.choice((canteen.seven, canteen.fourteen))
        till.sell(rng.choice((canteen.li, canteen.wang)), 100 + at, NOON)
    records = canteen.seven.records() + canteen.fourteen.records()
    copies = [each._replace(journal_id=b"C" * 16, seq=at + 1) for at, each in enumerate(ends(records))]
    everything = [(each, rng.choice((SEVEN, FOURTEEN))) for each in records]
    everything += [(each, FOURTEEN) for each in copies]  # the same sales, in another till's journal
    thrice = everything * 3
    rng.shuffle(thrice)
    for each, terminal in thrice:
        gateway, spool = rng.choice((("canteen", SPOOL), ("library", OTHER_SPOOL)))
        canteen.deliver([each], terminal.terminal_id, gateway=gateway, spool=spool)
        if rng.random() < 0.3:
            canteen.work()
    canteen.work()
    assert canteen.postings() == canteen.movements() == 12
    assert canteen.earned_fen == sum(range(100, 112))
    assert canteen.frozen == []
    canteen.require_balanced()


def test_a_valid_record_that_is_sent_again_with_its_counter_raised_is_refused(canteen: Canteen) -> None:
    canteen.seven.sell(canteen.li, 700, NOON)
    (done,) = ends(canteen.seven.records())
    again = changed(done, lambda m: replace(m, card_seq=m.card_seq + 1), journal_id=b"X" * 16)
    canteen.deliver([done, again])
    assert canteen.work() == 1
    assert canteen.outcomes() == {ACCEPTED: 1, (Outcome.REFUSED, "mac2_wrong"): 1}
    assert canteen.alarms() == {"purse.mac_wrong": 1}
    assert canteen.earned_fen == 700


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("amount_fen", "both_wrong"),
        ("terminal_seq", "both_wrong"),
        ("card_seq", "mac2_wrong"),
        ("made_at", "tac_wrong"),
        ("terminal_id", "tac_wrong"),
    ],
)
def test_whatever_is_changed_in_a_record_a_mac_tells(canteen: Canteen, what: str, why: str) -> None:
    canteen.seven.sell(canteen.li, 700, NOON)

    def forge(movement: Movement) -> Movement:
        other = {
            "amount_fen": movement.amount_fen + 1,
            "terminal_seq": movement.terminal_seq + 1,
            "card_seq": movement.card_seq + 1,
            "made_at": bytes.fromhex("20260902120000"),
            "terminal_id": FOURTEEN.terminal_id,
        }
        return replace(movement, **{what: other[what]})  # type: ignore[arg-type]  # one of its own fields

    canteen.deliver([changed(each, forge) for each in ends(canteen.seven.records())])
    assert canteen.work() == 0
    assert canteen.outcomes() == {(Outcome.REFUSED, why): 1}
    assert canteen.postings() == 0


def test_the_balance_that_a_record_tells_decides_nothing(canteen: Canteen) -> None:
    canteen.seven.sell(canteen.li, 700, NOON)
    rich = [
        changed(each, lambda m: replace(m, balance_before_fen=99_999, balance_after_fen=99_299))
        for each in ends(canteen.seven.records())
    ]
    canteen.deliver(rich)
    assert canteen.work() == 1
    assert canteen.outcomes() == {ACCEPTED: 1}


def test_two_sales_under_one_counter_of_a_card_freeze_it_and_the_second_is_held(
    canteen: Canteen, clock: VirtualClock
) -> None:
    twin = make_card(1001, 50_000, seed=2)  # the same keys: a clone
    with writing(canteen.db) as connection:
        register(connection, Card(card_number(1001), ISSUER, 2_100 * 10**12 + 1), clock.unix_ms())
    canteen.seven.sell(canteen.li, 700, NOON)
    canteen.fourteen.sell(twin, 800, NOON)
    canteen.bring()
    assert canteen.work() == 1
    assert canteen.outcomes() == {ACCEPTED: 1, STEP: 2, (Outcome.CONFLICT, "clone"): 1}
    assert canteen.alarms() == {"purse.clone": 1}
    with reading(canteen.db) as connection:
        assert [each.flag for each in of_asn(connection, card_number(1001)).flags] == [CardFlag.FROZEN]
    assert canteen.frozen == [card_number(1001)]
    assert canteen.earned_fen == 700
    canteen.require_balanced()


def test_a_number_of_a_terminal_that_comes_twice_for_a_card_is_held(
    canteen: Canteen, clock: VirtualClock
) -> None:
    canteen.seven.sell(canteen.li, 700, NOON)
    copy = SoftTill(SEVEN.terminal_id, b"c" * 16, clock)  # its PSAM counts from the beginning
    copy.sell(canteen.li, 800, NOON)
    canteen.bring()
    canteen.deliver(copy.records())
    assert canteen.work() == 1
    assert canteen.alarms() == {"purse.terminal_seq_taken": 1}
    assert canteen.earned_fen == 700


def test_records_of_unknown_and_retired_terminals_stay_apart(canteen: Canteen, clock: VirtualClock) -> None:
    stranger = SoftTill(bytes(5) + b"\x63", b"s" * 16, clock)
    stranger.sell(canteen.li, 300, NOON)
    canteen.deliver(stranger.records())  # in a journal that a good till brings
    canteen.fourteen.sell(canteen.li, 300, NOON)
    canteen.deliver(canteen.fourteen.records(), FOURTEEN.terminal_id)
    with writing(canteen.db) as connection:
        set_state(connection, by_name(connection, "till-14"), TerminalState.RETIRED, clock.unix_ms())
    assert canteen.work() == 0
    assert canteen.outcomes() == {
        STEP: 2,
        (Outcome.QUARANTINED, "unknown_terminal"): 1,
        (Outcome.QUARANTINED, "retired_terminal"): 1,
    }
    assert canteen.alarms() == {"record.unknown_terminal": 1, "record.retired_terminal": 1}


def test_after_the_last_good_number_of_a_revoked_psam_nothing_is_paid(
    canteen: Canteen, clock: VirtualClock
) -> None:
    for fen in (100, 200, 400):
        canteen.seven.sell(canteen.li, fen, NOON)
    records = canteen.seven.records()
    canteen.deliver(records[:2])
    with writing(canteen.db) as connection:
        before = by_name(connection, "till-7")
        with pytest.raises(Refused):
            note_last_good(connection, before, 2)
        set_state(connection, before, TerminalState.REVOKED, clock.unix_ms())
    canteen.deliver(records[2:4])
    assert canteen.work() == 0
    assert canteen.outcomes()[Outcome.QUARANTINED, "revoked_terminal"] == 3
    with writing(canteen.db) as connection:
        revoked = by_name(connection, "till-7")
        note_last_good(connection, revoked, 2)
        assert release_revoked(connection, revoked.terminal_id) == 3
    canteen.deliver(records[4:])
    assert canteen.work() == 2
    assert canteen.earned_fen == 300
    assert canteen.outcomes()[Outcome.REFUSED, "psam_revoked"] == 1
    assert canteen.alarms()["purse.psam_revoked"] == 1


def test_what_cannot_be_read_is_kept_apart_and_what_is_not_known_waits(canteen: Canteen) -> None:
    canteen.deliver(
        [JournalRecord(b"7" * 16, 1, b"\x01 cut"), JournalRecord(b"7" * 16, 2, b"\xfe a newer kind")]
    )
    canteen.work()
    assert canteen.outcomes() == {
        (Outcome.QUARANTINED, "unreadable"): 1,
        (Outcome.PENDING, "kind_unknown"): 1,
    }


def test_an_amount_beyond_a_thousand_yuan_is_held_for_a_person(canteen: Canteen) -> None:
    rich = make_card(1002, 900_000)
    canteen.seven.sell(rich, 100_001, NOON)
    canteen.seven.sell(rich, 100_000, NOON)
    canteen.bring()
    assert canteen.work() == 1
    assert canteen.outcomes()[Outcome.PENDING, "amount_held"] == 1
    assert canteen.earned_fen == 100_000
    assert canteen.alarms() == {"purse.amount_held": 1}


def test_a_card_whose_counter_is_near_its_end_raises_an_alarm(canteen: Canteen) -> None:
    canteen.seven.sell(canteen.li, 100, NOON)
    (done,) = ends(canteen.seven.records())
    for counter, names in ((59_999, []), (60_000, ["purse.counter_near_end"])):
        late = changed(done, partial(replace, card_seq=counter))
        each = read(Waiting(late.journal_id, late.seq, Origin.OFFLINE, 0, late.body))
        assert [alarm.name for alarm in alarms_of([Ruling(each, Outcome.ACCEPTED)])] == names


def test_without_a_key_store_all_wait_and_with_one_all_are_booked(
    db: Engine, url: str, clock: VirtualClock, tmp_path: Path
) -> None:
    canteen = Canteen(db, url, clock, tmp_path, with_keys=False)
    canteen.seven.sell(canteen.li, 700, NOON)
    canteen.bring()
    assert canteen.work() == 0
    assert canteen.outcomes()[Outcome.PENDING, "key_missing"] == 1
    canteen.bookkeeper = canteen.new_bookkeeper(canteen.books)
    assert canteen.bookkeeper.look_again(after_start=True) == 1
    assert canteen.work() == 1
    canteen.close()


def test_another_issuers_card_is_provisional(canteen: Canteen) -> None:
    canteen.seven.sell(canteen.li, 700, NOON)
    other = [
        changed(each, lambda m: replace(m, issuer=bytes.fromhex("4355434100000002")))
        for each in ends(canteen.seven.records())
    ]
    canteen.deliver(other)
    assert canteen.work() == 0
    assert canteen.outcomes() == {(Outcome.PENDING, "foreign"): 1}


def test_a_late_record_is_booked_today_and_keeps_its_time_and_its_meal(
    canteen: Canteen, clock: VirtualClock
) -> None:
    canteen.seven.sell(canteen.li, 700, "20260901183000")
    clock.advance(5 * 24 * 3_600_000)
    canteen.bring()
    canteen.work()
    assert canteen.column("made_at_unix_ms") == [EVENING_MS]
    assert canteen.column("meal") == [3]
    assert canteen.column("origin") == [Origin.OFFLINE]
    with reading(canteen.db) as connection:
        columns = transfers.c.business_date, transfers.c.made_at_unix_ms
        assert connection.execute(select(*columns)).all() == [(20260906, EVENING_MS)]


def test_a_record_keeps_how_it_came(canteen: Canteen, clock: VirtualClock) -> None:
    clock.advance(4 * 3_600_000 + 5_000)  # five seconds after noon
    for fen in (100, 200):
        canteen.seven.sell(canteen.li, fen, NOON)
    records = canteen.seven.records()
    canteen.deliver(records[:2])
    canteen.deliver(records[2:], recollected=True)
    canteen.work()
    assert canteen.column("origin") == [Origin.REAL_TIME, Origin.RECOLLECTED]


def test_a_sale_that_did_not_happen_is_not_booked(canteen: Canteen) -> None:
    canteen.seven.sell(canteen.li, 700, NOON)
    void = [
        changed(each, lambda m: replace(m, state=State.VOID, mac2=None, tac=None))
        for each in ends(canteen.seven.records())
    ]
    canteen.deliver(canteen.seven.records()[:1] + void)
    assert canteen.work() == 0
    assert canteen.outcomes() == {STEP: 1, (Outcome.ACCEPTED, "void"): 1}


def test_a_mistake_of_ours_in_one_record_holds_up_no_other(
    canteen: Canteen, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fen in (100, 200, 400):
        canteen.seven.sell(canteen.li, fen, NOON)
    canteen.bring()
    bad = ends(canteen.seven.records())[1].seq
    real = assessment.read

    def breaks(waiting: Waiting) -> Read:
        if waiting.seq == bad:
            raise RuntimeError("a mistake")
        return real(waiting)

    monkeypatch.setattr(assessment, "read", breaks)
    assert canteen.work() == 2
    assert canteen.outcomes()[Outcome.PENDING, "failed"] == 1
    assert canteen.alarms() == {"record.not_assessed": 1}
    monkeypatch.setattr(assessment, "read", real)
    assert canteen.bookkeeper.look_again(after_start=True) == 1
    assert canteen.work() == 1
    assert canteen.earned_fen == 700
