"""Rides, water and loads, torn everywhere and gone on with: moved once, and never in the dark for long."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from campus_node.purse.commands import TransactionType
from campus_node.purse.journal_entries import State
from campus_node.spending import rides
from campus_node.terminal.pos.settings import Mode, TillSettings
from campus_node.terminal.pos.stage import Stage
from campus_node.terminal.pos.view import Mood
from hil_rig.virtual.memory import PowerLost
from tests.pos.rig import Rig
from tests.purse.flows.hooks import Died
from tests.purse.flows.tears import Tear, all_tears, watch
from tests.purse.flows.till import EP_FEN

LOADS = {TransactionType.EP_LOAD}


def entrance() -> Rig:
    """A vehicle's entrance, and a card whose last ride was not ended: it costs 10 yuan now."""
    rig = Rig(TillSettings(Mode.ENTRY, "line 7", tariff=7))
    rig.tap()
    rig.wait(3600)
    rig.do("stop 2")
    return rig


def shower() -> Rig:
    return Rig(TillSettings(Mode.SESSION, "showers", tariff=3))


def load_machine() -> Rig:
    rig = Rig(TillSettings(Mode.LOAD, "load machine"))
    rig.type("100")
    return rig


def tap(rig: Rig) -> None:
    rig.tap()


def tap_with_pin(rig: Rig) -> None:
    rig.tap()
    if rig.pos.stage is Stage.ASKING:
        rig.type("123456")
        rig.do("ok")


@dataclass(frozen=True, slots=True)
class Played:
    """One mode.

    Args:
        make: a till that is about to take its card.
        act: what the holder does, also again.
        moved_fen: into the card, below zero out of it.
    """

    name: str
    make: Callable[[], Rig]
    act: Callable[[Rig], None]
    moved_fen: int

    def __str__(self) -> str:
        return self.name


PLAYED = [
    Played("entrance", entrance, tap, -1000),
    Played("shower", shower, tap, -10),
    Played("load machine", load_machine, tap_with_pin, 10_000),
]


def tears_of(played: Played) -> Iterator[Tear]:
    with closing(played.make()) as rig:
        seen = watch(rig, lambda _: played.act(rig))
        assert rig.held_fen() == EP_FEN + played.moved_fen
    yield from (tear for tear in all_tears(seen) if "bytes" not in tear.name or "answer" in tear.name)


def booked_fen(rig: Rig) -> int:
    """What the journal says has moved into the card."""
    moved_fen = 0
    for recorded in rig.movements():
        movement = recorded.movement
        if movement.state is State.DONE:
            rig.verify(movement)
            moved_fen += movement.amount_fen if movement.transaction_type in LOADS else -movement.amount_fen
    return moved_fen


@pytest.mark.parametrize("played", PLAYED, ids=str)
def test_torn_anywhere_it_moves_once(played: Played) -> None:
    count = unknown = 0
    for what in tears_of(played):
        count += 1
        with closing(played.make()) as rig:
            what.plan(rig)
            try:
                played.act(rig)
            except (PowerLost, Died):
                rig.reboot()
            assert what.fired(rig), what
            in_doubt = rig.pos.stage is Stage.DOUBT
            unknown += in_doubt
            assert not in_doubt or rig.view.mood is Mood.UNKNOWN, what
            moved_fen = rig.held_fen() - EP_FEN
            assert moved_fen in {0, played.moved_fen}, what
            if rig.view.mood in {Mood.ACCEPTED, Mood.WORKING}:
                assert moved_fen == played.moved_fen, what
            if rig.view.mood in {Mood.REFUSED, Mood.BLOCKED}:
                assert moved_fen == 0, what
            go_on(rig, played, what)
    print(f"{count} tears, {unknown} of them in doubt")
    assert unknown >= 8


def go_on(rig: Rig, played: Played, what: Tear) -> None:
    """Let the holder come again until nothing is open; nothing moves twice."""
    for _ in range(4):
        rig.pos.card_gone(rig.now_s)
        rig.repair()
        if not rig.log.unsettled() and rig.held_fen() != EP_FEN:
            break
        if played.name == "load machine" and rig.view.amount_fen is None and not rig.log.unsettled():
            rig.type("100")
        rig.do("stop 2")
        played.act(rig)
    assert not rig.log.unsettled(), what
    assert rig.held_fen() == EP_FEN + played.moved_fen, what
    assert booked_fen(rig) == played.moved_fen, what
    if played.name == "entrance":
        ride = rides.read(rig.capp_records()[1])
        assert ride is not None, what
        assert ride.stop == 2, what
