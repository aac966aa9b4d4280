from __future__ import annotations

import json
from pathlib import Path

from tests.cli.program import run_hearth


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    made = run_hearth("--profile", str(tmp_path), "keys", "create", "laptop")
    assert made.returncode == 0
    key = made.stdout.strip()
    listed = run_hearth("keys", "list", "--json", "--profile", str(tmp_path))
    assert key not in listed.stdout
    assert [known["name"] for known in json.loads(listed.stdout)] == ["laptop"]
    assert "laptop" in run_hearth("keys", "list", "--profile", str(tmp_path)).stdout
    assert run_hearth("keys", "revoke", "laptop", "--profile", str(tmp_path)).returncode == 0
    gone = run_hearth("keys", "revoke", "laptop", "--profile", str(tmp_path))
    assert gone.returncode == 1
    assert gone.stderr.startswith("hearth: There is no key 'laptop'.")
