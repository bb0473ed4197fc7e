"""The tills of one line: `python -m hil_rig.tills ORDER.json`."""

import argparse
from pathlib import Path

from hil_rig.tills.order import read_order
from hil_rig.tills.segment import run

ABOUT = """Runs the tills of one line, each with a PSAM and a journal of its own, and the cards that are laid
on them. ORDER.json is described in hil_rig/tills/order.py, what standard input may say in
hil_rig/tills/taps.py; its end stops them. Progress is told on standard output. Each till keeps what it showed
and was told in TILL.jsonl, the cards what they hold in cards.jsonl."""


def main() -> int:
    """Run the order that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m hil_rig.tills", description=ABOUT)
    parser.add_argument("order", type=Path, metavar="ORDER.json", help="which tills and cards, on which line")
    return run(read_order(parser.parse_args().order))


if __name__ == "__main__":
    raise SystemExit(main())
