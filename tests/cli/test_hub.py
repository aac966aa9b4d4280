from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.paths import Paths
from app.settings import SettingsStore
from tests.cli.program import environment, run_hearth
from tests.fake_hub import FakeHub


@pytest.fixture
def hub(profile: Path) -> Iterator[FakeHub]:
    with FakeHub() as made:
        made.add("org/private", {"m-Q4_K_M.gguf": b"q" * 4000}, private=True)
        made.add("org/open", {"m-Q4_K_M.gguf": b"q" * 4000})
        SettingsStore(Paths.of(profile).settings_file).update(hub_endpoint=made.endpoint)
        yield made


def enter(token: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", "hub", "token"]
    return subprocess.run(command, input=token, capture_output=True, text=True, timeout=60, check=False, env=environment())


def test_a_token_is_entered_used_and_forgotten(hub: FakeHub, profile: Path) -> None:
    kept = enter("hf_secret\n")
    assert kept.returncode == 0, kept.stderr
    # Tests have no keyring.
    assert str(Paths.of(profile).hub_tokens) in kept.stdout
    tested = json.loads(run_hearth("hub", "test", "--json").stdout)
    assert (tested["state"], tested["token"], tested["user"]) == ("ok", "file", "ada")
    said = run_hearth("hub", "test").stdout
    assert "from file, ada's" in said
    assert "hf_secret" not in said
    assert run_hearth("hub", "token", "--forget").returncode == 0
    assert json.loads(run_hearth("hub", "test", "--json").stdout)["token"] is None


def test_what_is_no_token_is_refused(hub: FakeHub, profile: Path) -> None:
    refused = enter("two words\n")
    assert refused.returncode == 1
    assert "no access token" in refused.stderr
    assert not Paths.of(profile).hub_tokens.exists()


def test_a_test_that_fails_has_the_status_of_what_is_wrong(hub: FakeHub) -> None:
    enter("hf_wrong\n")
    wrong = run_hearth("hub", "test", "--json")
    assert (wrong.returncode, json.loads(wrong.stdout)["state"]) == (4, "token-refused")
    hub.faults.api_status = 503
    down = run_hearth("hub", "test")
    assert down.returncode == 5
    assert "error 503" in down.stderr
