from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.paths import Paths
from tests.cli.program import run_hearth
from tests.engine.tiny_models import write_llama
from tests.fake_hub import FakeHub


@pytest.fixture
def hub(profile: Path) -> Iterator[FakeHub]:
    with FakeHub() as hub:
        _set(profile, hub_endpoint=hub.endpoint)
        yield hub


def _set(profile: Path, **settings: object) -> None:
    file = Paths.of(profile).settings_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(settings))


@pytest.mark.usefixtures("profile")
def test_an_installed_model_fits_by_name_and_by_path(ember_path: Path) -> None:
    told = run_hearth("fit", "ember")
    assert told.returncode == 0
    assert "ember, with a context of 8192 tokens: fits in memory." in told.stdout
    by_path = json.loads(run_hearth("fit", str(ember_path), "--ctx-size", "1024", "--json").stdout)
    assert (by_path["verdict"], by_path["fits"], by_path["short_bytes"], by_path["n_ctx"]) == ("memory", True, 0, 1024)
    assert by_path["total_bytes"] == sum(need["total_bytes"] for need in by_path["needs"])


@pytest.mark.usefixtures("profile")
@pytest.mark.parametrize("named", ["~nobody-at-all/x.gguf", "x" * 300, "http://[x.gguf", "https://h:99999/x.gguf"])
def test_a_name_that_can_be_none_is_an_error_and_no_traceback(named: str) -> None:
    told = run_hearth("fit", named)
    assert told.returncode != 0
    assert told.stderr.startswith("hearth: ")
    assert "Traceback" not in told.stderr


def test_what_is_too_large_says_by_how_much_and_ends_with_a_status_of_its_own(profile: Path) -> None:
    _set(profile, memory_limit_gib=0.01)
    told = run_hearth("fit", "ember")
    assert told.returncode == 6
    assert "ember does not fit:" in told.stdout
    assert "too little" in told.stdout
    body = json.loads(run_hearth("plan", "ember", "--json").stdout)
    assert body["verdict"] == "too-large"
    assert body["short_bytes"] > 0


def test_a_repository_is_told_file_by_file_with_a_recommendation(hub: FakeHub, tmp_path: Path, ember_path: Path) -> None:
    model = write_llama(tmp_path / "m.gguf", ember_path).read_bytes()
    hub.add("org/repo", {"m-Q4_K_M.gguf": model, "m-Q8_0.gguf": model + bytes(32), "broken-Q2_K.gguf": b"<html>" + bytes(2000)})
    told = run_hearth("fit", "org/repo")
    assert told.returncode == 0
    assert "* Recommended: hearth pull org/repo:Q8_0" in told.stdout
    body = json.loads(run_hearth("fit", "org/repo", "--json").stdout)
    by_file = {file["file"]: file for file in body["files"]}
    assert by_file["m-Q8_0.gguf"]["recommended"]
    assert by_file["m-Q4_K_M.gguf"]["verdict"] == "memory"
    assert "web page" in by_file["broken-Q2_K.gguf"]["error"]
    one = json.loads(run_hearth("fit", "org/repo:q4_k_m", "--json").stdout)
    assert one["total_bytes"] == by_file["m-Q4_K_M.gguf"]["total_bytes"]
    # Of the good ones one header, and a head and a tail; of the broken one its start, perhaps twice, by each of two programs.
    assert len(hub.transfers) <= 1 + 2 + 4


def test_a_file_is_told_by_its_address_on_the_hub_or_elsewhere(hub: FakeHub, tmp_path: Path, ember_path: Path) -> None:
    hub.add("org/repo", {"m-Q8_0.gguf": write_llama(tmp_path / "m.gguf", ember_path).read_bytes()})
    path = "org/repo/resolve/main/m-Q8_0.gguf"
    for address in (f"{hub.endpoint}/{path}", f"http://localhost:{hub.port}/{path}"):
        told = run_hearth("fit", address)
        assert "fits in memory" in told.stdout, told.stderr


def test_a_gated_repository_is_no_answer_but_its_own_status(hub: FakeHub, ember_path: Path) -> None:
    hub.add("org/gated-GGUF", {"m-Q8_0.gguf": ember_path.read_bytes()}, gated=True)
    told = run_hearth("fit", "org/gated-GGUF")
    assert told.returncode == 4
    assert "Traceback" not in told.stderr


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(("name", "status"), [("nobody", 3), ("org/nothing", 3), ("none.gguf", 1), ("org/repo/../x", 1)])
def test_what_is_nowhere_ends_with_the_status_for_it(name: str, status: int) -> None:
    told = run_hearth("fit", name)
    assert told.returncode == status
    assert told.stderr.startswith("hearth: ")
    assert told.stderr.startswith("hearth: ")


def test_a_context_that_the_model_was_not_made_for_is_refused(hub: FakeHub, tmp_path: Path, ember_path: Path) -> None:
    hub.add("org/repo", {"m-Q8_0.gguf": write_llama(tmp_path / "m.gguf", ember_path).read_bytes()})
    told = run_hearth("fit", "org/repo:Q8_0", "--ctx-size", "1000000")
    assert told.returncode == 1
    assert "2048" in told.stderr
