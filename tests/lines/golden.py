"""Golden frames: text files of `name = hex` under `[title]`, with comments, in tests/vectors/wire/."""

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "vectors" / "wire"


def golden(name: str) -> dict[str, dict[str, bytes]]:
    """Return the sections of a file by title, each a mapping of names to bytes."""
    sections: dict[str, dict[str, bytes]] = {}
    for number, line in enumerate((FOLDER / name).read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text.startswith("["):
            title = text.strip("[]")
            assert title not in sections, f"{name}:{number} {title} stands there twice"
            sections[title] = {}
        elif text:
            field, _, value = text.partition("=")
            assert field.strip() not in sections[title], f"{name}:{number} {field} stands there twice"
            sections[title][field.strip()] = bytes.fromhex(value)
    assert sections
    return sections
