"""Other programs, while the window is open."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.e2e.conftest import Hearth

# Ember's end-of-turn token: without it an answer goes on to `max_tokens`.
END_OF_TURN = "2037"


def chat(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "ember", "temperature": 0, "messages": [{"role": "user", "content": question}], **more}


@contextmanager
def endless_answer(hearth: Hearth) -> Iterator[http.client.HTTPResponse]:
    """A stream that has begun and would fill the context; leaving closes the connection."""
    body = chat("Tell me a story", stream=True, max_tokens=1900, logit_bias={END_OF_TURN: -100})
    with closing(http.client.HTTPConnection(urlsplit(hearth.address).netloc, timeout=30)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        with connection.getresponse() as response:
            assert response.status == 200
            assert response.readline().startswith(b"data: ")
            yield response


def test_the_window_and_another_program_share_one_worker(hearth: Hearth) -> None:
    hearth.ask("Hello")
    status, answer = hearth.post("/chat/completions", **chat("Hello"))
    assert status == 200
    assert "Ember" in answer["choices"][0]["message"]["content"]
    # The window has computed this very prompt already.
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] > 0
    assert len(hearth.program.services.models.loaded) == 1


def test_a_picture_over_http(hearth: Hearth, red_circle: bytes) -> None:
    address = "data:image/png;base64," + base64.b64encode(red_circle).decode()
    content = [{"type": "text", "text": "What is in this picture?"}, {"type": "image_url", "image_url": {"url": address}}]
    status, answer = hearth.post(
        "/chat/completions", model="ember", temperature=0, messages=[{"role": "user", "content": content}]
    )
    assert status == 200
    assert "red circle" in answer["choices"][0]["message"]["content"]


def test_two_pictures_in_one_message_and_a_follow_up_that_computes_neither_again(hearth: Hearth, red_circle: bytes) -> None:
    star = (Path(__file__).parents[2] / "resources" / "examples" / "yellow-star.png").read_bytes()
    addresses = ["data:image/png;base64," + base64.b64encode(data).decode() for data in (red_circle, star)]
    pictures = [{"type": "image_url", "image_url": {"url": address}} for address in addresses]
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": [*pictures, {"type": "text", "text": "What is in the first picture?"}]}
    ]
    _, first = hearth.post("/chat/completions", model="ember", temperature=0, messages=turns)
    assert "red circle" in first["choices"][0]["message"]["content"]
    assert first["usage"]["prompt_tokens"] > 2 * 49
    turns += [first["choices"][0]["message"], {"role": "user", "content": "And which colour?"}]
    status, follow = hearth.post("/chat/completions", model="ember", temperature=0, messages=turns)
    assert status == 200
    assert follow["usage"]["prompt_tokens_details"]["cached_tokens"] >= first["usage"]["prompt_tokens"]


def test_a_sound_for_a_model_that_can_not_hear_is_a_clear_error(hearth: Hearth) -> None:
    part = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    status, answer = hearth.post("/chat/completions", model="ember", messages=[{"role": "user", "content": [part]}])
    assert status == 400
    assert "can't hear" in answer["error"]["message"]
    assert answer["error"]["code"] == "unsupported_content"


def test_a_killed_worker_is_an_error_in_the_stream_and_the_next_request_works(hearth: Hearth) -> None:
    with endless_answer(hearth) as response:
        os.kill(hearth.worker, signal.SIGKILL)
        frames = [line.removeprefix("data: ") for line in response.read().decode().splitlines() if line]
    assert frames[-1] == "[DONE]"
    assert json.loads(frames[-2])["error"]["message"]
    assert hearth.post("/chat/completions", **chat("Hello"))[0] == 200


def test_a_client_that_leaves_ends_its_answer(hearth: Hearth) -> None:
    hearth.ask("Hello")
    with endless_answer(hearth):
        assert hearth.active_requests == 1
    hearth.qtbot.waitUntil(lambda: hearth.active_requests == 0, timeout=5000)


def test_requests_appear_on_the_server_page(hearth: Hearth) -> None:
    hearth.post("/chat/completions", **chat("Hello"))
    activity = hearth.program.services.activity
    # A request is over a moment after its client has the answer.
    hearth.qtbot.waitUntil(lambda: [record.status for record in activity.records] == [200])
    (record,) = activity.records
    assert record.model == "ember"
    assert record.completion_tokens
    assert record.tokens_per_s


def test_bad_input_is_a_clear_error_and_everything_goes_on(hearth: Hearth) -> None:
    worker_before = (hearth.ask("Hello"), hearth.worker)[1]
    picture = "data:image/png;base64," + base64.b64encode(b"no picture at all").decode()
    content = [{"type": "image_url", "image_url": {"url": picture}}]
    wrong: list[tuple[dict[str, Any], int, str]] = [
        (chat("Hello", model="embr"), 404, "ember"),
        (chat("word " * 5000), 400, "2048"),
        (chat("Hello", temperature="hot"), 400, "temperature"),
        (chat("Hello", max_tokens=-5), 400, "max_tokens"),
        ({"model": "ember"}, 400, "messages"),
        ({"model": "ember", "messages": [{"role": "user", "content": content}]}, 400, "picture"),
        (
            chat("Hello", response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 5}}}),
            400,
            "schema",
        ),
    ]
    for body, status, said in wrong:
        got, answer = hearth.post("/chat/completions", **body)
        assert got == status, (body, answer)
        assert said in answer["error"]["message"] or said in (answer["error"]["param"] or ""), answer
        assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert hearth.post("/chat/completions", **chat("Hello"))[0] == 200
    assert hearth.worker == worker_before
