from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.models import choose, split
from app.domain.errors import InvalidRequest, RepositoryNotFound
from app.domain.models import RemoteFile, RemoteRepository
from app.paths import Paths
from app.settings import SettingsStore
from tests.cli.program import run_hearth
from tests.fake_hub import FakeHub


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pull", "org/nothing-here"), "org/nothing-here"),
        (("pull", "org/tiny-GGUF:Q2_K"), "It has: tiny-Q8_0.gguf"),
        (("rm", "ember"), "part of Hearth"),
        (("rm", "embr"), "Did you mean ember?"),
        (("ps",), "not running"),
    ],
)
def test_what_can_not_be_done_says_why(hub: FakeHub, arguments: tuple[str, ...], said: str) -> None:
    ended = run_hearth(*arguments)
    assert ended.returncode == 1
    assert said in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_good_size_is_chosen_where_none_is_named() -> None:
    assert choose(repository("Q2_K", "F16", "Q4_K_M"), quantization=None, file=None).quantization == "Q4_K_M"
    assert choose(repository("IQ3_XS", "F16"), quantization=None, file=None).quantization == "IQ3_XS"


def test_a_file_or_a_quantization_can_be_named() -> None:
    listing = repository("Q2_K", "F16")
    assert choose(listing, quantization="f16", file=None).quantization == "F16"
    assert choose(listing, quantization=None, file="model-Q2_K.gguf").quantization == "Q2_K"
    with pytest.raises(InvalidRequest, match="Q5_K"):
        choose(listing, quantization="Q5_K", file=None)
    with pytest.raises(RepositoryNotFound, match="no GGUF"):
        choose(repository(), quantization=None, file=None)


def test_a_quantization_is_told_from_an_address() -> None:
    assert split("org/name:Q4_K_M") == ("org/name", "Q4_K_M")
    assert split("org/name") == ("org/name", None)
    assert split("https://hub.example:8080/org/name") == ("https://hub.example:8080/org/name", None)
