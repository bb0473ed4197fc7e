"""From the texts of a Parameters message to typed values, as a whole or not at all. Pure.

A name that is not known is ignored: a later release has more of them. A value that is wrong refuses the whole
version, with every mistake said, and the version before stays in force.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from itertools import product
from typing import Final, NamedTuple, TypeVar, cast

from campus_node.spending.parameters import Parameter, Scope, all_parameters
from campus_node.wording import Sentence
from federation.errors import Refused

MISTAKES_MAX: Final = 20  # that are said; whoever made more has enough to do
TEXT_SHOWN_MAX: Final = 40

T = TypeVar("T")

_SCOPED: Final = re.compile(
    "".join(rf"(?:{scope.value[0]}_(?P<{scope.value[0]}>[0-9]{{1,9}})_)?" for scope in Scope)
    + "(?P<stem>[a-z].*)"
)
_BY_NAME: Final[Mapping[str, Parameter[object]]] = {each.name: each for each in all_parameters()}


class ParametersWrong(Refused):
    """Values are wrong: none of this version is used. The message says each of them."""


class Place(NamedTuple):
    """What a value is for, or is asked for; None = whatever."""

    tariff: int | None = None
    card_class: int | None = None
    meal: int | None = None
    item: int | None = None


_FIELDS: Final = dict(zip(Scope, range(len(Scope)), strict=True))
ANYWHERE: Final = Place()


@dataclass(frozen=True, slots=True)
class Values:
    """One version of the parameters. Where nothing was given, defaults hold.

    Args:
        given: by name and place.
        ignored: names that nobody here knows, in order.
    """

    given: Mapping[str, Mapping[Place, object]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def of(self, parameter: Parameter[T], place: Place = ANYWHERE) -> T:
        """Return the value that holds at a place: of several the one for the parameter's first scope wins."""
        given = self.given.get(parameter.name)
        if given is not None:
            for candidate in _candidates(parameter, place):
                if candidate in given:
                    return cast(T, given[candidate])  # read by the same parameter's kind
        return parameter.default_value


DEFAULTS: Final = Values()


def read_parameters(texts: Iterable[tuple[str, str]]) -> Values:
    """Return the values of names and texts.

    Args:
        texts: name and value of each parameter, as in a Parameters message.

    Raises:
        ParametersWrong: a value does not fit, a place does not exist, or a name stands there twice.
    """
    values, mistakes = _read(texts)
    if mistakes:
        raise ParametersWrong(all_of(mistakes))
    return values


def mistakes_in(texts: Iterable[tuple[str, str]]) -> list[Sentence]:
    """Return what is wrong with names and texts; names that are not known are not."""
    return _read(texts)[1]


def stem_of(name: str) -> str | None:
    """Return the parameter that a name with its places means; None = this release has none."""
    parameter, _ = _known(name)
    return None if parameter is None else parameter.name


def _read(texts: Iterable[tuple[str, str]]) -> tuple[Values, list[Sentence]]:
    given: dict[str, dict[Place, object]] = {}
    ignored, mistakes = [], []
    for name, text in texts:
        parameter, numbers = _known(name)
        if parameter is None:
            ignored.append(name)
            continue
        mistake = _misplaced(name, numbers)
        place = Place(*(numbers.get(scope) for scope in Scope))
        there = given.setdefault(parameter.name, {})
        if mistake is None and place in there:
            mistake = Sentence("{name} stands there twice", name=name)
        if mistake is None:
            try:
                there[place] = parameter.kind.read(text)
            except ValueError:
                shown = text if len(text) <= TEXT_SHOWN_MAX else text[:TEXT_SHOWN_MAX] + "…"
                mistake = Sentence(
                    "{name} is {text!r}, wanted: {what}", name=name, text=shown, what=parameter.kind.wanted()
                )
        if mistake is not None:
            mistakes.append(mistake)
    return Values(given, tuple(ignored)), mistakes


def _known(name: str) -> tuple[Parameter[object] | None, dict[Scope, int]]:
    """Return the parameter that a name with its scopes means, if it has such scopes."""
    parts = _SCOPED.fullmatch(name)
    if parts is None:
        return None, {}
    numbers = {scope: int(parts[scope.value[0]]) for scope in Scope if parts[scope.value[0]] is not None}
    parameter = _BY_NAME.get(parts["stem"])
    return (parameter, numbers) if parameter and numbers.keys() <= set(parameter.scopes) else (None, {})


def _misplaced(name: str, numbers: Mapping[Scope, int]) -> Sentence | None:
    for scope, number in numbers.items():
        _, least, most = scope.value
        if not least <= number <= most:
            return Sentence(
                "{name}: numbers there go from {least} to {most}", name=name, least=least, most=most
            )
    return None


def _candidates(parameter: Parameter[T], place: Place) -> Iterable[Place]:
    """Return the places whose values hold at this one, the most particular first."""
    choices = [
        (place[_FIELDS[scope]], None)
        if scope in parameter.scopes and place[_FIELDS[scope]] is not None
        else (None,)
        for scope in Scope
    ]
    return (Place(*choice) for choice in product(*choices))


def all_of(mistakes: list[Sentence]) -> Sentence:
    """Return one sentence that tells mistakes, MISTAKES_MAX at most; at least one is wanted."""
    said = mistakes[:MISTAKES_MAX]
    if len(mistakes) > MISTAKES_MAX:
        said.append(Sentence("and {more} more mistakes", more=len(mistakes) - MISTAKES_MAX))
    return reduce(lambda first, next_one: Sentence("{first}; {second}", first=first, second=next_one), said)
