"""The senders of one segment: `python -m hil_rig.senders ORDER.json`."""

import argparse
from pathlib import Path

from hil_rig.senders.order import read_order
from hil_rig.senders.segment import run

ABOUT = """Runs plain terminals, a process each: they write records of random content to their journals
and send them. ORDER.json is described in hil_rig/senders/order.py. Progress is told on standard output;
a line on standard input, or its end, stops them."""


def main() -> int:
    """Run the order that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m hil_rig.senders", description=ABOUT)
    parser.add_argument("order", type=Path, metavar="ORDER.json", help="what to do")
    return run(read_order(parser.parse_args().order))


if __name__ == "__main__":
    raise SystemExit(main())
