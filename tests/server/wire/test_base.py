"""The fields that chat and completions share, through the chat's body."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.errors import InvalidRequest
from app.domain.generation import ChatRequest, SamplingChoice
from app.server.wire.chat import ChatBody, chat_requests

HELLO = {"model": "ember", "messages": [{"role": "user", "content": "Hello"}]}


def requests(**changes: Any) -> tuple[ChatRequest, ...]:
    return chat_requests(ChatBody.model_validate({**HELLO, **changes}))


def request(**changes: Any) -> ChatRequest:
    (only,) = requests(**changes)
    return only


def test_sampling_comes_through() -> None:
    wanted = request(
        temperature=0, top_p=0.5, top_k=-1, min_p=0.1, repeat_penalty=1.1, frequency_penalty=-2, presence_penalty=2, seed=7,
        logit_bias={"5": -100, "6": 0},
    )  # fmt: skip
    assert wanted.sampling == SamplingChoice(
        temperature=0, top_p=0.5, top_k=0, min_p=0.1, repeat_penalty=1.1, frequency_penalty=-2, presence_penalty=2, seed=7,
        logit_bias=((5, -100),),
    )  # fmt: skip


def test_several_choices_have_seeds_of_their_own() -> None:
    assert [one.sampling.seed for one in requests(n=3, seed=7)] == [7, 8, 9]
    assert [one.sampling.seed for one in requests(n=3)] == [None] * 3


@pytest.mark.parametrize("seed", [-1, 2**32, -(2**63), 2**63 - 1])
def test_any_64_bit_seed_is_one_the_engine_can_take(seed: int) -> None:
    assert 0 <= (request(seed=seed).sampling.seed or 0) < 2**32 - 1


@pytest.mark.parametrize(
    ("stop", "expected"), [("\n", ("\n",)), (["a", "b"], ("a", "b")), ("", ()), (["", "a"], ("a",)), ([], ())]
)
def test_stop_is_a_string_or_several(stop: Any, expected: tuple[str, ...]) -> None:
    assert request(stop=stop).stop == expected


def test_a_token_that_is_no_id_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        requests(logit_bias={"hello": 5})
    assert caught.value.param == "logit_bias"
