"""The options that every command has, taken from wherever they stand on the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from campus_node.cli.language import Language, language_named
from campus_node.cli.usage import WrongUsage
from campus_node.wording import Sentence

TOLD: Final[Mapping[str, Sentence]] = {
    "--json": Sentence("print one JSON object instead, on the last line"),
    "--json-file PATH": Sentence("write that JSON object to a file as well"),
    "--lang en|zh": Sentence("speak this language (else CAMPUS_LANG, LANG)"),
    "--help": Sentence("show this page"),
}


@dataclass(frozen=True, slots=True)
class Everywhere:
    """What was chosen.

    Args:
        as_json: one JSON object on the last line of standard output.
        json_file: where to write it as well.
        language: what people are spoken to in.
    """

    as_json: bool
    json_file: Path | None
    language: Language


def take_everywhere(arguments: list[str], spoken: Language) -> tuple[Everywhere, list[str]]:
    """Return what was chosen, and the arguments without it. What stands after `--` is left alone.

    Raises:
        WrongUsage: a value is missing, or the language is not ours.
    """
    rest: list[str] = []
    as_json, json_file = False, None
    waiting = iter(arguments)
    for argument in waiting:
        name, equals, value = argument.partition("=")
        if argument == "--":
            rest += [argument, *waiting]
        elif argument == "--json":
            as_json = True
        elif name in {"--json-file", "--lang"}:
            chosen = value if equals else next(waiting, "")
            if not chosen:
                raise WrongUsage(Sentence("{name} needs a value", name=name))
            if name == "--json-file":
                json_file = Path(chosen)
                if not json_file.absolute().parent.is_dir():  # told before anything is done
                    raise WrongUsage(Sentence("--json-file {path}: there is no such directory", path=chosen))
                continue
            known = language_named(chosen)
            if known is None:
                raise WrongUsage(Sentence("--lang {name} is not spoken here: en or zh", name=chosen))
            spoken = known
        else:
            rest.append(argument)
    return Everywhere(as_json, json_file, spoken), rest
