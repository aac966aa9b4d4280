"""The official JavaScript client, unchanged, against Ember. `openai_javascript.mjs` has the examples."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import FRIENDS

SCRIPT = Path(__file__).with_name("openai_javascript.mjs")


@pytest.fixture(scope="session")
def packages(request: pytest.FixtureRequest) -> Path:
    """A folder with the client in it, installed from npm once and kept in pytest's cache."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: the JavaScript client can't be run")
    cache = request.config.cache
    assert cache is not None
    folder = cache.mkdir("openai-javascript")
    if not (folder / "installed").exists():
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "openai", "zod"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=150)
        (folder / "installed").touch()
    return folder


@pytest.fixture(scope="module")
def results(packages: Path, address: str, embedder: str, red_circle: str) -> dict[str, Any]:
    """What each example got. Node looks for packages beside the script, so the script goes there."""
    script = Path(shutil.copy(SCRIPT, packages))
    environment = {
        **os.environ,
        "HEARTH_ADDRESS": address,
        "HEARTH_EMBEDDER": embedder,
        "HEARTH_PICTURE": red_circle,
        "HEARTH_FRIENDS": FRIENDS,
    }
    done = subprocess.run(["node", script], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def value(results: dict[str, Any], name: str) -> Any:
    assert "value" in results[name], results[name]["error"]
    return results[name]["value"]


def test_a_chat_says_the_same_whole_streamed_and_through_the_helper(results: dict[str, Any]) -> None:
    text = value(results, "chat")
    assert "Ember" in text
    assert value(results, "chatStreamed") == text
    assert value(results, "chatStreamHelper") == text


def test_a_picture_is_seen(results: dict[str, Any]) -> None:
    text = value(results, "picture").lower()
    assert "red" in text
    assert "circle" in text


def test_a_text_is_continued(results: dict[str, Any]) -> None:
    answer = value(results, "completion")
    assert answer["object"] == "text_completion"
    assert answer["promptTokens"] > 0
    assert answer["tokens"] <= 8


def test_models_are_listed_and_looked_up(results: dict[str, Any]) -> None:
    assert "ember" in value(results, "models")
    assert value(results, "model")["object"] == "model"


def test_texts_become_vectors_of_length_1(results: dict[str, Any]) -> None:
    answer = value(results, "embeddings")
    assert len(answer["vectors"]) == 2
    for vector in answer["vectors"]:
        assert len(vector) == 384
        assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-3)
    assert answer["usage"]["total_tokens"] > 0


def test_an_answer_is_parsed_by_a_schema(results: dict[str, Any]) -> None:
    friends = value(results, "parsed")["friends"]
    assert friends
    assert set(friends[0]) == {"name", "age", "is_available"}


def test_a_forced_tool_is_called(results: dict[str, Any]) -> None:
    call = value(results, "tool")
    assert call["name"] == "get_weather"
    assert set(json.loads(call["arguments"])) == {"city"}


def test_a_stream_can_be_left(results: dict[str, Any]) -> None:
    assert value(results, "aborted") == "chat.completion.chunk"


def test_an_unknown_model_is_the_client_s_own_error(results: dict[str, Any]) -> None:
    expected = {"kind": "NotFoundError", "code": "model_not_found", "param": "model", "id": True}
    assert value(results, "unknownModel") == expected
