"""The list of parameters as people read it: the table of docs/limits.md comes from here. Pure."""

from collections.abc import Iterator

from campus_node.spending.parameters import Parameter, all_parameters


def shown_name(parameter: Parameter[object]) -> str:
    """Return a name with what may stand before it, for example `[class_N_]day_max_fen`."""
    scopes = "".join(f"{scope.value[0]}_N_" for scope in parameter.scopes)
    return f"[{scopes}]{parameter.name}" if scopes else parameter.name


def table() -> Iterator[str]:
    """Yield the lines of a Markdown table of all parameters."""
    yield "| parameter | unit | default | range | what it does |"
    yield "|---|---|---|---|---|"
    for each in all_parameters():
        default = f"`{each.default}`" if each.default else "empty"
        yield f"| `{shown_name(each)}` | {each.kind.unit} | {default} | {each.kind.span} | {each.meaning} |"
