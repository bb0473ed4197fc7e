"""`campus rig card` and `campus rig psam`: cards and PSAMs in software, laid into readers of this machine."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campus_node.cli.everywhere import Everywhere
from campus_node.cli.register import command, group
from campus_node.cli.report import Report
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from hil_rig.virtual.device import Device

FIRST_READER: Final = "127.0.0.1:35963"  # as the driver's package sets it up
SECOND_READER: Final = "127.0.0.1:35964"

ProfileName = Annotated[
    str, typer.Option("--profile", metavar="NAME|FILE", help="What to make: a shipped profile or a file.")
]
StateFile = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="FILE", help="Its memory; made if missing. Without: forgotten at the end."
    ),
]
VpcdAddress = Annotated[
    str, typer.Option("--vpcd", metavar="HOST:PORT", help="Where the reader's driver vpcd listens.")
]


def add_to(app: typer.Typer) -> None:
    """Add the groups."""
    rig = group(
        app,
        "rig",
        "The rig: devices in software for tests and trials.",
        "campus rig card serve --profile card-sm4",
    )
    card = group(rig, "card", "A purse card in software.", "campus rig card serve --profile card-sm4")
    command(
        card,
        "serve",
        serve_card,
        "campus rig card serve --profile card-sm4 --state li.card",
        "campus rig card serve --profile card-3des --vpcd 127.0.0.1:35963",
    )
    psam = group(rig, "psam", "A PSAM in software.", "campus rig psam serve --profile psam")
    command(
        psam,
        "serve",
        serve_psam,
        "campus rig psam serve --profile psam --state till.psam",
        "campus rig psam serve --profile psam --vpcd 127.0.0.1:35964",
    )


def serve_card(
    context: typer.Context,
    profile: ProfileName,
    vpcd: VpcdAddress = FIRST_READER,
    state: StateFile = None,
) -> Report:
    """Keep a card in a PC/SC reader until TERM or Ctrl-C.

    Needs pcscd with the driver vpcd on that host; it may be started later, and again.
    """
    from hil_rig.virtual.card import VirtualCard
    from hil_rig.virtual.memory import Memory
    from hil_rig.virtual.profile import load_card_profile

    made_from = load_card_profile(profile)
    with nullcontext() if state is None else closing(Memory.open(state)) as memory:
        return _serve(context.obj, VirtualCard(made_from, memory), profile, vpcd)


def serve_psam(
    context: typer.Context,
    profile: ProfileName,
    vpcd: VpcdAddress = SECOND_READER,
    state: StateFile = None,
) -> Report:
    """Keep a PSAM in a PC/SC reader until TERM or Ctrl-C.

    Needs pcscd with the driver vpcd on that host; it may be started later, and again.
    """
    from hil_rig.virtual.memory import Memory
    from hil_rig.virtual.profile import load_psam_profile
    from hil_rig.virtual.psam import VirtualPsam

    made_from = load_psam_profile(profile)
    with nullcontext() if state is None else closing(Memory.open(state)) as memory:
        return _serve(context.obj, VirtualPsam(made_from, memory), profile, vpcd)


def _serve(everywhere: Everywhere, device: "Device", profile: str, vpcd: str) -> Report:
    from hil_rig.virtual.vpcd import serve

    host, port = _address(vpcd)

    def tell(sentence: Sentence) -> None:
        sys.stderr.write(everywhere.language.say(sentence) + "\n")
        sys.stderr.flush()

    def told(connected: bool) -> None:
        if connected:
            tell(Sentence("{profile} lies in the reader at {vpcd}.", profile=profile, vpcd=vpcd))
        elif not stop.is_set():
            tell(Sentence("The reader at {vpcd} has gone; looking for it.", vpcd=vpcd))

    with _until_asked() as stop:
        tell(Sentence("Looking for the reader at {vpcd}; Ctrl-C ends.", vpcd=vpcd))
        commands = serve(device, host, port, stop, told)
    return Report(
        {"profile": profile, "vpcd": vpcd, "commands": commands},
        [Sentence("{count} commands were answered.", count=commands)],
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise WrongUsage(Sentence("--vpcd {text}: write HOST:PORT, such as 127.0.0.1:35963", text=text))
    return host.strip("[]"), int(port)


@contextmanager
def _until_asked() -> Iterator[threading.Event]:
    """Give what TERM and Ctrl-C set, instead of ending the program where it stands."""
    asked = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: asked.set()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield asked
    finally:
        for number, disposition in before.items():
            signal.signal(number, disposition)
