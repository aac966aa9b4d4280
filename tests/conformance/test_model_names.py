"""Models by the names that programs have for them, and with the context that they need: the official client, on Ember."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from app.bootstrap import Running, running
from app.options import Options

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A program whose models are loaded with little context."""
    options = Options(profile=tmp_path_factory.mktemp("names"), overrides={"port": 0, "n_ctx": 512})
    with running(options) as program:
        program.loop.submit(program.services.server.start()).result()
        yield program


@pytest.fixture
def client(small: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=small.services.server.state.address, api_key="none", max_retries=0) as client:
        yield client


def update(program: Running, **changes: Any) -> None:
    async def run() -> None:
        program.services.settings.update(**changes)

    program.loop.submit(run()).result()


def contexts(client: OpenAI) -> tuple[Any, ...]:
    told: Any = client.models.retrieve("ember")
    return (told.context_length, told.max_context_length, told.max_model_len, told.meta["n_ctx"])


def test_a_request_for_more_context_gets_it_and_the_list_says_so(client: OpenAI) -> None:
    assert client.chat.completions.create(model="ember", messages=HELLO).choices[0].message.content
    assert contexts(client) == (512, 2048, 512, 512)

    longer = " ".join(["word"] * 700)
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="ember", prompt=longer, max_tokens=4)
    assert caught.value.code == "context_length_exceeded"
    extra = {"context_length": 1024}
    stream = client.completions.create(model="ember", prompt=longer, max_tokens=4, stream=True, extra_body=extra)
    assert [chunk.choices[0].finish_reason for chunk in stream][-1] is not None
    assert contexts(client) == (1024, 2048, 1024, 1024)

    client.embeddings.create(model="ember", input="Hello", extra_body={"options": {"num_ctx": 600}})
    assert contexts(client) == (1024, 2048, 1024, 1024)
    with pytest.raises(openai.BadRequestError, match=r"4096.*2048"):
        client.chat.completions.create(model="ember", messages=HELLO, extra_body={"num_ctx": 4096})


def test_what_a_model_can_do_is_told_before_it_is_ever_loaded(client: OpenAI, small: Running) -> None:
    small.loop.submit(small.services.models.unload("ember")).result()
    told: Any = client.models.list().data[0]
    assert (told.id, told.state, told.created > 0, told.owned_by) == ("ember", "unloaded", True, "hearth")
    assert told.capabilities == ["chat", "completion", "reasoning", "tools", "vision"]


def test_a_name_that_a_person_gave_is_answered_and_one_that_nobody_has_is_not(client: OpenAI, small: Running) -> None:
    with pytest.raises(openai.NotFoundError, match=r"hearth pull llama3\.2") as caught:
        client.chat.completions.create(model="llama3.2", messages=HELLO)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")

    update(small, aliases={"llama3.2": "ember"})
    raw = client.chat.completions.with_raw_response.create(model="llama3.2:latest", messages=HELLO)
    assert (raw.headers["x-hearth-model"], raw.parse().model) == ("ember", "llama3.2:latest")
    assert client.models.retrieve("llama3.2").id == "ember"

    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")
    update(small, fallback_model="ember")
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
    assert (raw.headers["x-hearth-model"], raw.parse().model) == ("ember", "gpt-4o")


def test_a_file_of_a_well_known_model_answers_to_its_short_name(client: OpenAI, small: Running, ember_path: Path) -> None:
    paths = small.services.paths
    file = paths.models / "bartowski" / "Llama-3.2-1B-Instruct-GGUF" / "Llama-3.2-1B-Instruct-Q4_K_M.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(ember_path.read_bytes())
    for name in (
        "llama3.2:1b",
        "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:F16",
        "meta-llama/Llama-3.2-1B-Instruct",
        "bartowski/Llama-3.2-1B-Instruct-GGUF",
    ):
        assert client.models.retrieve(name).id == "Llama-3.2-1B-Instruct-Q4_K_M", name
