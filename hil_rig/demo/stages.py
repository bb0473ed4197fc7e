"""The stages of the demonstration. Each does one thing to the scene; a later room adds its own."""

import queue
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from campus_node.pki.campus_pki import make_root_directory
from hil_rig.campus import RigCampus
from hil_rig.crowd.crowd import Progress
from hil_rig.crowd.process import CrowdProcess
from hil_rig.crowd.receipts import cut_off_at
from hil_rig.demo.report import run_checker
from hil_rig.demo.scene import Scene
from hil_rig.faults import Counted, Fault, FaultPlan, FaultRecord, What

ACKNOWLEDGED_AT_LEAST: Final = (
    0.7  # of what people ask for; the others are refused or belong to longer stories
)
TICK_S: Final = 0.2


class Stage(Protocol):
    """One thing that happens to a scene."""

    def run(self, scene: Scene) -> None: ...


class CampusPlan(NamedTuple):
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class BuildCampuses:
    """Make campuses under one offline root.

    Args:
        terminals_share: percent of the people who stand at a terminal with a certificate of its own.
    """

    campuses: tuple[CampusPlan, ...]
    terminals_share: int = 20

    def run(self, scene: Scene) -> None:
        scene.screen.stage(
            "Two campuses, one root: each gets its own issuing authority, its own database and its own node."
        )
        root = scene.directory / "root"
        make_root_directory(root, "campuscard demo", scene.clock.unix_ms())
        for index, plan in enumerate(self.campuses):
            people = scene.people // len(self.campuses) + (index < scene.people % len(self.campuses))
            campus = RigCampus(
                scene.directory / plan.name,
                plan.name,
                plan.number,
                root,
                people=people,
                terminals=people * self.terminals_share // 100,
                clock=scene.clock,
            )
            scene.campuses.append(campus)


@dataclass(frozen=True, slots=True)
class StartNodes:
    """Start every campus's node, at the same time."""

    def run(self, scene: Scene) -> None:
        scene.screen.stage("The nodes start, one process a campus; every connection is mutual TLS.")
        for campus in scene.campuses:
            scene.stack.enter_context(campus.node)
            campus.node.launch()
        for campus in scene.campuses:
            campus.node.wait_until_ready()
            scene.processes += 1


@dataclass(frozen=True, slots=True)
class LoadMoney:
    """Open everybody's account and bring money to it."""

    amount_fen: int = 40_000  # a few people run out of money before they are done

    def run(self, scene: Scene) -> None:
        scene.screen.stage(
            "Accounts are opened and {yuan} yuan loaded from the bank for each of {people} people.",
            yuan=self.amount_fen // 100,
            people=scene.people,
        )
        for campus in scene.campuses:
            campus.open_accounts()
            campus.load(self.amount_fen, f"office-{scene.rounds}")


class _Kill(NamedTuple):
    fault: Fault
    receipts: Path
    at_unix_ms: int


@dataclass(frozen=True, slots=True)
class PayAtOnce:
    """Everybody pays at once, a client process a campus; meanwhile nodes are killed and restarted.

    Args:
        payments_each: transfers that one person asks for, at least.
        kills: how many nodes are killed in a round; each must cut off at least one unanswered question.
    """

    payments_each: int = 60
    kills: int = 1

    def run(self, scene: Scene) -> None:
        seed = scene.seed + scene.rounds - 1
        terminals = sum(len(campus.terminals) for campus in scene.campuses)
        scene.screen.stage(
            "Everybody pays at once: {terminals} at terminals of their own, {others} behind gateways; "
            "mistakes included.",
            terminals=terminals,
            others=scene.people - terminals,
        )
        expected = min(len(campus.people) for campus in scene.campuses) * self.payments_each
        plan = FaultPlan.spread(
            seed,
            [f"{campus.name} node" for campus in scene.campuses],
            What.KILL,
            Counted.ACKNOWLEDGEMENT,
            total=round(expected * ACKNOWLEDGED_AT_LEAST),
            count=self.kills,
        )
        for fault in plan.faults:
            scene.screen.event(
                "Planned: kill -9 of the {place} after {count} acknowledged payments there.",
                place=fault.place,
                count=fault.nth,
            )
        record = scene.plan(plan)
        crowds = [self._crowd(scene, campus, seed, record) for campus in scene.campuses]
        started_s = scene.clock.monotonic_s()
        kills = self._watch(scene, crowds)
        finished = [crowd.wait() for crowd in crowds]
        scene.paying_s += scene.clock.monotonic_s() - started_s
        scene.answers += sum(progress.answered for progress in finished)
        if scene.stopping.is_set():
            tried = [kill.fault for kill in kills]
            record.withdraw([fault for fault in record.due() if fault not in tried])
        for kill in kills:
            cut_off = cut_off_at(kill.receipts, kill.at_unix_ms)
            scene.screen.event(
                "{place}: the kill cut off {count} questions.", place=kill.fault.place, count=cut_off
            )
            if cut_off:
                record.fired(kill.fault)

    def _crowd(self, scene: Scene, campus: RigCampus, seed: int, record: FaultRecord) -> CrowdProcess:
        name = f"tills-{scene.rounds}"
        counted = 0

        def told(progress: Progress) -> None:
            nonlocal counted
            place, more = f"{campus.name} node", progress.acknowledged - counted
            counted = progress.acknowledged
            for fault in record.count(place, Counted.ACKNOWLEDGEMENT, more):
                scene.due.put(fault)

        order = campus.order(name, seed, self.payments_each)
        crowd = CrowdProcess(order, campus.clients_directory, name, told)
        scene.stack.enter_context(crowd)
        scene.crowd_receipts.append(crowd.receipts)
        scene.processes += 1
        crowd.start()
        return crowd

    def _watch(self, scene: Scene, crowds: list[CrowdProcess]) -> list[_Kill]:
        kills = []
        told_to_stop = False
        total = scene.people * self.payments_each
        with scene.screen.progress(total) as show:
            while any(crowd.running for crowd in crowds):
                try:
                    fault = scene.due.get(timeout=TICK_S)
                except queue.Empty:
                    fault = None
                show(sum(crowd.progress.answered for crowd in crowds))
                if fault is not None and not told_to_stop:  # afterwards perhaps nobody waits any more
                    kills.append(self._kill(scene, crowds, fault))
                if scene.stopping.is_set() and not told_to_stop:
                    told_to_stop = True
                    scene.screen.event("Stopping: nothing new is asked, what was asked is asked to its end.")
                    for crowd in crowds:
                        crowd.stop()
        return kills

    def _kill(self, scene: Scene, crowds: list[CrowdProcess], fault: Fault) -> _Kill:
        index = next(i for i, campus in enumerate(scene.campuses) if fault.place == f"{campus.name} node")
        node, crowd = scene.campuses[index].node, crowds[index]
        node.freeze()
        crowd.wait_until_somebody_waits()
        at_unix_ms, started_s = scene.clock.unix_ms(), scene.clock.monotonic_s()
        node.kill()
        scene.screen.event(
            "{place}: killed while people pay; it restarts, and the tills ask on with the same ids.",
            place=fault.place,
        )
        node.start()
        scene.processes += 1
        scene.screen.event(
            "{place}: back after {seconds:.1f} s.",
            place=fault.place,
            seconds=scene.clock.monotonic_s() - started_s,
        )
        return _Kill(fault, crowd.receipts, at_unix_ms)


@dataclass(frozen=True, slots=True)
class StopNodes:
    """Let every node drain and end in order."""

    def run(self, scene: Scene) -> None:
        scene.screen.stage("No question is left open. The nodes drain and stop.")
        for campus in scene.campuses:
            campus.node.terminate()


@dataclass(frozen=True, slots=True)
class CheckBooks:
    """Compare every ledger with what its clients know."""

    def run(self, scene: Scene) -> None:
        scene.screen.stage("An independent checker compares what the tills know with the raw tables.")
        scene.checked += [run_checker(campus.ledger, campus.receipts) for campus in scene.campuses]
