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


def test_what_is_left_out_takes_our_defaults() -> None:
    plain = request()
    assert plain.sampling == SamplingChoice()
    assert (plain.max_tokens, plain.stop, plain.tools, plain.top_logprobs) == (None, (), (), None)
    assert plain.parallel_tool_calls


def test_null_is_the_same_as_left_out() -> None:
    nulls = dict.fromkeys(set(ChatBody.model_fields) - {"model", "messages"})
    assert request(**nulls) == request()


def test_both_names_of_the_token_limit_hold() -> None:
    assert request(max_tokens=5).max_tokens == 5
    assert request(max_completion_tokens=6).max_tokens == 6
    assert request(max_tokens=9, max_completion_tokens=6).max_tokens == 6
    assert request(max_tokens=-1).max_tokens is None
    with pytest.raises(InvalidRequest) as caught:
        request(max_tokens=5, max_completion_tokens=0)
    assert caught.value.param == "max_completion_tokens"


def test_log_probabilities_are_asked_for_with_or_without_alternatives() -> None:
    assert request(logprobs=True).top_logprobs == 0
    assert request(logprobs=True, top_logprobs=3).top_logprobs == 3
    assert request(logprobs=False, top_logprobs=0).top_logprobs is None
    with pytest.raises(InvalidRequest):
        requests(top_logprobs=3)


def test_arguments_of_the_template_come_through() -> None:
    args = {"enable_thinking": False, "x": [1]}
    assert request(chat_template_kwargs=args).template_args == args


@pytest.mark.parametrize(
    ("fields", "continues"),
    [
        ({}, True),
        ({"continue_final_message": True, "add_generation_prompt": False}, True),
        ({"add_generation_prompt": True}, False),
        ({"continue_final_message": False}, False),
    ],
)
def test_an_answer_that_was_begun_is_gone_on_with_unless_asked_otherwise(fields: dict[str, bool], continues: bool) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Oh"}]
    assert request(messages=messages, **fields).continues is continues


def test_going_on_and_answering_exclude_one_another() -> None:
    with pytest.raises(InvalidRequest) as caught:
        requests(add_generation_prompt=True, continue_final_message=True)
    assert caught.value.param == "continue_final_message"


def test_only_an_answer_can_be_gone_on_with() -> None:
    with pytest.raises(InvalidRequest) as caught:
        requests(continue_final_message=True)
    assert caught.value.param == "continue_final_message"


def test_the_template_s_own_inputs_can_not_be_replaced() -> None:
    with pytest.raises(InvalidRequest) as caught:
        requests(chat_template_kwargs={"messages": []})
    assert caught.value.param == "chat_template_kwargs.messages"
