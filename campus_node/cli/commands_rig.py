"""`campus demo` and `campus bench`: the rig and the benchmarks, imported only when they are asked for."""

import json
import secrets
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer

from campus_node.cli.everywhere import Everywhere
from campus_node.cli.register import command
from campus_node.cli.report import Report
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence
from federation.errors import Misconfigured

_CHECKOUT: Final = Path(__file__).resolve().parents[2]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "demo", demo, "campus demo", "campus demo --once --seed 7 --json")
    command(app, "bench", bench, "campus bench ledger --quick", "campus bench grpc --json")


def demo(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="One round; exit code 0 only if everything holds.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, help="The same seed plans the same faults.")
    ] = None,
    people: Annotated[
        int, typer.Option("--people", metavar="N", min=2, max=5000, help="How many pay at once.")
    ] = 200,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Keep all files in this new directory.")
    ] = None,
) -> Report:
    """Show it: campuses on this machine, people and cards paying at once, kills in the middle, the proof.

    Without --once it goes on until Ctrl-C and then reports.
    """
    if not all(find_spec(name) for name in ("can", "cantools", "serial")):
        raise Misconfigured(
            Sentence("python-can, cantools or pyserial is missing: pip install 'campuscard[lines]'")
        )
    from hil_rig.demo.scenario import DEMO, play
    from hil_rig.demo.screen import Screen

    everywhere = context.obj
    assert isinstance(everywhere, Everywhere)
    chosen = secrets.randbelow(1_000_000) if seed is None else seed
    screen = Screen(everywhere.language.value)
    report = play(DEMO, chosen, people, keep, screen, once=once)
    if not everywhere.as_json:
        screen.report(report, keep)
    return Report(json.loads(report.as_json()), [], report.holds)


def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="ledger, grpc or purse.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Under a minute, smaller; its figures are never quoted.")
    ] = False,
    rounds: Annotated[
        int | None, typer.Option("--rounds", metavar="N", min=1, help="How often each row is measured.")
    ] = None,
) -> int:
    """Measure against a reference run in the same minutes. Only in a checkout of the source."""
    everywhere = context.obj
    assert isinstance(everywhere, Everywhere)
    if not all((_CHECKOUT / part).exists() for part in ("bench/__main__.py", "pyproject.toml")):
        raise WrongUsage(
            Sentence(
                "campus bench runs only in a checkout of the source: {directory} is none", directory=_CHECKOUT
            )
        )
    if str(_CHECKOUT) not in sys.path:
        sys.path.insert(0, str(_CHECKOUT))
    arguments = [name, *(["--quick"] if quick else []), *(["--json"] if everywhere.as_json else [])]
    if rounds is not None:
        arguments += ["--rounds", str(rounds)]
    if everywhere.json_file is not None:
        arguments += ["--json-file", str(everywhere.json_file)]
    # Imported by name: a wheel has no such package, and no other of that name must be taken for it.
    code = import_module("bench.__main__").main(arguments)
    assert isinstance(code, int)
    return code
