"""A whole touch, torn at every command, every byte of every answer and of every write, and then gone on with.

Nobody pays twice, nothing is lost, and "state unknown" stands on the screen exactly where it is unknown.
"""

from collections.abc import Iterator
from contextlib import closing

import pytest

from campus_node.purse.commands import Purse
from campus_node.purse.journal_entries import State
from campus_node.terminal.pos.settings import Mode, TillSettings
from campus_node.terminal.pos.view import Mood
from hil_rig.virtual.memory import PowerLost
from tests.pos.rig import Rig, said
from tests.purse.flows.hooks import Died
from tests.purse.flows.tears import Tear, all_tears, watch
from tests.purse.flows.till import EP_FEN

PRICE_FEN = 1000
PAID = "accepted | paid | 10.00 | left 40.00"


def ready(profile: str = "card-sm4") -> Rig:
    rig = Rig(TillSettings(Mode.FIXED, "tea"), f"price_fen={PRICE_FEN}", profile=profile)
    rig.sam.terminal_id()
    return rig


def tears(profile: str = "card-sm4") -> Iterator[Tear]:
    with closing(ready(profile)) as rig:
        seen = watch(rig, lambda _: rig.tap())
        assert said(rig.view) == PAID
    yield from all_tears(seen)


def booked_fen(rig: Rig) -> int:
    """What the journal says was paid; each movement's proof is checked with the card's keys."""
    paid_fen = 0
    for recorded in rig.movements():
        if recorded.movement.state is State.DONE:
            rig.verify(recorded.movement)
            paid_fen += recorded.movement.amount_fen
    return paid_fen


def demand_books_agree(rig: Rig, what: object) -> None:
    assert not rig.log.unsettled(), what
    assert booked_fen(rig) == EP_FEN - rig.held_fen(), what


def play_torn(what: Tear, profile: str = "card-sm4") -> str:
    """Tear one touch, go on as a customer would, and return how it first looked."""
    with closing(ready(profile)) as rig:
        what.plan(rig)
        try:
            first = rig.tap().mood.value
        except (PowerLost, Died):
            assert what.kills, what
            first = "dark"
        assert what.fired(rig), f"{what}: not torn"
        if what.kills:
            rig.reboot()
        gone_fen = EP_FEN - rig.in_card(Purse.EP).balance_fen
        open_now = bool(rig.log.unsettled())
        rig.repair()
        match first:
            case "accepted":
                assert (gone_fen, open_now) == (PRICE_FEN, False), what
            case "refused" | "blocked":
                assert (gone_fen, open_now) == (0, False), what
                assert said(rig.tap()) == PAID, what
            case "unknown":
                assert open_now, what
                assert said(rig.tap()) == PAID, what
            case "dark":
                go_on_after_a_power_cut(rig, gone_fen, what)
            case _:
                raise AssertionError(f"{what}: {first}")
        demand_books_agree(rig, what)
        assert rig.held_fen() == EP_FEN - PRICE_FEN, what
        return first


def go_on_after_a_power_cut(rig: Rig, gone_fen: int, what: Tear) -> None:
    """The customer lays the card again; only what was not paid is paid."""
    view = rig.tap()
    if not gone_fen:
        assert said(view) == PAID, what
    elif view.mood is Mood.ASKING:
        assert str(view.headline).startswith("the same card and amount again"), what
        rig.do("cancel")
    else:
        assert said(view) == "idle | an earlier payment of this card was made | 10.00 | left 40.00", what


def is_quick(what: Tear) -> bool:
    """Whether a tear belongs to those that every run plays: at the card, and the process dies."""
    return "leaves" in what.name or "dies" in what.name


@pytest.mark.parametrize("profile", ["card-sm4", "card-3des"])
def test_torn_at_every_command_and_every_byte_of_every_answer(profile: str) -> None:
    looks = [play_torn(what, profile) for what in tears(profile) if is_quick(what)]
    counts = {look: looks.count(look) for look in sorted(set(looks))}
    print(f"{len(looks)} tears: {counts}")
    assert min(counts.get(look, 0) for look in ("accepted", "refused", "blocked", "unknown", "dark")) >= 4


def test_torn_within_every_write_of_card_and_psam_and_journal() -> None:
    looks = [play_torn(what) for what in tears() if not is_quick(what)]
    print(f"{len(looks)} tears: { {look: looks.count(look) for look in sorted(set(looks))} }")
    assert looks.count("dark") > 200
    assert looks.count("unknown") > 100


def test_a_recovery_torn_anywhere_still_says_unknown_and_ends_paid_once() -> None:
    def in_doubt() -> Rig:
        rig = ready()
        rig.card_reader.tear_after_command(7)
        assert rig.tap().mood is Mood.UNKNOWN
        rig.repair()
        return rig

    with closing(in_doubt()) as rig:
        seen = watch(rig, lambda _: rig.tap())
        assert said(rig.view) == PAID
    count = 0
    for what in all_tears(seen):
        count += 1
        with closing(in_doubt()) as rig:
            what.plan(rig)
            try:
                first = rig.tap()
                assert first.mood in {Mood.UNKNOWN, Mood.ACCEPTED}, what
                assert (first.mood is Mood.UNKNOWN) == bool(rig.log.unsettled()), what
            except (PowerLost, Died):
                rig.reboot()
            rig.repair()
            if rig.log.unsettled():
                view = rig.tap()
                late = "idle | an earlier payment of this card was made | 10.00 | left 40.00"
                assert said(view) in {PAID, late}, what
            demand_books_agree(rig, what)
            assert rig.held_fen() == EP_FEN - PRICE_FEN, what
    print(f"{count} second tears")
    assert count > 300
