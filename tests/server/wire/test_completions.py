from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types import Completion

from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.generation import CompletionRequest, Echo, Finished, FinishReason, TextDelta, Timings, TokenLogprob, Usage
from app.server.answers import Answer, Tally
from app.server.wire.completions import CompletionBody, CompletionFrames, completion, completion_requests
from app.server.wire.reply import ReplyHead

HEAD = ReplyHead.of("cmpl-", "ember", "fp_x")
END = Finished(FinishReason.LENGTH, Usage(3, 2), Timings(0.0, 0.1, 0.2))


def body(**changes: Any) -> CompletionBody:
    return CompletionBody.model_validate({"model": "ember", "prompt": "Once", **changes})


def requests(**changes: Any) -> tuple[CompletionRequest, ...]:
    return completion_requests(body(**changes))


def token(text: str, logprob: float = -0.5, *top: TokenLogprob) -> TokenLogprob:
    return TokenLogprob(1, text, text.encode(), logprob, top)


def answer(text: str, *tokens: TokenLogprob) -> Answer:
    gathered = Answer()
    gathered.add(TextDelta(text, tokens))
    gathered.add(END)
    return gathered


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Once", ["Once"]),
        (["Once", "Twice"], ["Once", "Twice"]),
        ([1, 2, 3], [(1, 2, 3)]),
        ([[1, 2], [3]], [(1, 2), (3,)]),
        ("", [""]),
        ([[]], [()]),
    ],
)
def test_a_prompt_is_written_in_four_ways(prompt: Any, expected: list[Any]) -> None:
    assert [request.prompt for request in requests(prompt=prompt)] == expected


@pytest.mark.parametrize("prompt", [None, 5, [], [1, "a"], [[1], "a"], [-1], [[1.5]], {}])
def test_any_other_prompt_is_refused(prompt: Any) -> None:
    with pytest.raises(ValueError, match="prompt"):
        body(prompt=prompt)


def test_every_prompt_gets_its_own_answers() -> None:
    got = [(request.prompt, request.sampling.seed) for request in requests(prompt=["a", "b"], n=2, seed=5)]
    assert got == [("a", 5), ("a", 6), ("b", 5), ("b", 6)]


def test_the_default_length_is_openai_s() -> None:
    assert requests()[0].max_tokens == 16
    assert requests(max_tokens=-1)[0].max_tokens is None


def test_too_many_answers_are_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        requests(prompt=["a"] * 65, n=2)
    assert caught.value.param == "prompt"


@pytest.mark.parametrize(
    ("changes", "kind", "param"),
    [
        ({"n": 3, "best_of": 2}, InvalidRequest, "best_of"),
        ({"best_of": 2, "stream": True}, InvalidRequest, "best_of"),
        ({"echo": True, "logprobs": 0, "best_of": 2}, UnsupportedParameter, "best_of"),
        ({"echo": True, "suffix": "x"}, InvalidRequest, "echo"),
    ],
)
def test_what_can_not_be_done_together_is_refused(changes: dict[str, Any], kind: type[InvalidRequest], param: str) -> None:
    with pytest.raises(kind) as caught:
        requests(**changes)
    assert caught.value.param == param


def test_the_best_answers_of_each_prompt_are_sent() -> None:
    wanted = body(prompt=["a", "b"], n=1, best_of=2)
    answers = [
        *(answer("worse", token("worse", -2.0)), answer("better", token("better", -1.0))),
        *(answer("good", token("good", -0.1)), answer("bad", token("bad", -9.0))),
    ]
    assert all(request.top_logprobs == 0 for request in completion_requests(wanted))
    sent = completion(HEAD, wanted, answers, Tally())
    assert [(choice["index"], choice["text"], choice["logprobs"]) for choice in sent["choices"]] == [
        (0, "better", None),
        (1, "good", None),
    ]


def test_log_probabilities_keep_their_old_shape() -> None:
    given = answer("ab", token("a", -0.1, token("a", -0.1), token("x", -3.0)), token("b", float("-inf"), token("y", -0.2)))
    sent = completion(HEAD, body(logprobs=2), [given], Tally())
    Completion.model_validate(sent)
    assert sent["choices"][0]["logprobs"] == {
        "tokens": ["a", "b"],
        "token_logprobs": [-0.1, -9999.0],
        "top_logprobs": [{"a": -0.1, "x": -3.0}, {"y": -0.2, "b": -9999.0}],
        "text_offset": [0, 1],
    }


def test_a_stream_counts_its_offsets_on() -> None:
    frames = CompletionFrames(HEAD, body(logprobs=0), choices=2)
    frames.event(1, TextDelta("abc", (token("abc"),)))
    choice = json.loads(frames.event(1, TextDelta("d", (token("d"),))).decode().removeprefix("data: "))["choices"][0]
    assert choice["logprobs"]["text_offset"] == [3]
    last = json.loads(frames.event(1, END).decode().removeprefix("data: "))
    Completion.model_validate(last | {"choices": [last["choices"][0]]})
    assert last["choices"][0] == {"text": "", "index": 1, "logprobs": None, "finish_reason": "length"}


def test_a_prompt_with_probabilities_is_told_by_the_engine() -> None:
    (request,) = requests(echo=True, logprobs=1, max_tokens=0)
    assert (request.echo, request.max_tokens, request.top_logprobs) == (Echo.TOKENS, 0, 1)
    assert [request.echo for request in (*requests(echo=True, best_of=2), *requests())] == [Echo.TEXT, Echo.TEXT, Echo.NONE]
    first = TokenLogprob(1, "a", b"a", float("nan"))
    (choice,) = completion(HEAD, body(echo=True, logprobs=1), [answer("ab", first, token("b"))], Tally())["choices"]
    assert choice["text"] == "ab"
    assert choice["logprobs"] == {
        "tokens": ["a", "b"],
        "token_logprobs": [None, -0.5],
        "top_logprobs": [None, {"b": -0.5}],
        "text_offset": [0, 1],
    }


def test_a_completion_can_say_how_long_its_model_stays() -> None:
    assert requests(keep_alive="10m")[0].keep_alive_s == 600.0
    assert requests()[0].keep_alive_s is None
    assert requests(num_ctx=512)[0].n_ctx == 512
