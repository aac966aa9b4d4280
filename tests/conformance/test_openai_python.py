"""The official Python client, unchanged, against Ember: the examples that every local server shows, and what they rely on."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from app.bootstrap import Running
from app.service.activity import RequestRecord
from tests.conformance.conftest import FRIENDS
from tests.minilm import MiniLm


class FriendInfo(BaseModel):
    name: str
    age: int
    is_available: bool


class FriendList(BaseModel):
    friends: list[FriendInfo]


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[OpenAI]:
    # A slash at the end, as many programs have it.
    with OpenAI(base_url=f"{address}/", api_key="any", max_retries=0, _strict_response_validation=True) as client:
        yield client


@pytest.fixture(scope="module")
def lenient(address: str) -> Iterator[OpenAI]:
    """As people use it. The strict one refuses the client's own base64 vectors, and finish_reason null in completion chunks."""
    with OpenAI(base_url=address, api_key="any", max_retries=0) as client:
        yield client


def ask(text: Any) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_a_chat_is_answered(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="ember", messages=ask("Hello"), temperature=0)
    assert answer.object == "chat.completion"
    assert answer.model == "ember"
    (choice,) = answer.choices
    assert choice.finish_reason == "stop"
    assert "Ember" in (choice.message.content or "")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_text_tells_how_likely_it_is_as_harnesses_ask(lenient: OpenAI) -> None:
    answer = lenient.completions.create(
        model="ember", prompt=[[72, 101, 108], [72, 101, 108, 108, 111]], max_tokens=1, echo=True, logprobs=1, temperature=0
    )
    for choice, n_prompt in zip(answer.choices, (3, 5), strict=True):
        assert choice.logprobs is not None
        assert choice.logprobs.token_logprobs is not None
        assert choice.logprobs.top_logprobs is not None
        assert len(choice.logprobs.token_logprobs) == n_prompt + 1
        first, *rest = choice.logprobs.token_logprobs
        assert first is None
        assert all(value <= 0 for value in rest)
        assert all(max(top.values()) <= 0 for top in choice.logprobs.top_logprobs[1:])
    (silent,) = lenient.completions.create(model="ember", prompt="Hello", max_tokens=0, echo=True).choices
    assert (silent.text, silent.finish_reason) == ("Hello", "length")


def test_a_streamed_chat_says_the_same_as_a_whole_one(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="ember", messages=ask("Hello"), temperature=0)
    stream = client.chat.completions.create(
        model="ember", messages=ask("Hello"), temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_the_prefix_of_a_conversation_is_not_read_again(client: OpenAI) -> None:
    messages = ask("Please remember the word harbour, and the word lantern.")
    first = client.chat.completions.create(model="ember", messages=messages, temperature=0)
    messages += [{"role": "assistant", "content": first.choices[0].message.content}, *ask("Hello again")]
    second = client.chat.completions.create(model="ember", messages=messages, temperature=0)
    assert second.usage is not None
    assert second.usage.prompt_tokens_details is not None
    assert (second.usage.prompt_tokens_details.cached_tokens or 0) > 10


def test_a_text_is_continued(client: OpenAI, lenient: OpenAI) -> None:
    answer = client.completions.create(model="ember", prompt="Say this is a test", max_tokens=8, seed=1)
    assert answer.object == "text_completion"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens <= 8
    pieces = lenient.completions.create(model="ember", prompt="Say this is a test", max_tokens=8, seed=1, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == answer.choices[0].text


def test_several_texts_are_continued_in_one_request(client: OpenAI) -> None:
    answer = client.completions.create(model="ember", prompt=["One", "Two"], max_tokens=4, n=2, echo=True)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text[:3] for choice in answer.choices] == ["One", "One", "Two", "Two"]


def test_models_are_listed_and_looked_up(client: OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert listed["ember"].object == "model"
    assert client.models.retrieve("ember").id == "ember"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("org/unknown-GGUF")
    assert caught.value.code == "model_not_found"


def test_texts_become_vectors_as_the_reference_makes_them(lenient: OpenAI, embedder: str, minilm: MiniLm) -> None:
    texts = ["why is the sky blue?", "why is the grass green?"]
    answer = lenient.embeddings.create(model=embedder, input=texts)
    expected = [minilm.embed(minilm.tokens(text)) for text in texts]
    for entry, reference in zip(answer.data, expected, strict=True):
        vector = np.array(entry.embedding)
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-3)
        assert float(vector @ reference) / float(np.linalg.norm(reference)) >= 0.999
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


def test_vectors_are_the_same_packed_or_shortened(lenient: OpenAI, embedder: str) -> None:
    plain = lenient.embeddings.create(model=embedder, input="why is the sky blue?", encoding_format="float").data[0].embedding
    packed = lenient.embeddings.create(model=embedder, input="why is the sky blue?").data[0].embedding
    short = lenient.embeddings.create(model=embedder, input="why is the sky blue?", dimensions=64).data[0].embedding
    assert packed == pytest.approx(plain, abs=1e-6)
    cut = np.array(plain[:64])
    assert short == pytest.approx(cut / np.linalg.norm(cut), abs=1e-5)


def test_texts_and_their_tokens_have_the_same_vectors(lenient: OpenAI, embedder: str, minilm: MiniLm) -> None:
    texts = ["why is the sky blue?", "why is the grass green?"]
    tokens = [minilm.tokens(text) for text in texts]
    by_text = lenient.embeddings.create(model=embedder, input=texts, dimensions=64)
    by_tokens = lenient.embeddings.create(model=embedder, input=tokens, dimensions=64)
    (one,) = lenient.embeddings.create(model=embedder, input=tokens[1], dimensions=64).data
    for text, ids in zip(by_text.data, by_tokens.data, strict=True):
        assert text.embedding == pytest.approx(ids.embedding, abs=1e-3)
    assert one.embedding == pytest.approx(by_tokens.data[1].embedding, abs=1e-3)
    assert by_text.usage == by_tokens.usage


def test_a_long_text_is_refused_unless_it_may_be_cut(lenient: OpenAI, embedder: str) -> None:
    texts = ["short", "word " * 600]
    with pytest.raises(openai.BadRequestError) as caught:
        lenient.embeddings.create(model=embedder, input=texts)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input[1]")
    answer = lenient.embeddings.create(model=embedder, input=texts, extra_body={"truncate": True})
    assert answer.usage.prompt_tokens == 3 + 512


def test_a_chat_model_makes_vectors_and_an_embedding_model_does_not_chat(
    client: OpenAI, lenient: OpenAI, embedder: str
) -> None:
    answer = lenient.embeddings.create(model="ember", input=["Hello", "Good bye"])
    assert [len(entry.embedding) for entry in answer.data] == [len(answer.data[0].embedding)] * 2
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=embedder, messages=ask("Hello"))


@pytest.mark.parametrize("bare", [False, True], ids=["object", "bare string"])
def test_a_picture_is_seen(client: OpenAI, red_circle: str, bare: bool) -> None:
    image = red_circle if bare else {"url": red_circle}
    content = [{"type": "text", "text": "What's in this image?"}, {"type": "image_url", "image_url": image}]
    answer = client.chat.completions.create(model="ember", messages=ask(content), max_tokens=300, temperature=0)
    text = (answer.choices[0].message.content or "").lower()
    assert "red" in text
    assert "circle" in text


@pytest.mark.parametrize("beta", [False, True], ids=["chat", "beta.chat"])
def test_an_answer_is_parsed_into_classes(client: OpenAI, beta: bool) -> None:
    completions = client.beta.chat.completions if beta else client.chat.completions
    answer = completions.parse(temperature=0, model="ember", messages=ask(FRIENDS), response_format=FriendList)
    friends = answer.choices[0].message.parsed
    assert isinstance(friends, FriendList)
    assert friends.friends


def test_a_json_object_is_one(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="ember", messages=ask("Give me a JSON object"), response_format={"type": "json_object"}, max_tokens=200, seed=1
    )
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


def test_the_stream_helper_follows_an_answer_to_its_end(client: OpenAI) -> None:
    with client.chat.completions.stream(model="ember", messages=ask("Hello"), temperature=0) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert text == final.choices[0].message.content != ""


def test_a_forced_tool_is_called_with_arguments_of_its_schema(client: OpenAI) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
    answer = client.chat.completions.create(
        model="ember",
        messages=ask("What is the weather in Paris?"),
        tools=[{"type": "function", "function": {"name": "get_weather", "parameters": schema}}],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        temperature=0,
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city"}
    assert answer.choices[0].finish_reason == "tool_calls"


def test_log_probabilities_are_told_for_every_token(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="ember", messages=ask("Hello"), temperature=0, logprobs=True, top_logprobs=3, max_tokens=5
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert "".join(token.token for token in logprobs.content or []) == answer.choices[0].message.content
    for token in logprobs.content or []:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3


def test_a_seed_repeats_an_answer_and_choices_differ_in_theirs(client: OpenAI) -> None:
    def texts() -> list[str | None]:
        answer = client.chat.completions.create(
            model="ember", messages=ask("Tell me a story"), seed=11, n=3, temperature=1.5, max_tokens=24
        )
        return [choice.message.content for choice in answer.choices]

    first = texts()
    assert first == texts()
    assert len(set(first)) > 1


def test_a_stop_string_ends_the_answer_and_stays_out_of_it(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="ember", messages=ask("Hello"), temperature=0, stop=["Ember"])
    assert answer.choices[0].finish_reason == "stop"
    assert "Ember" not in (answer.choices[0].message.content or "")


def test_a_limit_ends_the_answer_with_length(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="ember", messages=ask("Hello"), temperature=0, max_completion_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


def test_a_prompt_that_does_not_fit_is_an_error_with_both_numbers(client: OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="ember", messages=ask("word " * 5000), stream=stream)
        assert caught.value.code == "context_length_exceeded"
        assert "2048" in caught.value.message


def test_an_unreadable_picture_is_an_error_that_names_it(client: OpenAI) -> None:
    content = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}]
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="ember", messages=ask(content))
    content = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="ember", messages=ask(content))
    assert caught.value.param == "messages[0].content[0].image_url"


def test_errors_arrive_as_the_client_s_own_classes(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="embr", messages=ask("Hello"))
    assert missing.value.code == "model_not_found"
    assert missing.value.request_id
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="ember", messages=ask("Hello"), temperature=3)
    assert (wrong.value.param, wrong.value.type) == ("temperature", "invalid_request_error")


def test_many_clients_are_answered_at_once(client: OpenAI) -> None:
    answers: list[str | None] = []

    def one() -> None:
        answer = client.chat.completions.create(model="ember", messages=ask("Hello"), temperature=0)
        answers.append(answer.choices[0].message.content)

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 12
    assert len(set(answers)) == 1


def endless(client: OpenAI) -> openai.Stream[Any]:
    """An answer that goes on until the context is full: the token that would end it is ruled out."""
    end = client.post("../tokenize", cast_to=object, body={"model": "ember", "content": "<|im_end|>"})
    assert isinstance(end, dict)
    (token,) = end["tokens"]
    return client.chat.completions.create(
        model="ember", messages=ask("Tell me a story"), stream=True, temperature=1.5, logit_bias={str(token): -100}
    )


def next_record(program: Running) -> concurrent.futures.Future[RequestRecord]:
    """The next request that ends from now on."""
    ended: concurrent.futures.Future[RequestRecord] = concurrent.futures.Future()

    async def watch() -> None:
        def note(record: RequestRecord) -> None:
            if record.status is not None:
                forget()
                ended.set_result(record)

        forget = program.services.activity.changed.subscribe(note)

    program.loop.submit(watch()).result()
    return ended


def test_a_client_that_leaves_makes_room(client: OpenAI, program: Running) -> None:
    stream = endless(client)
    next(stream)
    ended = next_record(program)
    stream.close()
    assert ended.result(30).status == 499
    assert program.services.models.state("ember").active_requests == 0


def test_a_model_that_dies_mid_answer_is_an_error_in_the_stream_and_the_next_request_works(
    client: OpenAI, program: Running
) -> None:
    stream = endless(client)
    next(stream)
    pid = program.services.models.state("ember").pid
    assert pid is not None
    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert caught.value.code == "engine_crashed"
    answer = client.chat.completions.create(model="ember", messages=ask("Hello"), temperature=0)
    assert "Ember" in (answer.choices[0].message.content or "")


def test_tokens_are_counted_as_the_model_counts_them(client: OpenAI) -> None:
    tokens = client.post("../tokenize", cast_to=object, body={"model": "ember", "content": "Hello there"})
    assert isinstance(tokens, dict)
    text = client.post("../detokenize", cast_to=object, body={"model": "ember", **tokens})
    assert text == {"content": "Hello there", "prompt": "Hello there"}


def test_what_was_answered_is_on_the_server_page(client: OpenAI, program: Running) -> None:
    ended = next_record(program)
    client.chat.completions.create(model="ember", messages=ask("Hello"), temperature=0)
    record = ended.result(30)
    assert (record.model, record.endpoint, record.status) == ("ember", "/v1/chat/completions", 200)
    assert record.completion_tokens
    assert record.tokens_per_s
