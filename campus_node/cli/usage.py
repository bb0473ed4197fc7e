"""Wrong usage of the command line, and how it is told."""

import re
from typing import Any, Final

from campus_node.wording import Sentence

_COMMAND: Final = re.compile(r"No such command '(?P<name>.*?)'\.(?: Did you mean (?P<near>.*)\?)?")
_EXTRA: Final = re.compile(r"Got unexpected extra argument.* \((?P<extra>.*)\)")
_VALUE: Final = re.compile(r"Option '(?P<name>.*)' requires an argument\.")
_FLAG: Final = re.compile(r"Option '(?P<name>.*)' does not take a value\.")


class WrongUsage(Exception):  # its exit code is 2, whatever family of errors stands behind it
    """The command line was used wrongly.

    Args:
        sentence: what is wrong and what to write instead.
    """

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def usage_sentence(error: Any) -> Sentence:
    """Return what is wrong with a command line that typer did not take.

    Args:
        error: a typer.TyperException; its classes live in a private module, so it is told by what it carries.
    """
    parameter = getattr(error, "param", None)
    if parameter is not None:
        name = parameter.metavar or parameter.name.upper()
        if parameter.param_type_name == "option":
            name = max(parameter.opts, key=len)
        if type(error).__name__ == "MissingParameter":
            return Sentence("{name} is missing", name=name)
        return _wrong_value(parameter, name, error.message)
    option = getattr(error, "option_name", None)
    if option is not None and type(error).__name__ == "NoSuchOption":
        near = ", ".join(error.possibilities or [])
        if near:
            return Sentence("there is no option {name}. Did you mean {near}?", name=option, near=near)
        return Sentence("there is no option {name}", name=option)
    return _by_text(error.message)


def _wrong_value(parameter: Any, name: str, message: str) -> Sentence:
    if parameter.min is not None and parameter.max is not None:
        return Sentence(
            "{name} must be a whole number from {low} to {high}",
            name=name,
            low=parameter.min,
            high=parameter.max,
        )
    if parameter.min is not None:
        return Sentence("{name} must be a whole number of at least {low}", name=name, low=parameter.min)
    return Sentence("{name}: {reason}", name=name, reason=message)


def _by_text(message: str) -> Sentence:
    if match := _COMMAND.fullmatch(message):
        if match["near"]:
            near = match["near"].replace("'", "").partition(",")[0]
            return Sentence("there is no command {name}. Did you mean {near}?", name=match["name"], near=near)
        return Sentence("there is no command {name}", name=match["name"])
    if match := _EXTRA.fullmatch(message):
        return Sentence("too many arguments: {extra}", extra=match["extra"])
    if match := _VALUE.fullmatch(message):
        return Sentence("{name} needs a value", name=match["name"])
    if match := _FLAG.fullmatch(message):
        return Sentence("{name} takes no value", name=match["name"])
    return Sentence("{reason}", reason=message)
