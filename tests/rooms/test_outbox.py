"""The outbox: whatever fails, what was committed is told, and takes effect once."""

import random
import threading
from collections import Counter
from itertools import pairwise

import pytest
from sqlalchemy import Engine

from campus_node.database.connect import reading, writing
from campus_node.outbox import store
from campus_node.outbox.relay import Deliver, OutboxRelay, RelayLimits, Round
from campus_node.outbox.store import Backlog, Message, is_first
from campus_node.watch.alarms import TOPIC, Alarm, Severity, alarm_body
from campus_node.watch.receiver import AlarmReceiver, raise_dead_letter
from campus_node.watch.store import AlarmFilter, RecordedAlarm, find
from federation.clock import VirtualClock
from federation.errors import Refused, StoreDown


class Killed(BaseException):
    """Ends a relay as kill -9 would: nothing after it runs, nothing catches it."""


def put(db: Engine, clock: VirtualClock, *messages: str, topic: str = "letter", body: str = "{}") -> None:
    with writing(db) as connection:
        for message in messages:
            store.enqueue(connection, message, topic, body, clock.unix_ms())


def waiting(db: Engine) -> list[Backlog]:
    with reading(db) as connection:
        return store.backlog(connection)


def alarms(db: Engine) -> list[RecordedAlarm]:
    with reading(db) as connection:
        return find(connection, AlarmFilter())


def relay(
    db: Engine,
    clock: VirtualClock,
    deliver: Deliver,
    limits: RelayLimits | None = None,
    topic: str = "letter",
) -> OutboxRelay:
    return OutboxRelay(
        db, clock, {topic: deliver}, raise_dead_letter, random.Random(7), limits or RelayLimits()
    )


def test_what_is_due_is_delivered_once_in_order(db: Engine, clock: VirtualClock) -> None:
    got: list[Message] = []
    put(db, clock, "b", body='{"n": 1}')
    clock.advance(1)
    put(db, clock, "a")
    letters = relay(db, clock, got.append)
    assert letters.run_once() == Round(delivered=2)
    assert letters.run_once() == Round()
    assert [(m.message, m.topic, m.body, m.attempts) for m in got] == [
        ("b", "letter", '{"n": 1}', 1),
        ("a", "letter", "{}", 1),
    ]
    assert waiting(db) == []


def test_what_is_rolled_back_is_never_told(db: Engine, clock: VirtualClock) -> None:
    def fail_half_way() -> None:
        with writing(db) as connection:
            store.enqueue(connection, "a", "letter", "{}", clock.unix_ms())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert relay(db, clock, lambda _: None).run_once() == Round()


def test_an_id_enqueued_again_adds_nothing(db: Engine, clock: VirtualClock) -> None:
    got: list[Message] = []
    put(db, clock, "a", body="1")
    put(db, clock, "a", body="2")
    letters = relay(db, clock, got.append)
    letters.run_once()
    put(db, clock, "a", body="3")
    letters.run_once()
    assert [m.body for m in got] == ["1"]


def test_a_failure_is_repeated_later_and_later_up_to_a_limit(db: Engine, clock: VirtualClock) -> None:
    tried_at: list[int] = []

    def fail(_: Message) -> None:
        tried_at.append(clock.unix_ms())
        raise StoreDown("the receiver is away")

    put(db, clock, "a")
    limits = RelayLimits(first_delay_ms=1_000, delay_max_ms=8_000, attempts_max=50)
    letters = relay(db, clock, fail, limits)
    for _ in range(400):
        letters.run_once()
        clock.advance(100)
    waits = [later - earlier for earlier, later in pairwise(tried_at)]
    for number, wait in enumerate(waits):
        longest = min(8_000, 1_000 * 2**number)
        assert longest // 2 <= wait <= longest + 100, f"wait {number} was {wait} ms"
    assert len(waits) >= 7
    assert len(set(waits[3:])) > 1, "no jitter: all that failed together would come back together"


def test_one_that_fails_does_not_hold_up_the_others(db: Engine, clock: VirtualClock) -> None:
    got: list[str] = []

    def deliver(message: Message) -> None:
        if message.message == "bad":
            raise KeyError(message.message)
        got.append(message.message)

    put(db, clock, "bad", "good", "fine")
    assert relay(db, clock, deliver).run_once() == Round(delivered=2, failed=1)
    assert sorted(got) == ["fine", "good"]


def test_after_the_last_attempt_it_is_given_up_with_an_alarm_and_can_be_revived(
    db: Engine, clock: VirtualClock
) -> None:
    got: list[str] = []
    broken = True

    def deliver(message: Message) -> None:
        if broken:
            raise RuntimeError("no such number")
        got.append(message.message)

    put(db, clock, "a")
    letters = relay(db, clock, deliver, RelayLimits(attempts_max=3))
    rounds = []
    for _ in range(10):
        rounds.append(letters.run_once())
        clock.advance(10_000)
    assert Counter(rounds) == {Round(failed=1): 2, Round(dead=1): 1, Round(): 7}
    (alarm,) = alarms(db)
    assert (alarm.alarm.name, alarm.alarm.severity) == ("outbox.dead_letter", Severity.SERIOUS)
    assert alarm.alarm.evidence == {
        "message": "a",
        "attempts": 3,
        "error": "RuntimeError: no such number",
        "body": "{}",
    }
    assert [(b.waiting, b.dead) for b in waiting(db)] == [(0, 1)]
    broken = False
    with writing(db) as connection:
        assert store.revive(connection, "a", clock.unix_ms())
        assert not store.revive(connection, "a", clock.unix_ms())
    assert letters.run_once() == Round(delivered=1)
    assert got == ["a"]


def test_what_is_refused_for_good_is_given_up_at_once(db: Engine, clock: VirtualClock) -> None:
    def refuse(_: Message) -> None:
        raise Refused("nobody of that name")

    put(db, clock, "a")
    assert relay(db, clock, refuse).run_once() == Round(dead=1)
    assert len(alarms(db)) == 1


def test_a_message_that_kills_its_process_is_given_up_in_the_end(db: Engine, clock: VirtualClock) -> None:
    def die(_: Message) -> None:
        raise Killed

    put(db, clock, "poison")
    limits = RelayLimits(attempts_max=3, claim_ms=60_000)
    for _ in range(3):
        with pytest.raises(Killed):
            relay(db, clock, die, limits).run_once()
        assert relay(db, clock, die, limits).run_once() == Round(), "it rests until the claim lapses"
        clock.advance(60_000)
    assert relay(db, clock, die, limits).run_once() == Round(dead=1)
    (alarm,) = alarms(db)
    assert "the process ended" in str(alarm.alarm.evidence["error"])


def test_no_transaction_is_open_while_a_message_is_delivered(db: Engine, clock: VirtualClock) -> None:
    def write_elsewhere(message: Message) -> None:
        with writing(db) as connection:  # on SQLite this would wait for the relay's own transaction for ever
            store.enqueue(connection, f"answer to {message.message}", "answer", "{}", clock.unix_ms())

    put(db, clock, "a", "b")
    assert relay(db, clock, write_elsewhere).run_once() == Round(delivered=2)
    assert [(b.topic, b.waiting) for b in waiting(db)] == [("answer", 2)]


def test_a_round_is_bounded_and_topics_of_nobody_wait(db: Engine, clock: VirtualClock) -> None:
    put(db, clock, *(f"m{number}" for number in range(7)))
    put(db, clock, "other", topic="unknown")
    letters = relay(db, clock, lambda _: None, RelayLimits(batch_items_max=3))
    assert [letters.run_once().delivered for _ in range(4)] == [3, 3, 1, 0]
    assert waiting(db) == [Backlog("unknown", 1, 0, clock.unix_ms())]


def test_a_round_that_is_told_to_stop_leaves_the_rest_untouched(db: Engine, clock: VirtualClock) -> None:
    got: list[str] = []
    put(db, clock, "a", "b", "c")
    letters = relay(db, clock, lambda message: got.append(message.message))
    assert letters.run_once(lambda: len(got) < 2) == Round(delivered=2)
    assert letters.run_once() == Round(delivered=1)


@pytest.mark.parametrize("back_ms", [3_600_000, 30 * 24 * 3_600_000])
def test_a_clock_that_was_set_back_holds_nothing_up(db: Engine, clock: VirtualClock, back_ms: int) -> None:
    got: list[str] = []
    failing = True

    def deliver(message: Message) -> None:
        if failing and message.message == "tried":
            raise StoreDown("away")
        got.append(message.message)

    letters = relay(db, clock, deliver)
    put(db, clock, "tried")
    letters.run_once()
    put(db, clock, "new")
    failing = False
    clock.step(-back_ms)
    assert letters.run_once() == Round(delivered=2)


def test_two_relays_share_the_work(db: Engine, clock: VirtualClock) -> None:
    got: Counter[str] = Counter()
    put(db, clock, *(f"m{number}" for number in range(40)))
    threads = [
        threading.Thread(target=relay(db, clock, lambda m: got.update([m.message])).run_once)
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One may have found nothing while the other held the last row.
    relay(db, clock, lambda m: got.update([m.message])).run_once()
    assert got == {f"m{number}": 1 for number in range(40)}


def test_old_messages_and_remembered_ids_are_forgotten_but_nothing_undelivered_is(
    db: Engine, clock: VirtualClock
) -> None:
    limits = RelayLimits(keep_ms=10_000, forget_every_ms=1_000)
    put(db, clock, "sent")
    put(db, clock, "unsent", topic="unknown")
    with writing(db) as connection:
        assert is_first(connection, "me", "sent", clock.unix_ms())
    letters = relay(db, clock, lambda _: None, limits)
    letters.run_once()
    clock.advance(9_000)
    letters.run_once()
    with writing(db) as connection:
        assert not is_first(connection, "me", "sent", clock.unix_ms()), "remembered while a repeat may come"
    clock.advance(2_000)
    letters.run_once()
    with writing(db) as connection:
        assert is_first(connection, "me", "sent", clock.unix_ms())
    put(db, clock, "sent")  # its id is free again
    assert letters.run_once() == Round(delivered=1)
    assert [b.topic for b in waiting(db)] == ["unknown"]


def test_alarms_from_the_outbox_are_counted_once_each(db: Engine, clock: VirtualClock) -> None:
    alarm = Alarm("account.overdrawn_by_fact", Severity.SERIOUS, "2100_7", {"overdrawn_fen": 5})
    put(db, clock, "alarm/1", "alarm/2", topic=TOPIC, body=alarm_body(alarm))
    put(db, clock, "alarm/3", topic=TOPIC, body="nonsense")
    receiver = AlarmReceiver(db, clock)

    def deliver_twice(message: Message) -> None:
        receiver(message)
        receiver(message)

    alarm_relay = relay(db, clock, deliver_twice, topic=TOPIC)
    assert alarm_relay.run_once() == Round(delivered=2, dead=1)
    by_name = {recorded.alarm.name: recorded for recorded in alarms(db)}
    assert set(by_name) == {"account.overdrawn_by_fact", "outbox.dead_letter"}
    assert by_name["account.overdrawn_by_fact"].occurrences == 2
    assert by_name["account.overdrawn_by_fact"].alarm.evidence == {"overdrawn_fen": 5}


@pytest.mark.parametrize("round_number", range(4))
def test_whatever_fails_or_dies_everything_takes_effect_exactly_once(
    db: Engine, clock: VirtualClock, seed: int, round_number: int
) -> None:
    """Deliverers fail before and after their effect; the relay is killed before, between and after."""
    rng = random.Random(seed + round_number)
    effects: Counter[str] = Counter()

    def receive(message: Message) -> None:
        with writing(db) as connection:
            if is_first(connection, "test", message.message, clock.unix_ms()):
                effects[message.message] += 1

    def deliver(message: Message) -> None:
        match rng.randrange(6):
            case 0:
                raise StoreDown("the receiver is away")
            case 1:
                raise Killed
            case 2:
                receive(message)
                raise StoreDown("its answer was lost")
            case 3:
                receive(message)
                raise Killed
            case _:
                receive(message)

    limits = RelayLimits(batch_items_max=5, attempts_max=1_000, claim_ms=2_000, delay_max_ms=2_000)
    sent: set[str] = set()
    kills = 0
    letters = relay(db, clock, deliver, limits)
    for number in range(1_000):
        if number < 40:
            sent.add(f"m{number}")
            put(db, clock, f"m{number}")
        try:
            letters.run_once()
        except Killed:
            kills += 1
            letters = relay(db, clock, deliver, limits)  # what the next process does
        clock.advance(rng.randrange(1_000))
        if number > 40 and not waiting(db):
            break
    assert waiting(db) == []
    assert effects == dict.fromkeys(sent, 1)
    assert kills > 0
