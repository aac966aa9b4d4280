from __future__ import annotations

import json
from pathlib import Path

from app.paths import Paths
from tests.cli.program import run_hearth
from tests.library.gguf_maker import write_model


def test_the_folder_is_shown_and_moved_with_its_models(profile: Path, tmp_path: Path) -> None:
    old, new = Paths.of(profile).models, tmp_path / "big-disk"
    write_model(old / "org" / "repo" / "m.gguf")
    assert run_hearth("folder").stdout.strip() == str(old)

    moved = run_hearth("folder", str(new), "--json")

    assert moved.returncode == 0, moved.stderr
    assert json.loads(moved.stdout) == {"folder": str(new), "left": []}
    assert run_hearth("folder").stdout.strip() == str(new)
    listed = {model["id"]: model for model in json.loads(run_hearth("list", "--json").stdout)}
    assert listed["m"]["path"] == str(new / "org" / "repo" / "m.gguf")
    assert listed["m"]["source"] == "library"
    assert not old.exists()


def test_a_folder_within_itself_is_refused(profile: Path) -> None:
    old = Paths.of(profile).models

    refused = run_hearth("folder", str(old / "sub"))

    assert refused.returncode == 1
    assert "within each other" in refused.stderr
