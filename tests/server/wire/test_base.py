"""The fields that chat and completions share, through the chat's body."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.domain.errors import InvalidRequest
from app.domain.generation import ChatRequest, SamplerStep, SamplingChoice
from app.server.wire.base import undeclared
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


def test_every_sampler_of_llama_cpp_can_be_asked_for_by_the_name_its_server_gives_it() -> None:
    asked: dict[str, Any] = {
        "typical_p": 0.9, "top_n_sigma": 1.5, "xtc_probability": 0.5, "xtc_threshold": 0.2, "mirostat": 2, "mirostat_tau": 4.0,
        "mirostat_eta": 0.2, "adaptive_target": 0.4, "adaptive_decay": 0.8, "dry_multiplier": 0.8, "dry_base": 2.0,
        "dry_allowed_length": 3, "dry_penalty_last_n": -1, "dynatemp_range": 0.5, "dynatemp_exponent": 1.5,
        "repeat_last_n": 128, "min_tokens": 5, "ignore_eos": True,
    }  # fmt: skip
    assert request(**asked).sampling == SamplingChoice(**asked)
    assert request(dry_sequence_breakers=["\n", "x"]).sampling.dry_sequence_breakers == ("\n", "x")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["top_k", "typical_p", "temperature"], ("top_k", "typ_p", "temperature")),
        (["top-k", "min-p", "temp", "adaptive_p"], ("top_k", "min_p", "temperature")),
        ("edskypmxt", tuple(SamplerStep)),
        ([], ()),
    ],
)
def test_the_order_of_steps_is_written_as_for_llama_server(given: Any, expected: tuple[str, ...]) -> None:
    assert request(samplers=given).sampling.samplers == expected


def test_an_unknown_step_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="'infill'") as caught:
        request(samplers=["infill"])
    assert caught.value.param == "samplers"


@pytest.mark.parametrize(
    "field",
    [
        {"typical_p": 1.5}, {"xtc_probability": -0.1}, {"mirostat": 3}, {"mirostat_eta": 2}, {"dry_base": 0.5},
        {"dry_allowed_length": -1}, {"dry_sequence_breakers": [""]}, {"dynatemp_range": -1}, {"repeat_last_n": -2},
        {"min_tokens": -1}, {"adaptive_decay": 1},
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        request(**field)
    assert caught.value.errors()[0]["loc"][0] == next(iter(field))


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


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, None),
        ({"keep_alive": "5m"}, 300.0),
        ({"keep_alive": 90}, 90.0),
        ({"keep_alive": 0}, 0.0),
        ({"keep_alive": -1}, -1.0),
        ({"ttl": 60}, 60.0),
        ({"ttl": 60, "keep_alive": "1h"}, 3600.0),
    ],
)
def test_a_request_can_say_how_long_its_model_stays(given: dict[str, Any], seconds: float | None) -> None:
    assert request(**given).keep_alive_s == seconds


@pytest.mark.parametrize(
    ("given", "n_ctx"),
    [
        ({}, None),
        ({"context_length": 8192}, 8192),
        ({"num_ctx": 4096}, 4096),
        ({"options": {"num_ctx": 2048}}, 2048),
        ({"options": {}}, None),
        ({"context_length": 8192, "num_ctx": 4096, "options": {"num_ctx": 2048}}, 8192),
    ],
)
def test_how_much_context_the_model_must_have_can_be_said_as_to_other_local_servers(
    given: dict[str, Any], n_ctx: int | None
) -> None:
    assert request(**given).n_ctx == n_ctx


def test_other_options_are_told_of_as_ignored() -> None:
    body = ChatBody.model_validate({**HELLO, "options": {"num_ctx": 2048, "temperature": 0.5}, "user": "me"})
    assert undeclared(body) == {"options.temperature": 0.5, "user": "me"}


@pytest.mark.parametrize("given", [{"context_length": 0}, {"num_ctx": -1}, {"num_ctx": "8k"}, {"options": {"num_ctx": 0.5}}])
def test_a_context_that_is_no_number_of_tokens_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        request(**given)


def test_a_keep_alive_that_is_no_duration_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no duration") as caught:
        request(keep_alive="soon")
    assert caught.value.param == "keep_alive"


def test_a_cache_key_is_for_the_first_of_several_answers() -> None:
    body = ChatBody.model_validate({**HELLO, "prompt_cache_key": "k", "temperature": 1.0})
    assert (body.cache_key(0), body.cache_key(1)) == ("api k", None)
    assert body.sampling(0).temperature == 1.0


def test_the_penalty_for_repetition_has_two_names() -> None:
    assert request(repetition_penalty=1.2).sampling.repeat_penalty == 1.2
    with pytest.raises(InvalidRequest) as caught:
        request(repeat_penalty=1.1, repetition_penalty=1.2)
    assert caught.value.param == "repetition_penalty"
