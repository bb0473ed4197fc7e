"""Writes a new campus.toml: what was chosen as settings, all else as comments with the defaults."""

import json
from collections.abc import Mapping

from pydantic import BaseModel

from campus_node.settings import Settings


def settings_text(chosen: Mapping[str, Mapping[str, object]]) -> str:
    """Return the text of a campus.toml.

    Args:
        chosen: values by section and key; what is left out keeps its default.
    """
    lines = [
        "# Settings of this campus. Lines that begin with # show the defaults.",
        "# The environment goes first: CAMPUS_<SECTION>__<KEY>, for example CAMPUS_LOG__LEVEL=debug",
    ]
    for section, section_field in Settings.model_fields.items():
        model = section_field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        lines += ["", f"[{section}]  # {(model.__doc__ or '').rstrip('.')}"]
        values = chosen.get(section, {})
        for key, field in model.model_fields.items():
            mark = "" if key in values else "# "
            # TOML's basic strings, numbers and booleans are JSON's.
            value = json.dumps(values.get(key, field.default), ensure_ascii=False)
            lines.append(f"{mark}{key} = {value}  # {field.description}")
    return "\n".join(lines) + "\n"
