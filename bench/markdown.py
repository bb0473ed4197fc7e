"""`python -m bench.markdown`: the kept results of full runs as the table that docs/performance.md shows."""

import json
from typing import Any

from bench.harness import RESULTS
from bench.report import number_text

NAMES = ("ledger", "grpc", "purse")


def table(results: list[dict[str, Any]]) -> str:
    """Return a Markdown table of all figures: medians, and the range over the rounds."""
    lines = [
        "| figure | measured | reference | median (range) | must | aim |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [_line(figure) for one in results for figure in one["figures"]])


def _line(figure: dict[str, Any]) -> str:
    has_reference = figure["reference"] is not None
    rounds = [r["value"] / r["reference"] if has_reference else r["value"] for r in figure["rounds"]]
    judged = figure["ratio"] if has_reference else figure["value"]
    sign = "×" if has_reference else f" {figure['unit']}"
    bound = "≥" if figure["better"] == "higher" else "≤"
    spread = f"{number_text(min(rounds))}–{number_text(max(rounds))}"
    reference = number_text(figure["reference"]) if has_reference else ""
    cells = (
        f"`{figure['name']}`",
        f"{number_text(figure['value'])} {figure['unit']}",
        reference,
        f"**{number_text(judged)}{sign}** ({spread})",
        f"{bound} {figure['must']:g}",
        f"{bound} {figure['aim']:g}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    kept = [RESULTS / f"{name}.json" for name in NAMES]
    print(table([json.loads(path.read_text(encoding="utf-8")) for path in kept if path.exists()]))
