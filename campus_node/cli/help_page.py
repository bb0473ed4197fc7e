"""The help of a command: usage, what it does, examples, arguments, options, commands; in two languages."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from campus_node.cli.everywhere import TOLD, Everywhere
from campus_node.cli.language import Language
from campus_node.wording import Sentence


def paragraphs(text: str | None) -> list[str]:
    """Return the paragraphs of a docstring, each on one line: the keys under which the catalogue has them."""
    return [" ".join(part.split()) for part in inspect.cleandoc(text or "").split("\n\n") if part.strip()]


class Command(TyperCommand):
    """A command whose help page is ours."""

    # typer types its context in a private module.
    def get_help(self, ctx: Any) -> str:
        return help_page(self, ctx)


class Group(TyperGroup):
    """A group of commands whose help page is ours."""

    def get_help(self, ctx: Any) -> str:
        return help_page(self, ctx)


def help_page(command: Any, context: Any) -> str:
    """Return the page as text as wide as the terminal."""
    everywhere = context.find_root().obj
    language = everywhere.language if isinstance(everywhere, Everywhere) else Language.ENGLISH
    console = Console()
    with console.capture() as captured:
        for part in _parts(command, context, language):
            console.print(part, soft_wrap=isinstance(part, Text) and bool(part.no_wrap))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).rstrip()


def _parts(command: Any, context: Any, language: Language) -> Iterator[Any]:
    pieces = [piece.strip("{}") for piece in command.collect_usage_pieces(context)]
    usage = " ".join([context.command_path, *pieces])
    yield Text.assemble((language.say(Sentence("Usage: ")), "bold"), usage)
    for paragraph in paragraphs(command.help):
        yield Text("")
        yield Text(language.words(paragraph))
    if command.epilog:
        yield from _section(language.say(Sentence("Examples")))
        for example in command.epilog.splitlines():
            yield Text(f"  {example}", no_wrap=True, overflow="ignore")  # whole lines can be copied
    visible = [
        parameter for parameter in command.get_params(context) if not getattr(parameter, "hidden", False)
    ]
    arguments = [p for p in visible if p.param_type_name == "argument"]
    if arguments:
        yield from _section(language.say(Sentence("Arguments")))
        yield _pairs((_argument_name(p), _told(p, language)) for p in arguments)
    yield from _section(language.say(Sentence("Options")))
    own = [
        (_option_name(p), _told(p, language))
        for p in visible
        if p.param_type_name == "option" and p.name != "help"
    ]
    everywhere = [(name, language.say(sentence)) for name, sentence in TOLD.items()]
    if context.parent is None:
        own.append(("--version", language.say(Sentence("show the version"))))
    yield _pairs(iter([*own, *everywhere]))
    commands: Mapping[str, Any] = getattr(command, "commands", {})
    if commands:
        yield from _section(language.say(Sentence("Commands")))
        yield _pairs(
            (name, _first_sentence(language.words(paragraphs(each.help)[0])))
            for name, each in commands.items()
            if not each.hidden
        )


def _first_sentence(text: str) -> str:
    return text.split(". ", maxsplit=1)[0].split("。", maxsplit=1)[0].rstrip(".")


def _section(title: str) -> Iterator[Text]:
    yield Text("")
    yield Text(title, style="bold")


def _pairs(pairs: Iterator[tuple[str, str]]) -> Padding:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, told in pairs:
        grid.add_row(Text(name, style="cyan"), Text(told))
    return Padding(grid, (0, 0, 0, 2))


def _argument_name(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name.upper())
    return name if parameter.required else f"[{name}]"


def _option_name(parameter: Any) -> str:
    names = ", ".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag else f"{names} {parameter.metavar or parameter.name.upper()}"


def _told(parameter: Any, language: Language) -> str:
    told = language.words(parameter.help or "")
    notes = []
    if parameter.required and parameter.param_type_name == "option":
        notes.append(language.say(Sentence("required")))
    default = parameter.default
    if default not in (None, False, "", ()) and not callable(default):
        shown = getattr(default, "value", default)
        notes.append(language.say(Sentence("default: {value}", value=shown)))
    if parameter.envvar:
        notes.append(language.say(Sentence("environment: {name}", name=parameter.envvar)))
    return f"{told} [{'; '.join(notes)}]" if notes else told
