"""The official client's transcriptions, with a tiny random model that hears: what it writes means nothing, the way is real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from openai.types.audio import TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

from app.bootstrap import Running
from tests.engine.tiny_models import write_qwen2vl
from tests.engine.tiny_projectors import write_omni_projector
from tests.engine.tiny_sounds import flac, mp3, wav

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ear(program: Running, ember_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("ear")
    model, projector = (
        write_qwen2vl(folder / "ear.gguf", ember_path, brief=True),
        write_omni_projector(folder / "mmproj-ear.gguf"),
    )
    add = program.services.library.add
    return program.loop.submit(add(model, projector)).result().id


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=address, api_key="any", max_retries=0, _strict_response_validation=True) as client:
        yield client


@pytest.mark.parametrize("sound", [wav(1.0), mp3(1.0), flac(1.0)], ids=["wav", "mp3", "flac"])
def test_a_sound_is_transcribed(client: OpenAI, ear: str, sound: bytes) -> None:
    said = client.audio.transcriptions.create(model=ear, file=("speech", sound), language="en", include=["logprobs"])
    assert said.usage is not None
    assert said.usage.type == "tokens"
    assert said.usage.input_tokens > 25
    assert len(said.logprobs or ()) > 0


def test_a_transcript_is_streamed(client: OpenAI, ear: str) -> None:
    *deltas, done = client.audio.transcriptions.create(model=ear, file=("a.wav", wav(1.0)), stream=True)
    assert all(isinstance(event, TranscriptionTextDeltaEvent) for event in deltas)
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert "".join(event.delta for event in deltas if isinstance(event, TranscriptionTextDeltaEvent)) == done.text


def test_the_other_shapes(client: OpenAI, ear: str) -> None:
    verbose = client.audio.transcriptions.create(model=ear, file=("a.wav", wav(1.0)), response_format="verbose_json")
    assert verbose.duration == 1.0
    with pytest.deprecated_call():
        text = client.audio.translations.create(model=ear, file=("a.wav", wav(1.0)), response_format="text")
    assert isinstance(text, str)


def test_a_deaf_model_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(model="ember", file=("a.wav", wav(1.0)))
    assert (caught.value.code, caught.value.param) == ("unsupported_content", "model")
