from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import hearth, run_hearth


@pytest.mark.usefixtures("profile")
def test_devices_are_listed_for_people_and_programs() -> None:
    table = run_hearth("devices")
    assert table.returncode == 0
    assert "CPU" in table.stdout
    listed = json.loads(run_hearth("devices", "--json").stdout)
    host = next(device for device in listed if device["name"] == "CPU")
    assert host["kind"] == "cpu"
    assert 0 < host["free_bytes"] <= host["total_bytes"]


def test_ps_says_what_a_model_takes_and_when_it_leaves(profile: Path) -> None:
    with hearth("serve", "--port", "0", "--model", "ember", "--keep-alive", "10m", "--ctx-size", "1024"):
        listed = run_hearth("ps").stdout
    assert profile
    assert "in 10 min" in listed
    assert "MiB" in listed


@pytest.mark.usefixtures("profile")
def test_a_model_named_at_the_start_stays_unless_a_time_is_given() -> None:
    with hearth("serve", "--port", "0", "--model", "ember"):
        assert "never" in run_hearth("ps").stdout
