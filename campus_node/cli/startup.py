"""What must hold before anything of ours is imported. Uses the standard library only."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_ROOM: Final = Path(__file__).resolve().parents[2]  # where campus_node lies
_NEIGHBOURS: Final = ("federation", "campuscard")


def refusal_to_start() -> str | None:
    """Return why this program must not run here, in English and Chinese; None = it may."""
    if sys.flags.optimize:
        return (
            "Python runs with -O, which switches assertions off; money is not moved without them. "
            "Start it without -O and without PYTHONOPTIMIZE. "
            "请勿使用 -O 或 PYTHONOPTIMIZE 启动: 该选项会关闭断言检查。"
        )
    for name in _NEIGHBOURS:
        found = _location(name)
        if found != _ROOM:
            where = "is not installed" if found is None else f"was found in {found}"
            return (
                f"the package {name!r} {where}, not beside campus_node in {_ROOM}: another package of that "
                "name is in the way. Install campuscard into an environment of its own. "
                f"程序包 {name!r} 不在 {_ROOM} 中: 请将 campuscard 安装到独立的环境。"
            )
    return None


def _location(name: str) -> Path | None:
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).resolve().parent
