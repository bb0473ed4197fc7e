"""Writes a new gateway.toml: what was chosen, all else as comments, an example of each kind of line."""

import json
from typing import Final

from pydantic import BaseModel

from campus_node.gateway.settings import Settings
from campus_node.gateway.settings_lines import KINDS

_HEAD: Final = (
    "# Settings of this gateway. Lines that begin with # show the defaults.",
    "# The environment goes first: CAMPUS_GATEWAY_<SECTION>__<KEY>, for example "
    "CAMPUS_GATEWAY_LOG__LEVEL=debug",
)


def settings_text(campus: str, name: str, node: str, *, node_name: str) -> str:
    """Return the text of a gateway.toml; see `GatewaySettings` for the arguments."""
    chosen: dict[str, dict[str, object]] = {
        "gateway": {"campus": campus, "name": name, "node": node, "node_name": node_name}
    }
    lines = list(_HEAD)
    for section, field in Settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        lines += ["", f"[{section}]  # {(model.__doc__ or '').rstrip('.')}"]
        lines += _keys(model, chosen.get(section, {}), "")
    lines += ["", "# Its lines, one block each. Take the # away from what there is."]
    for model in KINDS.values():
        lines += ["", f"# [[line]]  # {(model.__doc__ or '').rstrip('.')}"]
        lines += _keys(model, {}, "# ")
    return "\n".join(lines) + "\n"


def _keys(model: type[BaseModel], chosen: dict[str, object], mark: str) -> list[str]:
    written = []
    for key, field in model.model_fields.items():
        value = chosen.get(key)
        if value is None:
            value = (field.examples or [""])[0] if field.is_required() else field.default
        own = mark or ("" if key in chosen else "# ")
        # TOML's basic strings, numbers and booleans are JSON's.
        written.append(f"{own}{key} = {json.dumps(value, ensure_ascii=False)}  # {field.description}")
    return written
