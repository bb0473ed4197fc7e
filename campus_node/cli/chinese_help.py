"""Chinese of the help pages."""

HELP: dict[str, str] = {}
