"""The Vercel AI SDK, unchanged, against Ember. `scripts/ai_sdk.mjs` has the examples."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.conformance.node import Node, value


@pytest.fixture(scope="module")
def results(node: Node, address: str, embedder: str, red_circle: str) -> dict[str, Any]:
    return node.run("ai_sdk.mjs", address, embedder, red_circle)


def test_a_text_is_the_same_whole_and_streamed(results: dict[str, Any]) -> None:
    whole, streamed = value(results, "text"), value(results, "textStreamed")
    assert "Ember" in whole["text"]
    assert whole["text"] == streamed["text"]
    assert whole["finishReason"] == streamed["finishReason"] == "stop"
    assert whole["usage"]["outputTokens"] == streamed["usage"]["outputTokens"] > 0
    assert whole["model"] == "ember"
    assert whole["id"].startswith("chatcmpl-")


def test_a_conversation_is_remembered(results: dict[str, Any]) -> None:
    assert "Ada" in value(results, "conversation")


def test_the_sdk_s_settings_are_taken(results: dict[str, Any]) -> None:
    assert value(results, "settings")["finishReason"] == "length"


def test_a_picture_is_seen(results: dict[str, Any]) -> None:
    text = value(results, "picture").lower()
    assert "red" in text
    assert "circle" in text


def test_reasoning_comes_apart_from_the_text(results: dict[str, Any]) -> None:
    whole, streamed = value(results, "reasoning"), value(results, "reasoningStreamed")
    assert whole["reasoning"] == streamed["reasoning"] != ""
    assert whole["tokens"] > 0
    assert whole["text"]
    kinds = [kind for kind in streamed["kinds"] if kind.startswith(("reasoning", "text"))]
    assert kinds == ["reasoning-start", "reasoning-delta", "reasoning-end", "text-start", "text-delta", "text-end"]


def test_objects_are_those_of_the_schema(results: dict[str, Any]) -> None:
    whole, streamed = value(results, "object"), value(results, "objectStreamed")
    assert {"name", "age", "is_available"} == set(whole["friends"][0])
    assert streamed["object"] == value(results, "objectAsOutput") == whole
    assert streamed["partial"] > 1


def test_arrays_and_choices_are_objects_too(results: dict[str, Any]) -> None:
    assert {item["name"] for item in value(results, "array")} <= {"Ada", "Alan"}
    assert value(results, "choice") in ("sunny", "rainy")


def test_an_object_of_any_shape_is_one(results: dict[str, Any]) -> None:
    assert value(results, "objectOfAnyShape") == "object"


def test_tools_are_called_as_they_have_to_be(results: dict[str, Any]) -> None:
    called = value(results, "toolCalled")
    assert called == {"calls": [{"toolName": "weather", "input": {"city": "Paris"}}], "finishReason": "tool-calls"}
    assert set(value(results, "toolNamed")) == {"other"}
    assert value(results, "noTool") == 0


def test_a_call_is_streamed_with_its_input(results: dict[str, Any]) -> None:
    streamed = value(results, "toolCallStreamed")
    assert streamed["calls"] == [streamed["input"]]
    kinds = [kind for kind in streamed["kinds"] if kind.startswith("tool")]
    assert kinds == ["tool-input-start", "tool-input-delta", "tool-input-end", "tool-call"]


def test_tools_are_run_until_there_is_a_text(results: dict[str, Any]) -> None:
    whole = value(results, "steps")
    assert whole["calls"] == [{"toolName": "weather", "input": {"city": "Paris"}}]
    assert whole["n"] == 2
    assert whole["text"] == value(results, "stepsStreamed")["text"] != ""


def test_texts_become_vectors_of_length_1(results: dict[str, Any]) -> None:
    one = value(results, "embedding")
    assert one["length"] == 384
    assert one["usage"]["tokens"] > 0
    for vector in value(results, "embeddings"):
        assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-3)


def test_a_text_is_continued(results: dict[str, Any]) -> None:
    assert value(results, "completion")["inputTokens"] > 0
    streamed = value(results, "completionStreamed")
    assert streamed["finishReason"] in ("stop", "length")
    assert streamed["usage"]["outputTokens"] <= 8


def test_a_stream_can_be_left(results: dict[str, Any]) -> None:
    assert value(results, "aborted") == "abort"


@pytest.mark.parametrize(
    ("name", "status", "param", "code"),
    [("unknownModel", 404, "model", "model_not_found"), ("wrongValue", 400, "temperature", "invalid_value")],
)
def test_errors_are_the_sdk_s_own_and_not_tried_again(
    results: dict[str, Any], name: str, status: int, param: str, code: str
) -> None:
    error = value(results, name)
    assert (error["known"], error["status"], error["retry"]) == (True, status, False)
    assert error["message"] == error["body"]["message"]
    assert (error["body"]["param"], error["body"]["code"]) == (param, code)


def test_a_prompt_that_does_not_fit_is_an_error_before_the_stream(results: dict[str, Any]) -> None:
    assert value(results, "tooLong") == {"status": 400, "code": "context_length_exceeded"}
