from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.paths import Paths
from app.settings import SettingsStore
from tests.cli.program import environment, run_hearth
from tests.fake_hub import FakeHub, HubFacts

GGUF = {"m-Q4_K_M.gguf": b"q" * 4000}


@pytest.fixture
def hub(profile: Path) -> Iterator[FakeHub]:
    with FakeHub() as made:
        facts = HubFacts(downloads=1_234_567, trending=2, tags=("conversational",), gguf={"total": 8_030_000_000})
        made.add("acme/Small-8B-GGUF", GGUF, facts=facts)
        made.add("acme/Large-70B-GGUF", GGUF, facts=HubFacts(license="llama3.3", gguf={"total": 70_600_000_000}))
        SettingsStore(Paths.of(profile).settings_file).update(hub_endpoint=made.endpoint)
        yield made


def test_models_are_found_and_told_in_a_table_and_in_json(hub: FakeHub) -> None:
    table = run_hearth("search", "small", env={**environment(), "COLUMNS": "160"}).stdout
    assert "acme/Small-8B-GGUF" in table
    assert "8.0B" in table
    assert "1.2M" in table
    assert "Large" not in table
    both = json.loads(run_hearth("search", "--json").stdout)
    assert [model["id"] for model in both] == ["acme/Small-8B-GGUF", "acme/Large-70B-GGUF"]
    assert both[0]["parameters"] == 8_030_000_000
    assert both[0]["capabilities"] == ["chat", "completion"]


def test_filters_and_order_are_passed_on(hub: FakeHub) -> None:
    large = run_hearth("search", "--min-size", "10B", "--license", "llama3.3", "--sort", "likes", "--json")
    assert [model["id"] for model in json.loads(large.stdout)] == ["acme/Large-70B-GGUF"]
    chatting = run_hearth("search", "--can", "chat", "--max-size", "8.1b", "--author", "acme", "--limit", "5", "--json")
    assert [model["id"] for model in json.loads(chatting.stdout)] == ["acme/Small-8B-GGUF"]


def test_what_is_too_large_for_this_computer_can_be_left_out(hub: FakeHub) -> None:
    hub.add("acme/Huge-9000B-GGUF", GGUF, facts=HubFacts(gguf={"total": 9 * 10**12}))
    hub.add("acme/Tiny-1M-GGUF", GGUF, facts=HubFacts(gguf={"total": 10**6}))
    hub.add("acme/Unknown-GGUF", GGUF)

    found = [model["id"] for model in json.loads(run_hearth("search", "--fits", "--json").stdout)]

    assert "acme/Tiny-1M-GGUF" in found
    assert not {"acme/Huge-9000B-GGUF", "acme/Unknown-GGUF"} & {*found}


def test_as_many_pages_are_read_as_are_wanted(hub: FakeHub) -> None:
    for number in range(70):
        hub.add(f"many/m{number:02}", GGUF)
    assert len(json.loads(run_hearth("search", "--author", "many", "--limit", "65", "--json").stdout)) == 65


def test_nothing_found_is_said_and_no_error(hub: FakeHub) -> None:
    found = run_hearth("search", "no", "such", "model")
    assert (found.returncode, found.stdout) == (0, "")
    assert "Nothing" in found.stderr
    assert json.loads(run_hearth("search", "no such model", "--json").stdout) == []


def test_what_is_wrong_is_one_line_and_a_status_of_its_kind(hub: FakeHub, profile: Path) -> None:
    wrong = run_hearth("search", "--max-size", "huge")
    assert (wrong.returncode, wrong.stderr) == (
        1,
        "hearth: --max-size must be a count of parameters such as 8B or 270M, not 'huge'.\n",
    )
    hub.faults.api_status = 429
    assert run_hearth("search").returncode == 5
    SettingsStore(Paths.of(profile).settings_file).update(hub_offline=True)
    offline = run_hearth("search")
    assert offline.returncode == 5
    assert "work offline" in offline.stderr
