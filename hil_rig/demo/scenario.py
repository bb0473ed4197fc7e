"""A scenario is stages: some once at the opening, some in every round, some once at the close."""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from federation.errors import Misconfigured
from hil_rig.demo.canteen_stages import CheckCards, CloseCanteen, OpenCanteen, TapCards
from hil_rig.demo.report import Report, make_report, read_waits
from hil_rig.demo.scene import Scene, stopped_in_order
from hil_rig.demo.screen import Screen
from hil_rig.demo.stages import (
    BuildCampuses,
    CampusPlan,
    CheckBooks,
    LoadMoney,
    PayAtOnce,
    Stage,
    StartNodes,
    StopNodes,
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, in order. The round repeats until somebody stops it, or happens once."""

    opening: tuple[Stage, ...]
    round: tuple[Stage, ...]
    close: tuple[Stage, ...]


DEMO: Final = Scenario(
    opening=(BuildCampuses((CampusPlan("north", 1), CampusPlan("south", 2))), StartNodes(), OpenCanteen()),
    round=(LoadMoney(), PayAtOnce(), TapCards()),
    close=(CloseCanteen(), StopNodes(), CheckBooks(), CheckCards()),
)


def play(
    scenario: Scenario, seed: int, people: int, directory: Path | None, screen: Screen, *, once: bool
) -> Report:
    """Play a scenario and return what it showed. Every process that it started has ended then.

    Args:
        directory: new or empty, and kept; None = a temporary one, removed at the end.

    Raises:
        Misconfigured: the directory is not empty.
    """
    with ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campus-demo-")))
        elif directory.exists() and any(directory.iterdir()):
            raise Misconfigured(f"{directory} is not empty: name a directory that is new or empty")
        directory.mkdir(parents=True, exist_ok=True)
        scene = Scene(seed, people, directory.absolute(), screen, stack.enter_context(ExitStack()))
        stack.enter_context(stopped_in_order(scene.stopping))
        for stage in scenario.opening:
            stage.run(scene)
        while not scene.stopping.is_set():
            scene.rounds += 1
            for stage in scenario.round:
                stage.run(scene)
            if once:
                break
        for stage in scenario.close:
            stage.run(scene)
        return make_report(
            seed=seed,
            people=people,
            checked=scene.checked,
            faults=scene.reported_faults(),
            all_fired=scene.all_faults_fired(),
            waits=read_waits(scene.crowd_receipts),
            answers=scene.answers,
            seconds=scene.paying_s,
            processes=scene.processes,
            frames=scene.frames,
            apdus=scene.apdus,
            cards=scene.cards,
        )
