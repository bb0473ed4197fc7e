"""Turns what pydantic found into sentences that say where, what, and what to write instead."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, get_args
from urllib.parse import urlsplit

from annotated_types import Ge, Le
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from campus_node.wording import Sentence
from federation.errors import Misconfigured

PREFIX: Final = "CAMPUS_"
_OF_OTHERS: Final = ("CAMPUS_GATEWAY_", "CAMPUS_TERMINAL_")  # what others on the same machine are told
_MASK: Final = "***"
_SHOWN_MAX: Final = 60


class WrongSettings(Misconfigured):
    """At least one setting is wrong.

    Args:
        mistakes: one sentence each.
    """

    def __init__(self, mistakes: Iterable[Sentence]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


def mistakes_in_environment(
    schema: type[BaseModel], environment: Mapping[str, str], prefix: str = PREFIX
) -> list[Sentence]:
    """Return what is wrong with the names of variables with this prefix: unknown sections, unknown keys."""
    mistakes = []
    for variable in sorted(environment):
        name = variable.upper()
        section, separator, key = name.removeprefix(prefix).lower().partition("__")
        if not name.startswith(prefix) or (prefix == PREFIX and name.startswith(_OF_OTHERS)):
            continue
        if not separator:
            if section in schema.model_fields:
                example = f"{name}__{next(iter(_fields(schema, section))).upper()}"
                mistakes.append(
                    Sentence(
                        "environment variable {name} sets a whole section: set one key a variable, "
                        "for example {example}",
                        name=variable,
                        example=example,
                    )
                )
            continue
        known_section = section in schema.model_fields
        if known_section and key in _fields(schema, section):
            continue
        known = [
            f"{prefix}{a}__{b}".upper()
            for a in ([section] if known_section else schema.model_fields)
            for b in _fields(schema, a)
        ]
        mistakes.append(
            Sentence(
                "environment variable {name} sets nothing. {advice}",
                name=variable,
                advice=_did_you_mean(name, known),
            )
        )
    return mistakes


def mistakes_in_values(
    schema: type[BaseModel],
    error: ValidationError,
    path: Path,
    text: str,
    environment: Mapping[str, str],
    prefix: str = PREFIX,
) -> list[Sentence]:
    """Return a sentence for each error, in the order of the sections."""
    set_outside = {
        name.upper().removeprefix(prefix) for name in environment if name.upper().startswith(prefix)
    }
    named = {name: f"{prefix}{name}" for name in set_outside}
    return [_mistake(schema, detail, path, text, named) for detail in error.errors(include_url=False)]


def line_of(text: str, section: str, key: str | None) -> int | None:
    """Return the line, counted from 1, of a key in a TOML text (of the section's head without a key)."""
    inside = False
    top_level = True
    section_name = re.escape(section)
    key = re.escape(key) if key else None
    dotted = rf"{section_name}\s*\.\s*{key}" if key else section_name
    for number, line in enumerate(text.splitlines(), start=1):
        head = re.match(r"\s*\[+\s*([^\]\s]+)\s*\]", line)
        if head:
            top_level = False
            inside = head[1].strip("\"'") == section
            if inside and key is None:
                return number
            continue
        wanted = key if inside else dotted if top_level else None
        if wanted and re.match(rf"\s*[\"']?{wanted}[\"']?\s*[=.]", line):
            return number
    return None


def _mistake(
    schema: type[BaseModel], detail: ErrorDetails, path: Path, text: str, environment: Mapping[str, str]
) -> Sentence:
    location = [str(part) for part in detail["loc"]]
    section = location[0]
    key = location[1] if len(location) > 1 else None
    where = _where(section, key, path, text, environment)
    if key is None:
        return _wrong_section(schema, detail, section, where)

    fields = _fields(schema, section)
    if detail["type"] == "extra_forbidden":
        return Sentence(
            "{where}: [{section}] has no key {key}. {advice}",
            where=where,
            section=section,
            key=key,
            advice=_did_you_mean(key, fields),
        )
    example = f"{key} = {_toml(fields[key].examples)}"
    if detail["type"] == "missing":
        return Sentence(
            "{where}: [{section}] lacks {key} ({description}). Write, for example: {example}",
            where=where,
            section=section,
            key=key,
            description=fields[key].description,
            example=example,
        )
    return Sentence(
        "{where}: {key} = {value} {problem}. Write, for example: {example}",
        where=where,
        key=key,
        value=_shown(detail["input"]),
        problem=_problem(detail, fields[key]),
        example=example,
    )


def _wrong_section(
    schema: type[BaseModel], detail: ErrorDetails, section: str, where: Sentence | str
) -> Sentence:
    if detail["type"] == "extra_forbidden":
        return Sentence(
            "{where}: there is no section [{section}]. {advice}",
            where=where,
            section=section,
            advice=_did_you_mean(section, schema.model_fields),
        )
    if detail["type"] == "missing":
        return Sentence(
            "{where}: the section [{section}] is missing. Write a line [{section}], below it: {keys}",
            where=where,
            section=section,
            keys=", ".join(
                f"{key} = {_toml(field.examples)}"
                for key, field in _fields(schema, section).items()
                if field.is_required()
            ),
        )
    return Sentence(
        "{where}: {section} is a section, not a value. Write a line [{section}] and its keys below it",
        where=where,
        section=section,
    )


def _where(
    section: str, key: str | None, path: Path, text: str, environment: Mapping[str, str]
) -> Sentence | str:
    variable = environment.get(f"{section}__{key}".upper())
    if key and variable is not None:
        return Sentence("environment variable {name}", name=variable)
    line = line_of(text, section, key) or line_of(text, section, None)
    if line is None:
        return str(path)
    return Sentence("{path}, line {line}", path=path, line=line)


def _problem(detail: ErrorDetails, field: FieldInfo) -> Sentence:
    kind = detail["type"]
    if kind == "sentence":
        # pydantic types the context as Any; settings_checks put a Sentence there.
        sentence = detail["ctx"]["sentence"]
        assert isinstance(sentence, Sentence)
        return sentence
    if kind in ("greater_than_equal", "less_than_equal"):
        limits = [limit for limit in field.metadata if isinstance(limit, Ge | Le)]
        low = next(limit.ge for limit in limits if isinstance(limit, Ge))
        high = next(limit.le for limit in limits if isinstance(limit, Le))
        return Sentence("is not from {low} to {high}", low=low, high=high)
    if kind == "literal_error":
        return Sentence("is not one of {choices}", choices=", ".join(get_args(field.annotation)))
    if kind.startswith(("int_", "float_", "finite_")):
        whole = field.annotation is int
        return Sentence("is no whole number") if whole else Sentence("is no number")
    if kind.startswith("bool_"):
        return Sentence("is neither true nor false")
    if kind == "string_type":
        return Sentence("is no text in quotes")
    return Sentence("is wrong: {reason}", reason=detail["msg"])


def _fields(schema: type[BaseModel], section: str) -> Mapping[str, FieldInfo]:
    model = schema.model_fields[section].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model.model_fields


def _did_you_mean(wrong: str, known: Iterable[str]) -> Sentence:
    choices = list(known)
    near = difflib.get_close_matches(wrong, choices, n=1)
    if near:
        return Sentence("Did you mean {near}?", near=near[0])
    if len(choices) > 12:
        return Sentence("Known sections stand in campus.toml")
    return Sentence("Known are: {choices}", choices=", ".join(choices))


def _toml(examples: list[object] | None) -> str:
    assert examples, "every setting has an example"
    example = examples[0]
    if isinstance(example, str) and example not in ("true", "false"):
        return f'"{example}"'
    return str(example)


def _shown(value: object) -> str:
    """The wrong value as in a file; a database's password never leaves here."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    masked = re.sub(r"://([^:/@]*):(.*)@", rf"://\1:{_MASK}@", value)
    return f'"{masked}"' if len(masked) <= _SHOWN_MAX else f'"{masked[:_SHOWN_MAX]}…"'


def masked_url(url: str) -> str:
    """Return a database URL without its password, fit for people and logs."""
    password = urlsplit(url).password
    return url.replace(f":{password}@", f":{_MASK}@") if password else url
