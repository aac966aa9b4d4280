"""Write the versions that uv has chosen into pyproject.toml: `uv lock --upgrade && uv run python packaging/pin.py`.

A lock file would name the registry it was made with; constraints name versions only.
"""

import re
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "constraint-dependencies = [\n", "]\n"


def main() -> None:
    """Replace the list in `[tool.uv]`."""
    locked = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    wanted = reachable(locked)
    versions: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
    for package in locked:
        if "registry" in package["source"] and package["name"] in wanted:
            versions[package["name"]].append((package["version"], package.get("resolution-markers", [])))
    lines = [f'  "{constraint}",\n' for name in sorted(versions) for constraint in constraints(name, versions[name])]
    file = ROOT / "pyproject.toml"
    pattern = re.compile(re.escape(BEGIN) + r'(?:  "[^\n]*",\n)*' + re.escape(END))
    text, replaced = pattern.subn(lambda _: BEGIN + "".join(lines) + END, file.read_text("utf-8"))
    assert replaced == 1, "pyproject.toml has no constraint-dependencies list"
    file.write_text(text, "utf-8")
    print(f"{len(lines)} versions pinned")


def reachable(locked: list[dict[str, Any]]) -> set[str]:
    """The names of what is installed on some machine: uv also locks what the overrides shut out."""
    needs: dict[str, set[str]] = defaultdict(set)
    for package in locked:
        # With those of its extras: nobody asks for one that is not wanted.
        extras = package.get("optional-dependencies", {}).values()
        groups = [package.get("dependencies", []), *package.get("dev-dependencies", {}).values(), *extras]
        needs[package["name"]] |= {need["name"] for group in groups for need in group if "never" not in need.get("marker", "")}
    found, open_names = set(), ["hearth"]
    while open_names:
        name = open_names.pop()
        if name not in found:
            found.add(name)
            open_names += needs[name]
    return found


def constraints(name: str, found: list[tuple[str, list[str]]]) -> list[str]:
    """One constraint per version, with the Python versions it is for where there are several."""
    if len(found) == 1:
        return [f"{name}=={found[0][0]}"]
    return [f"{name}=={version} ; {marker}" for version, markers in found for marker in markers]


if __name__ == "__main__":
    main()
