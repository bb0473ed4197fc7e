"""Drives a flow from step to step, along declared edges only."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, TypeVar

STEPS_MAX: Final = 64  # of one flow; the longest has fewer than twenty

Flow = TypeVar("Flow")
Step = TypeVar("Step", bound=Enum)


def drive(
    flow: Flow,
    acts: Mapping[Step, Callable[[Flow], Step]],
    edges: Mapping[Step, frozenset[Step]],
    first: Step,
    last: Step,
) -> None:
    """Act until the last step is reached.

    Args:
        acts: what each step does; it returns the next one.
        edges: which steps may follow; docs/purse.md has the same table.
    """
    step = first
    for _ in range(STEPS_MAX):
        if step is last:
            return
        following = acts[step](flow)
        assert following in edges[step], f"{step.name}, then {following.name}"
        step = following
    raise AssertionError("the flow goes round in a circle")
