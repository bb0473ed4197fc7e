"""Sentences for people, kept apart from the values in them so that they can be said in another language."""

from collections.abc import Callable


class Sentence:
    """A sentence with holes, said in English unless somebody translates it.

    Raise one as the only argument of an error: `raise Misconfigured(Sentence("no {thing}", thing=path))`.

    Args:
        template: English, in `str.format` syntax with named holes only.
        fields: what fills the holes; a field may be a Sentence itself.
    """

    __slots__ = ("fields", "template")

    def __init__(self, template: str, **fields: object) -> None:
        self.template = template
        self.fields = fields

    def say(self, translate: Callable[[str], str]) -> str:
        """Return the sentence with every template, nested ones too, passed through translate."""
        fields = {
            name: field.say(translate) if isinstance(field, Sentence) else field
            for name, field in self.fields.items()
        }
        return translate(self.template).format(**fields)

    def __str__(self) -> str:
        return self.say(lambda template: template)

    def __repr__(self) -> str:
        return f"Sentence({str(self)!r})"
