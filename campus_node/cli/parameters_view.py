"""How parameters of terminals are shown."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from campus_node.cli.arguments import shown_instant
from campus_node.cli.report import Report, Table, columns_of
from campus_node.wording import Sentence

if TYPE_CHECKING:
    from campus_node.notices.parameters import Version


def names_report(given: Mapping[str, str]) -> Report:
    """Show every parameter with its unit, default, range, and what was given for it."""
    from campus_node.spending.parameter_list import shown_name
    from campus_node.spending.parameter_values import stem_of
    from campus_node.spending.parameters import all_parameters

    stems = {name: stem_of(name) for name in given}
    rows: list[list[str | Sentence]] = []
    told = []
    for each in all_parameters():
        values = {name: value for name, value in given.items() if stems[name] == each.name}
        rows.append([shown_name(each), _given(each.name, values), each.default, each.kind.wanted()])
        told.append(
            {
                "name": each.name,
                "scopes": [scope.value[0] for scope in each.scopes],
                "unit": each.kind.unit,
                "range": each.kind.span,
                "default": each.default,
                "meaning": each.meaning,
                "given": values,
            }
        )
    columns = columns_of("parameter", "given", "default", "wanted")
    return Report({"parameters": told}, [Table(columns, rows)])


def version_report(known: "Version", before: "Version | None", now_unix_ms: int) -> Report:
    """Show one version, and what it changed."""
    old = before.content if before else {}
    rows: list[list[str | Sentence]] = [
        [name, known.content.get(name, Sentence("default")), old.get(name, Sentence("default"))]
        for name in sorted({*known.content, *old})
    ]
    waits = known.effective_at_unix_ms > now_unix_ms
    said = Sentence("Version {version} holds.", version=known.version)
    if waits:
        instant = shown_instant(known.effective_at_unix_ms)
        said = Sentence("Version {version} holds from {instant} on.", version=known.version, instant=instant)
    told = told_of(known) | {
        "waits": waits,
        "changed": sorted(
            name for name in {*known.content, *old} if known.content.get(name) != old.get(name)
        ),
    }
    columns = columns_of("parameter", "value", "before")
    return Report(told, [said, Table(columns, rows, Sentence("All parameters have their defaults."))])


def versions_report(found: "Sequence[Version]") -> Report:
    """Show which versions there were."""
    rows: list[list[str | Sentence]] = [
        [
            str(each.version),
            shown_instant(each.made_at_unix_ms),
            shown_instant(each.effective_at_unix_ms) if each.effective_at_unix_ms else Sentence("at once"),
            str(len(each.content)),
        ]
        for each in found
    ]
    columns = columns_of("version", "made, UTC", "holds from, UTC", "values", right={"version", "values"})
    empty = Sentence("No parameter was ever set: all have their defaults.")
    return Report({"versions": [told_of(each) for each in found]}, [Table(columns, rows, empty)])


def told_of(known: "Version") -> dict[str, object]:
    """Return a version for scripts."""
    effective = known.effective_at_unix_ms
    return {
        "version": known.version,
        "made_at": shown_instant(known.made_at_unix_ms),
        "effective_at": shown_instant(effective) if effective else None,
        "parameters": dict(known.content),
    }


def _given(name: str, values: Mapping[str, str]) -> str:
    if set(values) == {name}:
        return values[name]
    return ", ".join(f"{each}={value}" for each, value in values.items())
