"""Runs one command line: language, global options, the command, its report or its error, the exit code."""

import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import typer
from rich.console import Console
from rich.text import Text

from campus_node.cli.everywhere import Everywhere, take_everywhere
from campus_node.cli.language import language_of
from campus_node.cli.report import Report, console_for_people, json_line, show
from campus_node.cli.tree import command_tree
from campus_node.cli.usage import WrongUsage, usage_sentence
from campus_node.wording import Sentence
from federation.errors import CampusCardError, Refused, Tampered, Unavailable

HOLDS: Final = 0
HOLDS_NOT: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal without Chinese characters shows ? instead of failing
    spoken = language_of(os.environ)
    try:
        everywhere, rest = take_everywhere(arguments, spoken)
    except WrongUsage as error:
        return _complain(Everywhere(False, None, spoken), "Usage", error.sentence, USAGE)
    try:
        return _run(everywhere, rest)
    except BrokenPipeError:  # whoever reads our output has seen enough
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        return HOLDS_NOT
    except OSError as error:
        reason = error.strerror or str(error)
        sentence = Sentence("{path}: {reason}", path=error.filename or "", reason=reason)
        return _complain(
            Everywhere(everywhere.as_json, None, everywhere.language),
            type(error).__name__,
            sentence,
            HOLDS_NOT,
        )


def _run(everywhere: Everywhere, arguments: list[str]) -> int:
    if arguments[:1] == ["--version"]:
        return _finish(everywhere, Report({"version": _version()}, [f"campuscard {_version()}"]))
    command = command_tree()
    try:
        outcome = command.main(
            arguments or ["--help"], prog_name="campus", standalone_mode=False, obj=everywhere
        )
    except WrongUsage as error:
        return _complain(everywhere, "Usage", error.sentence, USAGE)
    except typer.TyperException as error:
        if str(error) == "Missing command." and getattr(error, "ctx", None) is not None:
            sys.stderr.write(error.ctx.get_help() + "\n")  # type: ignore[attr-defined]  # a usage error has one
            return USAGE
        sentence = usage_sentence(error)
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "campus"
        return _complain(everywhere, "Usage", sentence, USAGE, Sentence("See: {path} --help", path=path))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except CampusCardError as error:
        return _complain_of(everywhere, error)
    if isinstance(outcome, Report):
        return _finish(everywhere, outcome)
    if not arguments:
        return USAGE  # the page was shown, nothing was asked for
    return outcome if isinstance(outcome, int) else HOLDS


def _finish(everywhere: Everywhere, report: Report) -> int:
    code = HOLDS if report.holds else HOLDS_NOT
    line = json_line(report.content)
    if everywhere.json_file is not None:
        everywhere.json_file.write_text(line + "\n", encoding="utf-8")
    if everywhere.as_json:
        sys.stdout.write(line + "\n")
    else:
        show(report, console_for_people(), everywhere.language)
    sys.stdout.flush()
    return code


def _complain_of(everywhere: Everywhere, error: CampusCardError) -> int:
    mistakes = getattr(error, "mistakes", None)
    told = (
        error.args[0]
        if error.args and isinstance(error.args[0], Sentence)
        else Sentence("{text}", text=error)
    )
    sentences = list(mistakes) if mistakes else [told]
    hint = None
    if isinstance(error, Tampered):
        hint = Sentence("Stop the node, keep these files as evidence, and compare with the last good backup.")
    elif isinstance(error, Unavailable) and not isinstance(error.args[0] if error.args else None, Sentence):
        hint = Sentence("Not now, or nobody knows: repeat the same command.")
    text = "\n".join(everywhere.language.say(sentence) for sentence in sentences)
    return _complain(everywhere, type(error).__name__, text, HOLDS_NOT, hint, _family(error))


def _family(error: CampusCardError) -> str:
    return next(
        (f.__name__ for f in (Refused, Unavailable, Tampered) if isinstance(error, f)), "CampusCardError"
    )


def _complain(
    everywhere: Everywhere,
    name: str,
    sentence: Sentence | str,
    code: int,
    hint: Sentence | None = None,
    family: str | None = None,
) -> int:
    language = everywhere.language
    console = Console(stderr=True)
    text = language.say(sentence)
    label = language.say(Sentence("Error"))
    console.print(Text.assemble((f"{label}: ", "bold red"), text), soft_wrap=True)
    if hint is not None:
        console.print(Text(language.say(hint)), style="dim", soft_wrap=True)
    content = {"error": {"name": name, "family": family or name, "text": text}}
    if everywhere.json_file is not None:
        everywhere.json_file.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    if everywhere.as_json:
        sys.stdout.write(json_line(content) + "\n")
        sys.stdout.flush()
    return code


def _version() -> str:
    try:
        return version("campuscard")
    except PackageNotFoundError:
        return "unknown"
