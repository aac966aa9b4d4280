"""JavaScript clients: installed from npm once, and run by Node."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.prompts import FRIENDS

__all__ = ["Node", "installed", "package_version", "value"]

_SCRIPTS = Path(__file__).with_name("scripts")
_PACKAGES = _SCRIPTS / "package.json"


@dataclass(frozen=True, slots=True)
class Node:
    """`packages` is the folder that npm filled. Node looks for packages beside a script, so scripts are copied there."""

    packages: Path

    def run(self, name: str, address: str, embedder: str, picture: str) -> dict[str, Any]:
        """What each example of a script got: its value, or its error."""
        script = shutil.copy(_SCRIPTS / name, self.packages)
        environment = {
            **os.environ,
            "HEARTH_ADDRESS": address,
            "HEARTH_EMBEDDER": embedder,
            "HEARTH_PICTURE": picture,
            "HEARTH_FRIENDS": FRIENDS,
        }
        done = subprocess.run(["node", script], env=environment, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 0, done.stderr
        results: dict[str, Any] = json.loads(done.stdout)
        return results


def installed(cache: pytest.Cache) -> Node:
    """With the versions that `package.json` names, kept in pytest's cache. Skips where there is no Node."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: JavaScript clients can't be run")
    folder = cache.mkdir(f"javascript-{hashlib.sha256(_PACKAGES.read_bytes()).hexdigest()[:8]}")
    if not (folder / "installed").exists():
        shutil.copy(_PACKAGES, folder)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=150)
        (folder / "installed").touch()
    return Node(folder)


def package_version(name: str) -> str:
    version: str = json.loads(_PACKAGES.read_text("utf-8"))["dependencies"][name]
    return version


def value(results: dict[str, Any], name: str) -> Any:
    assert "value" in results[name], results[name]["error"]
    return results[name]["value"]
