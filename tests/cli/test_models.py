from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.models import RemoteFile, RemoteRepository
from app.paths import Paths
from app.settings import SettingsStore
from tests.cli.program import run_hearth
from tests.fake_hub import FakeHub
from tests.library.gguf_maker import write_model


@pytest.fixture
def hub(profile: Path, ember_path: Path, ember_projector_path: Path) -> Iterator[FakeHub]:
    """A hub with Ember under another name, that this profile uses."""
    with FakeHub() as made:
        files = {"tiny-Q8_0.gguf": ember_path.read_bytes(), "mmproj-tiny-F16.gguf": ember_projector_path.read_bytes()}
        made.add("org/tiny-GGUF", files)
        SettingsStore(Paths.of(profile).settings_file).update(hub_endpoint=made.endpoint)
        yield made


def repository(*quantizations: str) -> RemoteRepository:
    files = tuple(
        RemoteFile((f"model-{quantization}.gguf",), 1000 + index, quantization, (None,))
        for index, quantization in enumerate(quantizations)
    )
    return RemoteRepository("org/model-GGUF", "abc", files)


def test_the_built_in_model_is_listed() -> None:
    listed = run_hearth("list", "--json")
    (ember,) = json.loads(listed.stdout)
    assert ember["id"] == "ember"
    assert "vision" in ember["capabilities"]
    assert ember["context_length"] == 2048
    assert "ember" in run_hearth("list").stdout


def test_a_model_is_pulled_with_its_projector_listed_and_removed(hub: FakeHub) -> None:
    pulled = run_hearth("pull", "org/tiny-GGUF:Q8_0")
    assert pulled.returncode == 0, pulled.stderr
    listed = {model["id"]: model for model in json.loads(run_hearth("list", "--json").stdout)}
    assert listed["tiny-Q8_0"]["projector"]
    assert listed["tiny-Q8_0"]["problem"] is None
    removed = run_hearth("rm", "tiny-Q8_0")
    assert "12.8 MB freed" in removed.stdout
    assert len(json.loads(run_hearth("list", "--json").stdout)) == 1


def test_what_was_pulled_is_verified_until_something_spoils_it(hub: FakeHub, profile: Path) -> None:
    assert run_hearth("pull", "org/tiny-GGUF:Q8_0").returncode == 0
    whole = run_hearth("verify")
    assert whole.returncode == 0, whole.stderr
    assert "tiny-Q8_0: mmproj-tiny-F16.gguf is intact." in whole.stdout
    file = Paths.of(profile).models / "org" / "tiny-GGUF" / "tiny-Q8_0.gguf"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)

    spoilt = run_hearth("verify", "tiny", "--json")

    assert spoilt.returncode == 7
    (found,) = json.loads(spoilt.stdout)
    assert [Path(file["path"]).name for file in found["files"] if file["state"] == "damaged"] == ["tiny-Q8_0.gguf"]
    removed = json.loads(run_hearth("rm", "tiny", "--json").stdout)
    assert removed["id"] == "tiny-Q8_0"
    assert len(removed["files"]) == 2
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("pull", "org/nothing-here"), 3, "org/nothing-here"),
        (("pull", "org/tiny-GGUF:Q2_K"), 1, "It has: tiny-Q8_0.gguf"),
        (("rm", "ember"), 1, "part of Hearth"),
        (("verify", "embr"), 3, "Did you mean ember?"),
        (("rm", "embr"), 3, "Did you mean ember?"),
        (("pull", "lama3.2"), 1, "Did you mean llama3.2"),
        (("ps",), 1, "not running"),
    ],
)
def test_what_can_not_be_done_says_why(hub: FakeHub, arguments: tuple[str, ...], status: int, said: str) -> None:
    ended = run_hearth(*arguments)
    assert ended.returncode == status
    assert said in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_short_name_is_pulled_from_where_the_catalogue_says(profile: Path, ember_path: Path) -> None:
    with FakeHub() as hub:
        files = {f"all-MiniLM-L6-v2.{kind}.gguf": ember_path.read_bytes() for kind in ("F16", "Q8_0")}
        hub.add("leliuga/all-MiniLM-L6-v2-GGUF", files)
        SettingsStore(Paths.of(profile).settings_file).update(hub_endpoint=hub.endpoint)
        pulled = run_hearth("pull", "all-minilm")
    assert pulled.returncode == 0, pulled.stderr
    listed = {model["id"]: model for model in json.loads(run_hearth("list", "--json").stdout)}
    assert listed["all-MiniLM-L6-v2.Q8_0"]["aliases"] == ["all-minilm", "all-minilm:22m"]
    assert "all-minilm:22m" in run_hearth("list").stdout
    assert run_hearth("rm", "all-minilm").stdout.startswith("Removed all-MiniLM-L6-v2.Q8_0; ")


def test_a_file_name_gives_the_terminal_no_commands(profile: Path) -> None:
    write_model(Paths.of(profile).models / "red\x1b[31m.gguf")

    for command in ("list", "verify"):
        shown = run_hearth(command)
        assert shown.returncode == 0, shown.stderr
        assert "red?[31m" in shown.stdout
        assert "\x1b" not in shown.stdout + shown.stderr
