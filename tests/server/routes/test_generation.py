from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.domain.errors import EngineBusy
from app.domain.generation import FinishReason
from app.domain.messages import ImagePart
from app.domain.prompt import Constraint, ControlText, Picture, TokenIds
from app.service.pictures import PictureFetcher
from tests.fakes import Answer, piece
from tests.server.serving import HELLO, serving

pytestmark = pytest.mark.anyio


async def test_a_conversation_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("Hel", "lo", cached_tokens=3, reason=FinishReason.LENGTH)) as api:
        body = (await api.chat()).json()
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    assert body["choices"][0]["message"]["content"] == "Hello"
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 3


async def test_what_was_asked_reaches_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.chat(max_completion_tokens=5, stop="\n", seed=3, logprobs=True, response_format={"type": "json_object"})
        (job,) = api.engine.jobs
    assert (job.max_tokens, job.stop, job.sampling.seed, job.top_logprobs) == (5, ("\n",), 3, 0)
    assert isinstance(job.constraint, Constraint)


async def test_a_picture_reaches_the_engine_as_it_was(tmp_path: Path) -> None:
    url = f"data:image/png;base64,{base64.b64encode(b'picture').decode()}"
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    async with serving(tmp_path) as api:
        answer = await api.chat(messages=[{"role": "user", "content": content}])
        assert Picture(ImagePart(b"picture").data) in api.engine.jobs[0].prompt
    assert answer.status_code == 200


async def test_several_choices_are_answered_together(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("a"), Answer.of("b"), Answer.of("c")) as api:
        body = (await api.chat(n=3)).json()
    assert sorted(choice["message"]["content"] for choice in body["choices"]) == ["a", "b", "c"]
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert body["usage"]["prompt_tokens"] == len("<user>Hello<assistant>")
    assert body["usage"]["completion_tokens"] == 3


async def test_several_choices_are_streamed_side_by_side(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("a", "b")) as api:
        *parts, _ = await api.stream(n=2)
    texts = {0: "", 1: ""}
    ends: list[int] = []
    for part in parts:
        (choice,) = part["choices"]
        texts[choice["index"]] += choice["delta"].get("content", "")
        if choice["finish_reason"]:
            ends.append(choice["index"])
    assert texts == {0: "ab", 1: "ab"}
    assert sorted(ends) == [0, 1]


async def test_a_tool_call_is_answered_whole_and_in_pieces(tmp_path: Path) -> None:
    calls = Answer((piece("<call>", control=True), piece('add {"x": 1}')))
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
    async with serving(tmp_path, calls) as api:
        (choice,) = (await api.chat(tools=tools)).json()["choices"]
        *parts, _ = await api.stream(tools=tools)
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"x": 1}'}
    deltas = [call for part in parts for call in part["choices"][0]["delta"].get("tool_calls", [])]
    assert deltas[0]["function"]["name"] == "add"
    assert "".join(delta["function"]["arguments"] for delta in deltas) == '{"x": 1}'
    assert parts[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_reasoning_is_told_apart(tmp_path: Path) -> None:
    thinks = Answer((piece("<think>", control=True), piece("Hm."), piece("</think>", control=True), piece("42")))
    async with serving(tmp_path, thinks) as api:
        body = (await api.chat()).json()
    assert body["choices"][0]["message"]["reasoning_content"] == "Hm."
    assert body["choices"][0]["message"]["content"] == "42"
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 1


async def test_log_probabilities_are_told(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer((piece("Hi", logprob=-0.25),))) as api:
        body = (await api.chat(logprobs=True)).json()
        *parts, _ = await api.stream(logprobs=True)
    assert body["choices"][0]["logprobs"]["content"][0]["logprob"] == -0.25
    assert parts[1]["choices"][0]["logprobs"]["content"][0]["token"] == "Hi"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_full_queue_is_a_429_with_a_time(tmp_path: Path, stream: bool) -> None:
    async with serving(tmp_path, Answer(error=EngineBusy(retry_after_s=3))) as api:
        answer = await api.chat(stream=stream)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")


@pytest.mark.parametrize("stream", [True, False])
async def test_an_unknown_model_is_a_404_that_offers_near_names(tmp_path: Path, stream: bool) -> None:
    async with serving(tmp_path) as api:
        answer = await api.chat(model="embre", stream=stream)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert "ember" in answer.json()["error"]["message"]


async def test_an_embedding_model_does_not_chat(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.chat(model="all-minilm")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "model"


@pytest.mark.parametrize(("prompt", "segment"), [("Once", ControlText("Once")), ([72, 105], TokenIds((72, 105)))])
async def test_a_text_is_continued(tmp_path: Path, prompt: Any, segment: object) -> None:
    async with serving(tmp_path, Answer.of(" upon")) as api:
        body = (await api.http.post("/v1/completions", json={"model": "ember", "prompt": prompt})).json()
        assert api.engine.jobs[0].prompt == (segment,)
    assert (body["object"], body["choices"][0]["text"]) == ("text_completion", " upon")
    assert body["id"].startswith("cmpl-")


async def test_an_echo_puts_the_prompt_in_front_also_of_token_ids(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("!")) as api:
        request = {"model": "ember", "prompt": [[72, 105], [72, 111]], "echo": True}
        body = (await api.http.post("/v1/completions", json=request)).json()
        *parts, _ = await api.stream("/v1/completions", prompt="Hi", messages=None, echo=True)
    assert [choice["text"] for choice in body["choices"]] == ["Hi!", "Ho!"]
    assert "".join(part["choices"][0]["text"] for part in parts) == "Hi!"


async def test_an_echo_of_token_ids_asks_no_more_of_the_model_than_its_answer(tmp_path: Path) -> None:
    request = {"prompt": [72, 105], "echo": True}
    async with serving(tmp_path) as api:
        embedding = await api.http.post("/v1/completions", json={**request, "model": "all-minilm"})
        assert api.launcher.clients == []
        answer = await api.http.post("/v1/completions", json={**request, "model": "ember", "num_ctx": 2048, "keep_alive": 0})
        assert len(api.launcher.clients) == 1
    assert (embedding.status_code, embedding.json()["error"]["param"]) == (400, "model")
    assert answer.status_code == 200


async def test_a_suffix_needs_a_model_that_was_trained_for_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/completions", json={"model": "ember", "prompt": "a", "suffix": "b"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "suffix"


async def test_a_hundred_requests_at_once_are_all_answered(tmp_path: Path) -> None:
    import asyncio

    async with serving(tmp_path) as api:
        answers = await asyncio.gather(*(api.http.post("/v1/chat/completions", json=HELLO) for _ in range(100)))
        assert api.engine.running == set()
    assert {answer.status_code for answer in answers} == {200}


async def test_a_picture_on_the_web_is_refused_unless_that_is_switched_on(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("A cat")) as api:
        answer = await api.chat(messages=[_ASKING])
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "messages[0].content[0].image_url"
        assert "fetch_images" in answer.json()["error"]["message"]
        assert api.launcher.clients == []


async def test_the_choices_of_a_request_share_a_picture_that_is_fetched(tmp_path: Path) -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, stream=httpx2.ByteStream(b"\x89PNG\r\n\x1a\n and the rest"))

    async def resolve(host: str, port: int) -> tuple[str, ...]:
        return ("93.184.216.34",)

    pictures = PictureFetcher(lambda: True, resolve=resolve, transport=lambda: httpx2.MockTransport(answer))
    async with serving(tmp_path, Answer.of("A cat"), pictures=pictures) as api:
        for n in (1, 3):
            assert (await api.chat(messages=[_ASKING], n=n)).status_code == 200
            assert len(asked) == 1
            asked.clear()
        shown = [segment for job in api.engine.jobs for segment in job.prompt if isinstance(segment, Picture)]
        assert shown == [Picture(b"\x89PNG\r\n\x1a\n and the rest")] * 4


_ASKING = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://pictures.example/cat.png"}}]}
