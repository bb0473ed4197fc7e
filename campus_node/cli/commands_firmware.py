"""`campus firmware`: signed images, and their way to terminals."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campus_node.cli.arguments import Directory, OperatorName, Why, required_text
from campus_node.cli.firmware_view import image_report, key_report, rollout_report, rollouts_report
from campus_node.cli.register import command, group
from campus_node.cli.report import Report
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from campus_node.cli.office import Office
    from campus_node.firmware.conductor import Conductor
    from campus_node.firmware.store import Goal

_LOOK_EVERY_S: Final = 1.0
_AS: Final = "--operator alice --reason 'new readers' -C north"
ImageFile = Annotated[Path, typer.Argument(metavar="FILE", help="A signed image.")]
RolloutId = Annotated[str, typer.Argument(metavar="ID", help="As campus firmware status shows it.")]
Limit = Annotated[
    int | None,
    typer.Option(
        "--failures-max-percent",
        metavar="N",
        min=0,
        max=100,
        help="Of the terminals in opened rings; more, and it stops by itself.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    sub = group(app, "firmware", "Firmware of terminals.", "campus firmware status -C north")
    command(sub, "key", key, "campus firmware key -C north", "campus firmware key maker.key")
    command(
        sub,
        "sign",
        sign,
        "campus firmware sign pos.bin --key maker.key --model pos-2 --version 7 --out pos-7.fw",
    )
    command(sub, "show", show, "campus firmware show pos-7.fw -C north --json")
    command(sub, "rollout", rollout, f"campus firmware rollout pos-7.fw {_AS}")
    command(
        sub, "status", status, "campus firmware status -C north", "campus firmware status pos-2-7 -C north"
    )
    command(sub, "pause", pause, f"campus firmware pause pos-2-7 {_AS}")
    command(sub, "resume", resume, f"campus firmware resume pos-2-7 {_AS}")
    command(sub, "stop", stop, f"campus firmware stop pos-2-7 {_AS}")


def key(
    path: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where; else pki/firmware.key of the campus.")
    ] = None,
    directory: Directory = Path(),
) -> Report:
    """Make a key that signs images. Its public half stands beside it; a campus believes pki/firmware*.pub."""
    from campus_node.campus_directory import CampusDirectory
    from campus_node.firmware import keys
    from campus_node.lines.notice import key_id

    if path is None:
        place = CampusDirectory(directory)
        place.settings()
        path = place.path / "pki" / keys.PRIVATE
    public_path, public = keys.make_key(path)
    return key_report(path, public_path, key_id(public))


def sign(
    content: Annotated[Path, typer.Argument(metavar="FILE", help="The content of the image.")],
    key_path: Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key.")],
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="For which model.")],
    version: Annotated[int, typer.Option("--version", metavar="N", min=1, help="Its version.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the image is written.")],
    minimum: Annotated[
        int,
        typer.Option("--minimum-version", metavar="N", min=0, help="What a terminal must have to take it."),
    ] = 0,
) -> Report:
    """Make a signed image."""
    from campus_node.firmware import image
    from campus_node.notices.key import read_key
    from campus_node.pki import files

    file = image.sign(read_key(key_path), files.read(content), model, version, minimum)
    files.write_private(out, file)
    return image_report(file, Sentence("{path} is signed.", path=out))


def show(file: ImageFile, directory: Directory = Path()) -> Report:
    """Show an image and whether this campus believes its signature; fails if not."""
    from campus_node.firmware import image
    from campus_node.firmware.keys import believed_keys
    from campus_node.pki import files
    from federation.errors import Tampered

    content = files.read(file)
    image.label_of(content)
    try:
        image.open_image(content, believed_keys(directory / "pki"))
    except Tampered as error:
        return image_report(content, Sentence("It is not believed here: {why}.", why=error), believed=False)
    return image_report(content, Sentence("Its signature is believed here."), believed=True)


def rollout(
    file: ImageFile,
    operator: OperatorName,
    reason: Why,
    name: Annotated[str, typer.Option("--id", metavar="TEXT", help="Else MODEL-VERSION.")] = "",
    threshold: Annotated[
        int,
        typer.Option(
            "--threshold-percent", metavar="N", min=1, max=100, help="Of a ring that must have the image."
        ),
    ] = 95,
    hold_s: Annotated[
        int, typer.Option("--hold-s", metavar="S", min=0, help="How long, before the next ring opens.")
    ] = 3_600,
    failures: Limit = None,
    load: Annotated[
        int,
        typer.Option("--load-percent", metavar="N", min=0, max=100, help="Of a bus; 0 = as set there."),
    ] = 0,
    force: Annotated[bool, typer.Option("--force", help="Also during meals.")] = False,
    directory: Directory = Path(),
) -> Report:
    """Begin to bring an image to all terminals of its model, ring by ring; the canary is ring 0."""
    from campus_node.cli.office import opened
    from campus_node.firmware import image
    from campus_node.firmware.keys import believed_keys
    from campus_node.firmware.rollout import Policy
    from campus_node.pki import files

    why = required_text(reason, "--reason")
    content = files.read(file)
    with opened(directory) as office:
        checked = image.open_image(content, believed_keys(office.place.path / "pki"))
        _require(office, operator)
        limit = Policy().failures_max_percent if failures is None else failures
        policy = Policy(threshold, hold_s, limit, load, force)
        known = _conductor(office).begin(
            office.actor(operator),
            name or f"{checked.label.model}-{checked.label.version}",
            checked,
            content,
            policy,
            _goals(office, checked.label.model),
            why,
        )
        return _told(office, known.rollout)


def status(
    rollout: Annotated[str, typer.Argument(metavar="[ID]", help="One rollout; else all.")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Show progress until it stands still.")] = False,
    directory: Directory = Path(),
) -> Report:
    """Show rollouts, or how far each terminal of one is."""
    from campus_node.cli.office import opened
    from campus_node.database.connect import reading
    from campus_node.firmware import store

    with opened(directory) as office:
        if rollout:
            if follow:
                _follow(office, rollout)
            return _told(office, rollout)
        with reading(office.db) as connection:
            found = [(each, store.goals(connection, each)) for each in store.all_rollouts(connection)]
    return rollouts_report(found)


def pause(rollout: RolloutId, operator: OperatorName, reason: Why, directory: Directory = Path()) -> Report:
    """Let a rollout stand still; terminals keep what they have."""
    from campus_node.cli.office import opened

    with opened(directory) as office:
        _require(office, operator)
        _conductor(office).pause(office.actor(operator), rollout, required_text(reason, "--reason"))
        return _told(office, rollout)


def resume(
    rollout: RolloutId,
    operator: OperatorName,
    reason: Why,
    failures: Limit = None,
    force: Annotated[
        bool | None, typer.Option("--force/--no-force", help="Also during meals, or not any more.")
    ] = None,
    directory: Directory = Path(),
) -> Report:
    """Let a rollout go on; one that stopped by itself needs a higher limit of failures."""
    from campus_node.cli.office import opened

    why = required_text(reason, "--reason")
    with opened(directory) as office:
        _require(office, operator)
        actor = office.actor(operator)
        _conductor(office).resume(actor, rollout, why, force=force, failures_max_percent=failures)
        return _told(office, rollout)


def stop(rollout: RolloutId, operator: OperatorName, reason: Why, directory: Directory = Path()) -> Report:
    """End a rollout for good; terminals that have the image keep it."""
    from campus_node.cli.office import opened

    with opened(directory) as office:
        _require(office, operator)
        _conductor(office).stop(office.actor(operator), rollout, required_text(reason, "--reason"))
        return _told(office, rollout)


def _conductor(office: "Office") -> "Conductor":
    from campus_node.firmware.conductor import Conductor
    from campus_node.firmware.meals import MealTimes
    from campus_node.notices.desk import NoticeDesk

    settings = office.settings
    desk = NoticeDesk.of(office.place.path, office.db, office.clock)
    meals = MealTimes(settings.firmware.meals, settings.campus.timezone)
    return Conductor(office.db, desk, meals, office.clock)


def _require(office: "Office", operator: str) -> None:
    from campus_node.operators.permissions import Permission
    from campus_node.operators.roster import Roster

    Roster(office.db, office.clock).require(operator, Permission.FIRMWARE_ROLLOUT, office.campus_scope)


def _goals(office: "Office", model: str) -> list["Goal"]:
    from campus_node.database.connect import reading
    from campus_node.firmware.store import Goal
    from campus_node.registry.terminals import TerminalState, all_terminals

    with reading(office.db) as connection:
        return [
            Goal(each.terminal_id, each.name, each.gateway, each.ring)
            for each in all_terminals(connection)
            if each.model == model and each.state in {TerminalState.ACTIVE, TerminalState.ISOLATED}
        ]


def _told(office: "Office", rollout: str) -> Report:
    from campus_node.database.connect import reading
    from campus_node.firmware import store

    with reading(office.db) as connection:
        known = store.get(connection, rollout)
        return rollout_report(known, store.goals(connection, known))


def _follow(office: "Office", rollout: str) -> None:
    """Draw a bar until the rollout does not run any more, or Ctrl-C."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    from campus_node.database.connect import reading
    from campus_node.firmware import store
    from campus_node.firmware.rollout import GOOD, State

    with Bar(console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task(rollout, total=None)
        while True:
            with reading(office.db) as connection:
                known = store.get(connection, rollout)
                goals = store.goals(connection, known)
            blocks = max((goal.blocks for goal in goals), default=0) or 1
            stored = [blocks if goal.outcome in GOOD else goal.blocks_stored for goal in goals]
            bar.update(line, completed=sum(stored), total=blocks * len(goals))
            if known.standing.state is not State.RUNNING:
                return
            office.clock.sleep(_LOOK_EVERY_S)
