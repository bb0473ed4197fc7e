"""Writes a new terminal.toml: what was chosen, all else as comments."""

import json
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel

from campus_node.terminal.settings import Settings

_HEAD: Final = (
    "# Settings of this terminal. Lines that begin with # show the defaults.",
    "# The environment goes first: CAMPUS_TERMINAL_<SECTION>__<KEY>, for example "
    "CAMPUS_TERMINAL_VIEW__LANGUAGE=en",
)


def settings_text(chosen: Mapping[str, Mapping[str, object]]) -> str:
    """Return the text of a terminal.toml. Args: chosen: values by section and key; all required ones."""
    lines = list(_HEAD)
    for section, field in Settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        lines += ["", f"[{section}]  # {(model.__doc__ or '').rstrip('.')}"]
        lines += _keys(model, chosen.get(section, {}))
    return "\n".join(lines) + "\n"


def _keys(model: type[BaseModel], chosen: Mapping[str, object]) -> list[str]:
    written = []
    for key, field in model.model_fields.items():
        value = chosen.get(key, field.default)
        mark = "" if key in chosen else "# "
        # TOML's basic strings, numbers and booleans are JSON's.
        written.append(f"{mark}{key} = {json.dumps(value, ensure_ascii=False)}  # {field.description}")
    return written
