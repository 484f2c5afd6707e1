"""The simulator stands alone: neither Django nor the gateway's own client is in it."""

from __future__ import annotations

import ast
from pathlib import Path

import chargers.simulator

PACKAGE = Path(chargers.simulator.__file__).parent
ALLOWED = {"chargers.simulator", "aiohttp", "orjson", "yarl", "__future__"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(node.module or "")
    return names


def test_nothing_is_imported_but_itself_aiohttp_orjson_and_the_standard_library() -> None:
    import sys

    for path in PACKAGE.glob("*.py"):
        for name in imported(path):
            top = name.split(".")[0]
            own = name == "chargers.simulator" or name.startswith("chargers.simulator.")
            assert own or top in ALLOWED or top in sys.stdlib_module_names, (path.name, name)
