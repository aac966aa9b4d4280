from __future__ import annotations

import base64
import math
import struct
from typing import Any

import pytest

from app.domain.errors import InvalidRequest
from app.domain.generation import EmbeddingResult, Truncation
from app.server.wire.embeddings import EmbeddingBody, embedding_request, embeddings

VECTOR = (0.6, 0.0, 0.8, 0.0)
RESULT = EmbeddingResult((struct.pack("<4f", *VECTOR),), prompt_tokens=5)


def body(**changes: Any) -> EmbeddingBody:
    return EmbeddingBody.model_validate({"model": "all-minilm", "input": "Hello", **changes})


@pytest.mark.parametrize(
    ("given", "expected"),
    [("a", ("a",)), (["a", "b"], ("a", "b")), ([1, 2], ((1, 2),)), ([[1], [2, 3]], ((1,), (2, 3)))],
)
def test_an_input_is_written_in_four_ways(given: Any, expected: tuple[Any, ...]) -> None:
    assert embedding_request(body(input=given)).inputs == expected


@pytest.mark.parametrize(("given", "param"), [("", "input"), (["a", ""], "input[1]"), ([[1], []], "input[1]")])
def test_an_empty_input_is_refused(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        embedding_request(body(input=given))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Truncation.NONE),
        (False, Truncation.NONE),
        (True, Truncation.END),
        ("NONE", Truncation.NONE),
        ("END", Truncation.END),
        ("start", Truncation.START),
    ],
)
def test_long_inputs_are_refused_unless_a_cut_is_asked_for(given: Any, expected: Truncation) -> None:
    assert embedding_request(body(truncate=given)).truncation is expected


def test_floats_are_the_default_and_base64_says_the_same() -> None:
    (plain,) = embeddings(body(), RESULT)["data"]
    (packed,) = embeddings(body(encoding_format="base64"), RESULT)["data"]
    assert plain["embedding"] == pytest.approx(VECTOR)
    assert struct.unpack("<4f", base64.b64decode(packed["embedding"])) == pytest.approx(VECTOR)


def test_a_shortened_vector_has_length_1_again() -> None:
    (short,) = embeddings(body(dimensions=2), RESULT)["data"]
    assert short["embedding"] == pytest.approx([1.0, 0.0])
    (same,) = embeddings(body(dimensions=4), RESULT)["data"]
    assert math.hypot(*same["embedding"]) == pytest.approx(1.0)


def test_a_vector_can_not_be_lengthened() -> None:
    with pytest.raises(InvalidRequest, match="4 dimensions") as caught:
        embeddings(body(dimensions=5), RESULT)
    assert caught.value.param == "dimensions"


def test_the_answer_has_openai_s_shape() -> None:
    answer = embeddings(body(), RESULT)
    assert answer["object"] == "list"
    assert answer["model"] == "all-minilm"
    assert answer["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert [(entry["object"], entry["index"]) for entry in answer["data"]] == [("embedding", 0)]


def test_an_embedding_model_can_be_told_how_long_to_stay() -> None:
    assert embedding_request(body(keep_alive="10m")).keep_alive_s == 600.0
    assert embedding_request(body()).keep_alive_s is None
    assert embedding_request(body(context_length=512)).n_ctx == 512
