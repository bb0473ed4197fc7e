"""The command line `campus`: one entry point for operators and scripts."""

from collections.abc import Sequence

from campus_node.cli.startup import refusal_to_start


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 = what was asked for holds, 1 = it does not, 2 = usage."""
    import sys

    why_not = refusal_to_start()
    if why_not is not None:
        sys.stderr.write(f"campus: {why_not}\n")
        return 2
    from campus_node.cli.entry import run  # after the checks: it imports what they check

    return run(list(sys.argv[1:] if arguments is None else arguments))
