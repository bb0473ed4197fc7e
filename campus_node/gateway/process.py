"""`campus gateway run`: one gateway, from its directory to its last acknowledgement."""

from pathlib import Path

from federation.clock import Clock


def run(directory: Path, clock: Clock | None = None) -> int:
    """Run a gateway until it is told to stop (SIGTERM, SIGINT).

    Returns:
        0 = it was told to stop; 1 = its spool cannot be used any more.

    Raises:
        Misconfigured: it cannot start as things are; says what to change.
        StoreDown: its spool cannot be opened.
    """
    raise NotImplementedError(directory, clock)
