"""What a till does not sell, and what it says then; listed cards and wrong ones are written down."""

from collections.abc import Callable

import pytest

from campus_node.purse.journal_entries import Reason, State
from campus_node.terminal.pos.journal_records import Hit, Tries, decode
from campus_node.terminal.pos.settings import TillSettings
from campus_node.terminal.pos.view import Mood, Sound
from campus_node.terminal.questions import ToldTime
from federation.hotlist import Hotlist
from tests.pos.forging import forge_mac2
from tests.pos.rig import Rig, play, said

CANTEEN = TillSettings(merchant="canteen")
FOREIGN = bytes.fromhex("4355434100000002")
HOUR_MS = 3_600_000
OWN = "own_issuer=4355434100000001"
ACCEPTED = "accepted_offline_issuers=4355434100000002"


def records(rig: Rig, kind: type) -> list[object]:
    bodies = [entry.body for entry in rig.journal.entries() if entry.body]
    return [record for body in bodies if isinstance(record := decode(body), kind)]


def listed(rig: Rig) -> None:
    rig.list_card(rig.profile.asn)


def expired(rig: Rig) -> None:
    rig.another("li", 456, expires="20260831")


def not_yet(rig: Rig) -> None:
    rig.another("li", 456, starts="20260902")


def foreign(rig: Rig) -> None:
    rig.another("li", 456, issuer=FOREIGN)


def heard(hours: int) -> Callable[[Rig], None]:
    def set_up(rig: Rig) -> None:
        foreign(rig)
        rig.hotlists.put(Hotlist(FOREIGN, 3), rig.wall.unix_ms() - hours * HOUR_MS - 1000)

    return set_up


def stranger(rig: Rig) -> None:
    issuer = bytes.fromhex("4355434100000009")
    rig.another("li", 456, issuer=issuer)
    rig.hotlists.put(Hotlist(issuer, 1), rig.wall.unix_ms())


def poor(rig: Rig) -> None:
    rig.another("li", 456, ep_fen=999)


def child(rig: Rig) -> None:
    rig.another("li", 456, card_class=3)


@pytest.mark.parametrize(
    ("set_up", "texts", "said_then"),
    [
        (listed, (), "this card is blocked: go to the card office"),
        (expired, (), "this card has expired"),
        (not_yet, (), "this card is not good yet"),
        (foreign, (OWN,), "cards of this campus are not accepted here"),
        (foreign, (OWN, ACCEPTED), "nothing was heard of this card's campus for too long"),
        (heard(168), (OWN, ACCEPTED), "nothing was heard of this card's campus for too long"),
        (heard(72), (OWN, ACCEPTED, "foreign_low_day_max_fen=999"),
         "a visitor's card pays only a little now: the limit is reached"),
        (stranger, (OWN, ACCEPTED + ",4355434100000009"), "this card is not admitted here"),
        (child, ("class_3_served=no",), "cards of this class are not served here"),
        (poor, (), "there is not enough money on this card"),
        (child, ("class_3_payment_max_fen=900",), "the amount is over the limit of one payment"),
        (child, ("month_max_fen=900",), "the amount is over this card's limit of the month"),
        (child, ("offline_payment_max_fen=900",), "offline: the amount is over the limit of one payment"),
        (child, ("offline_terminal_max_fen=900",), "offline: this terminal's limit is reached"),
    ],
)  # fmt: skip
def test_refused_with_the_right_words_and_nothing_charged(
    set_up: Callable[[Rig], None], texts: tuple[str, ...], said_then: str
) -> None:
    rig = Rig(CANTEEN, *texts)
    set_up(rig)
    rig.type("10")
    view = rig.touch()
    assert (view.mood, str(view.headline)) == (Mood.REFUSED, said_then)
    assert not rig.movements()
    assert said(rig.wait(3)) == "idle | to pay | 10.00"


def test_a_visitor_pays_little_while_the_campus_is_silent_and_more_when_it_is_heard() -> None:
    rig = Rig(CANTEEN, OWN, ACCEPTED)
    heard(73)(rig)
    assert said(rig.do("type 15")) == "idle | to pay | 15.00"
    assert said(rig.touch()) == "accepted | paid | 15.00 | left 35.00"
    rig.type("6")
    assert rig.touch().mood is Mood.REFUSED
    rig.hotlists.heard(FOREIGN, rig.wall.unix_ms())
    assert said(rig.touch()) == "accepted | paid | 6.00 | left 29.00"


def test_a_listed_card_is_written_down_and_heard_by_all() -> None:
    rig = Rig()
    listed(rig)
    rig.type("10")
    assert rig.touch().sound is Sound.ALARM
    (hit,) = records(rig, Hit)
    assert hit == Hit(
        1, rig.profile.asn, rig.profile.issuer, 1000, rig.sam.terminal_id(), 7, rig.wall.unix_ms()
    )


def test_a_prankster_with_a_listed_card_fills_no_journal() -> None:
    rig = Rig(capacity=16)
    listed(rig)
    rig.type("10")
    for _ in range(20):
        rig.touch()
        rig.wait(1)
    assert len(records(rig, Hit)) == 1
    for _ in range(40):
        rig.wait(61)
        assert rig.touch().mood is Mood.REFUSED
    assert 1 < len(records(rig, Hit)) <= 16 - 8
    assert not rig.pos.counter.journal_full
    rig.another("wang", ep_fen=5000)
    assert said(rig.touch("wang")) == "accepted | paid | 10.00 | left 40.00"


def test_an_unknown_clock_sells_nothing_until_it_is_told_the_time() -> None:
    rig = Rig(trusted=False)
    assert said(rig.view) == "blocked | this terminal's clock is wrong: it must not sell"
    rig.type("10")
    assert said(rig.touch()) == "blocked | this terminal's clock is wrong: it must not sell | 10.00"
    rig.wall.told(ToldTime(rig.clock.unix_ms() + 5000, rig.now_s, 20, asked=True))
    assert said(rig.touch()) == "accepted | paid | 10.00 | left 40.00"
    rig.restart()
    assert said(rig.view) == "idle | canteen", "the clock goes on where the journal stands"
    rig.time.step(-3_600_000)
    rig.restart()
    assert rig.view.mood is Mood.BLOCKED, "a clock behind the journal is wrong"


def test_a_full_journal_sells_nothing_and_sells_again_when_it_is_backed_up() -> None:
    rig = Rig(capacity=16)
    rig.another("wang", ep_fen=50_000)
    for count in range(1, 9):
        rig.type(str(count))
        view = rig.touch("wang")
        if view.mood is not Mood.ACCEPTED:
            break
    assert said(view) == "blocked | this terminal's journal is full: it must not sell | 8.00"
    rig.type("cancel")
    assert rig.view.mood is Mood.BLOCKED
    rig.journal.acknowledge(rig.journal.last_seq, rig.journal.last_seq)
    assert rig.wait(1).mood is Mood.IDLE
    rig.type("8")
    assert rig.touch("wang").mood is Mood.ACCEPTED


def test_a_wrong_answer_of_a_card_hands_over_nothing_and_goes_up_as_such() -> None:
    rig = Rig()
    rig.forge = forge_mac2
    rig.type("10")
    view = rig.touch()
    assert said(view) == "refused | this card's answer is wrong: hand over nothing | 10.00"
    assert view.sound is Sound.ALARM
    (wrong,) = rig.movements()
    assert (wrong.movement.state, wrong.movement.reason) == (State.GREY, Reason.MAC_WRONG)
    assert wrong.movement.mac2 is not None
    rig.forge = None
    rig.another("wang", ep_fen=5000)
    play(rig, "type 4")
    assert said(rig.touch("wang")) == "accepted | paid | 4.00 | left 46.00", "others are served"


def test_a_psam_with_half_of_its_tries_used_up_stops_sales_also_after_a_power_cut() -> None:
    rig = Rig(TillSettings(merchant="canteen", psam_tries=6), capacity=64)
    for number in range(3):
        rig.another(f"forged{number}", 500 + number, ep_fen=5000)
        rig.forge = forge_mac2
        rig.type("10")
        assert rig.touch(f"forged{number}").sound is Sound.ALARM
    rig.forge = None
    for _ in range(2):
        rig.type("10")
        view = rig.touch()
        assert view.mood is Mood.BLOCKED
        assert str(view.headline).startswith("this terminal's PSAM saw too many wrong cards")
        rig.restart()
    rig.pos.counter.psam_changed()
    rig.type("10")
    assert rig.touch().mood is Mood.ACCEPTED
    rig.restart()
    assert rig.pos.counter.tally.wrong_macs(rig.sam.terminal_id()) == 0


def test_the_count_of_wrong_answers_outlives_the_ring() -> None:
    rig = Rig(TillSettings(merchant="canteen"), capacity=16)
    rig.forge = forge_mac2
    rig.type("1")
    rig.touch()
    rig.forge = None
    rig.another("wang", ep_fen=90_000)
    for count in range(1, 40):
        rig.journal.acknowledge(rig.journal.last_seq, rig.journal.last_seq)
        rig.type(f"1.{count:02d}")
        assert rig.touch("wang").mood in {Mood.ACCEPTED, Mood.ASKING}, count
        rig.type("ok")
        rig.touch("wang")
    assert rig.journal.last_seq > 4 * 16
    assert len(records(rig, Tries)) >= 1
    rig.restart()
    assert rig.pos.counter.tally.wrong_macs(rig.sam.terminal_id()) == 1


def test_a_card_that_leaves_early_was_not_charged() -> None:
    rig = Rig()
    rig.type("10")
    rig.card_reader.tear_before_command(2)
    assert said(rig.lay()) == "refused | the card left too early | 10.00"
    assert not rig.movements()
    rig.repair()
    assert said(rig.touch()) == "accepted | paid | 10.00 | left 40.00"


def test_a_failed_journal_stops_the_till() -> None:
    rig = Rig()
    rig.type("10")

    def broken(offset: int, content: bytes) -> None:
        raise OSError(5, f"{len(content)} bytes at {offset}")

    rig.storage.write = broken  # type: ignore[method-assign]  # the disk breaks
    view = rig.touch()
    assert (view.mood, rig.pos.failed) == (Mood.BLOCKED, True)
    assert [str(line) for line in view.lines] == ["nothing was charged"]
    assert rig.held_fen() == 5000
    assert rig.touch().mood is Mood.BLOCKED
