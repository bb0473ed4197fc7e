"""The demonstration with cards: a canteen on CAN and RS-485, with all that is behind it (A7, B4.1)."""

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hil_rig.demo.report import Cards, run_payment_checker
from hil_rig.demo.scene import Scene
from hil_rig.faults import Counted, FaultPlan, What
from hil_rig.tills.canteen import Canteen, LinePlan
from hil_rig.tills.harm import Struck, cut_off_by, kill_gateway

LINES: Final = (LinePlan("can0", 12), LinePlan("can1", 12), LinePlan("serial0", 8))
ROUNDS_OF_CARDS: Final = 20  # a till's queue: after so many rounds the first card comes again
BALANCE_FEN: Final = 20_000
AMOUNT_FEN: Final = 800  # the first of a round; each further tap costs a little more
RECORDS: Final = 2  # of a payment: before the card is charged, and when its proof is here
GATEWAY: Final = "canteen gateway"
TICK_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class OpenCanteen:
    """Build a canteen and open it: buses, node, gateway, tills, each a process.

    Args:
        lines: what hangs where.
    """

    lines: tuple[LinePlan, ...] = LINES

    def run(self, scene: Scene) -> None:
        scene.screen.stage(
            "A canteen: {tills} tills on CAN buses and on RS-485, each with its own PSAM and journal, "
            "a gateway, a node.",
            tills=sum(line.tills for line in self.lines),
        )
        sockets = scene.stack.enter_context(tempfile.TemporaryDirectory(prefix="campus-bus-"))
        canteen = Canteen(
            scene.directory / "canteen",
            Path(sockets),
            self.lines,
            cards_each=ROUNDS_OF_CARDS,
            balance_fen=BALANCE_FEN,
        )
        scene.canteen = scene.stack.enter_context(canteen)
        canteen.open()
        scene.processes += canteen.processes


@dataclass(frozen=True, slots=True)
class TapCards:
    """Cards are laid on all tills at the same moment, again and again; meanwhile the gateway is killed.

    Args:
        taps_each: how often at each till.
        every_s: from one moment to the next.
        torn: how many cards are taken away in the middle of a payment, and laid there again.
    """

    taps_each: int = 6
    every_s: float = 2.0
    torn: int = 4

    def run(self, scene: Scene) -> None:
        canteen = scene.canteen
        assert canteen is not None, "it is open"
        if scene.stopping.is_set():
            return
        luck = random.Random(f"taps {scene.seed} {scene.rounds}")  # noqa: S311 - repeatable, not secret
        tills = canteen.total("tills")
        scene.screen.stage(
            "{tills} cards are laid on {tills} tills at the same moment, {times} times; {torn} are torn away "
            "while they pay.",
            tills=tills,
            times=self.taps_each,
            torn=self.torn,
        )
        plan = FaultPlan.spread(
            scene.seed + scene.rounds, [GATEWAY], What.KILL, Counted.ACKNOWLEDGEMENT,
            total=tills * self.taps_each, count=1,
        )  # fmt: skip
        record = scene.plan(plan)
        fault = plan.faults[0]
        scene.screen.event(
            "Planned: kill -9 of the {place} after {count} acknowledged payments there.",
            place=fault.place,
            count=fault.nth,
        )
        before = canteen.total("durable") // RECORDS
        amounts_fen = [AMOUNT_FEN + 10 * number for number in range(self.taps_each)]
        torn = luck.sample(range(tills * self.taps_each), self.torn)
        taps = canteen.tap_all(amounts_fen, queue=scene.rounds - 1, every_s=self.every_s, torn=torn)
        struck = None
        with scene.screen.progress(taps) as show:
            while not canteen.is_settled:
                done = canteen.total("durable") // RECORDS - before
                show(done)
                if struck is None and done >= fault.nth:
                    struck = self._kill(scene, canteen)
                scene.clock.sleep(TICK_S)
            show(taps)
        cut_off = cut_off_by(struck, canteen.till_files) if struck is not None else 0
        scene.screen.event(
            "{place}: the kill left {count} tills without an answer.", place=fault.place, count=cut_off
        )
        if cut_off:
            record.fired(fault)

    def _kill(self, scene: Scene, canteen: Canteen) -> Struck:
        started_s = scene.clock.monotonic_s()
        struck = kill_gateway(canteen)
        scene.screen.event(
            "{place}: killed while cards are tapped; it restarts, the tills sell on and send again.",
            place=GATEWAY,
        )
        scene.processes += 1
        scene.screen.event(
            "{place}: back after {seconds:.1f} s.",
            place=GATEWAY,
            seconds=scene.clock.monotonic_s() - started_s,
        )
        return struck


@dataclass(frozen=True, slots=True)
class CloseCanteen:
    """Every record is at the node and in the books; then the tills, the gateway and the node stop."""

    def run(self, scene: Scene) -> None:
        canteen = scene.canteen
        assert canteen is not None, "it is open"
        scene.screen.stage(
            "The canteen closes: every record is verified and booked, the cards say what they hold."
        )
        scene.frames += canteen.frames()
        canteen.stop()
        scene.apdus += canteen.total("card_apdus") + canteen.total("psam_apdus")


@dataclass(frozen=True, slots=True)
class CheckCards:
    """Compare what cards hold and tills showed with the node's tables and its ledger."""

    def run(self, scene: Scene) -> None:
        canteen = scene.canteen
        assert canteen is not None, "it was open"
        if not canteen.taps:  # it was stopped before a card came: there is nothing to compare
            return
        scene.screen.stage(
            "A second independent checker compares purses and screens with the records and the ledger."
        )
        checked = run_payment_checker(canteen.building.campus.ledger, canteen.files)
        scene.checked.append(checked)
        scene.cards = Cards.of(checked)
        scene.screen.event(
            "{taps} taps, {booked} payments booked; {torn} cards torn away while they paid, none paid twice.",
            taps=scene.cards.taps,
            booked=scene.cards.booked,
            torn=scene.cards.torn,
        )
