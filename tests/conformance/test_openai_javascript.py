"""The official JavaScript client, unchanged, against Ember. `scripts/openai.mjs` has the examples."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.conformance.node import Node, value


@pytest.fixture(scope="module")
def results(node: Node, address: str, embedder: str, red_circle: str) -> dict[str, Any]:
    return node.run("openai.mjs", address, embedder, red_circle)


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


def test_a_parsed_stream_comes_in_pieces_and_whole(results: dict[str, Any]) -> None:
    streamed = value(results, "parsedStream")
    assert streamed["parsed"] == json.loads(streamed["deltas"]) == value(results, "parsed")
    assert streamed["usage"]["total_tokens"] > 0


def test_a_forced_tool_is_called(results: dict[str, Any]) -> None:
    call = value(results, "tool")
    assert call["name"] == "get_weather"
    assert set(json.loads(call["arguments"])) == {"city"}


def test_a_tool_s_arguments_are_parsed_whole_and_streamed(results: dict[str, Any]) -> None:
    arguments = value(results, "toolParsed")
    streamed = value(results, "toolStreamed")
    assert set(arguments) == {"city"}
    assert streamed["name"] == "get_weather"
    assert streamed["arguments"] == streamed["streamed"]
    assert streamed["parsed"] == json.loads(streamed["arguments"]) == arguments


@pytest.mark.parametrize("name", ["toolsRun", "toolsRunStreamed"])
def test_tools_are_run_until_there_is_an_answer(results: dict[str, Any], name: str) -> None:
    run = value(results, name)
    assert run["roles"] == ["user", "assistant", "tool", "assistant"]
    assert run["text"]


def test_a_text_is_streamed_with_one_reason_at_its_end(results: dict[str, Any]) -> None:
    *before, last = value(results, "completionStreamed")
    assert set(before) <= {None}
    assert last in ("stop", "length")


def test_the_request_s_id_is_in_its_header(results: dict[str, Any]) -> None:
    answer = value(results, "headers")
    assert answer["object"] == "chat.completion"
    assert answer["id"] == answer["header"] != ""


def test_a_stream_can_be_left(results: dict[str, Any]) -> None:
    assert value(results, "aborted") == "chat.completion.chunk"


def test_an_unknown_model_is_the_client_s_own_error(results: dict[str, Any]) -> None:
    expected = {"kind": "NotFoundError", "code": "model_not_found", "param": "model", "id": True}
    assert value(results, "unknownModel") == expected
