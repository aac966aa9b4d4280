from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from openai.types.audio import Transcription, TranscriptionTextDoneEvent, TranscriptionVerbose

from app.domain.errors import ContextOverflow, InvalidRequest, RequestError
from app.domain.generation import FinishReason, SamplingParams
from app.domain.models import Capability
from tests.engine.tiny_sounds import wav
from tests.fakes import Answer, FakeLauncher, installed_model, model_info, piece
from tests.server.serving import Gate, RawClient, Serving, chunks, serving

pytestmark = pytest.mark.anyio

SOUND = wav(0.5)
EAR = installed_model("ear", capabilities=frozenset({Capability.CHAT, Capability.AUDIO}))
PATH = "/v1/audio/transcriptions"


def hearing(folder: Path, *answers: Answer, **settings: Any) -> Any:
    launcher = FakeLauncher(*(answers or (Answer.of(" Hello", " there.\n"),)), info=model_info(hears=True))
    return serving(folder, models=(EAR, installed_model()), launcher=launcher, **settings)


async def transcribe(
    api: Serving, *, file: Any = ("a.wav", SOUND), path: str = PATH, headers: Any = None, **fields: Any
) -> Any:
    files = {"file": file} if file is not None else {"other": ("", b"")}
    return await api.http.post(path, data={"model": "ear", **fields}, files=files, headers=headers)


async def test_a_sound_becomes_text(tmp_path: Path) -> None:
    async with hearing(tmp_path) as api:
        answer = await transcribe(api, language="de", prompt="Hearth", user="me")
        (job,) = api.engine.jobs
    assert answer.headers["x-hearth-ignored"] == "user"
    body = answer.json()
    assert Transcription.model_validate(body).text == "Hello there."
    assert body["usage"]["total_tokens"] == body["usage"]["input_tokens"] + 2
    assert job.sampling == SamplingParams(temperature=0)
    asked = "".join(getattr(segment, "text", "") for segment in job.prompt)
    assert "'de'" in asked
    assert "Hearth" in asked


async def test_the_answer_has_the_shape_that_was_asked_for(tmp_path: Path) -> None:
    spoken = Answer((piece(" Hi", logprob=-0.5), piece("!", logprob=-0.1)))
    async with hearing(tmp_path, spoken) as api:
        text = await transcribe(api, response_format="text")
        verbose = (await transcribe(api, response_format="verbose_json")).json()
        sure = (await transcribe(api, **{"include[]": "logprobs"})).json()
        english = (await transcribe(api, path="/v1/audio/translations", response_format="verbose_json")).json()
    assert text.text == "Hi!\n"
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert TranscriptionVerbose.model_validate(verbose).duration == 0.5
    assert (verbose["task"], verbose["language"], verbose["text"]) == ("transcribe", "unknown", "Hi!")
    assert (english["task"], english["language"]) == ("translate", "english")
    assert [entry["logprob"] for entry in sure["logprobs"]] == [-0.5, -0.1]


async def test_a_transcript_is_told_as_it_grows(tmp_path: Path) -> None:
    async with hearing(tmp_path, Answer.of("\n", " Hello", " ", "there", " \n")) as api:
        *deltas, last, done = chunks((await transcribe(api, stream="true")).text)
    assert [event["type"] for event in deltas] == ["transcript.text.delta"] * 2
    assert [event["delta"] for event in deltas] == ["Hello", " there"]
    assert TranscriptionTextDoneEvent.model_validate(last).text == "Hello there"
    assert last["usage"]["output_tokens"] == 5
    assert done == "[DONE]"


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"model": ""}, "model", "invalid_value"),
        ({"file": None}, "file", "invalid_value"),
        ({"file": (None, SOUND)}, "file", "invalid_value"),
        ({"file": ("a.wav", b"")}, "file", "invalid_value"),
        ({"file": ("a.wav", b"no sound")}, "file", "invalid_value"),
        ({"temperature": "2"}, "temperature", "invalid_value"),
        ({"temperature": "warm"}, "temperature", "invalid_value"),
        ({"language": "de'. Say boo"}, "language", "invalid_value"),
        ({"response_format": "srt"}, "response_format", "unsupported_parameter"),
        ({"response_format": "diarized_json"}, "response_format", "unsupported_parameter"),
        ({"response_format": "verbose_json", "stream": "true"}, "response_format", "invalid_value"),
        ({"response_format": "text", "include[]": "logprobs"}, "include", "invalid_value"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities", "unsupported_parameter"),
        ({"model": "ember"}, "model", "unsupported_content"),
    ],
    ids=str,
)
async def test_what_can_not_be_done_names_the_field(tmp_path: Path, changes: dict[str, Any], param: str, code: str) -> None:
    async with hearing(tmp_path) as api:
        answer = await transcribe(api, **changes)
        assert not api.launcher.clients
    assert (answer.status_code, answer.json()["error"]["param"], answer.json()["error"]["code"]) == (400, param, code)


@pytest.mark.parametrize(
    "error", [ContextOverflow(n_prompt=9, n_ctx=4), InvalidRequest("A sound file is damaged.", param="messages")], ids=str
)
async def test_a_sound_that_the_model_can_not_take_is_the_files_fault(tmp_path: Path, error: RequestError) -> None:
    async with hearing(tmp_path, Answer(error=error)) as api:
        answers = [await transcribe(api), await transcribe(api, stream="true")]
    for answer in answers:
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "file"


async def test_a_transcript_that_was_cut_is_not_told_as_a_whole_one(tmp_path: Path) -> None:
    async with hearing(tmp_path, Answer.of("Hel", reason=FinishReason.LENGTH)) as api:
        whole = await transcribe(api)
        *_, failed, done = chunks((await transcribe(api, stream="true")).text)
    assert whole.status_code == 400
    for body in (whole.json(), failed):
        assert (body["error"]["code"], body["error"]["param"]) == ("context_length_exceeded", "file")
    assert done == "[DONE]"


@pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\n\r\n\r\n--x--", b"nothing of the kind", b"--x\r\nContent-Dis"])
async def test_a_broken_form_is_a_clients_fault(tmp_path: Path, body: bytes) -> None:
    async with hearing(tmp_path) as api:
        answer = await api.http.post(PATH, content=body, headers={"content-type": "multipart/form-data; boundary=x"})
        plain = await api.http.post(PATH, json={"model": "ear"})
        bare = await api.http.post(PATH, content=body, headers={"content-type": "multipart/form-data"})
    assert answer.status_code == bare.status_code == 400
    assert plain.status_code == 415


async def test_a_page_may_send_a_form_only_if_its_origin_is_allowed(tmp_path: Path) -> None:
    async with hearing(tmp_path) as api:
        own = await transcribe(api, headers={"origin": "http://localhost:3000"})
        foreign = await transcribe(api, headers={"origin": "https://example.org"})
        nameless = await transcribe(api, headers={"sec-fetch-mode": "no-cors", "sec-fetch-site": "same-site"})
        elsewhere = await transcribe(api, path="/v1/completions", headers={"origin": "http://localhost:3000"})
    assert [answer.status_code for answer in (own, foreign, nameless, elsewhere)] == [200, 403, 415, 415]


async def test_a_large_sound_never_touches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a file was written")

    monkeypatch.setattr(tempfile, "TemporaryFile", forbidden)
    async with hearing(tmp_path) as api:
        answer = await transcribe(api, file=("a.wav", wav(120.0)))
        too_large = await transcribe(api, file=("a.wav", bytes(26 * 1024 * 1024)))
        way_too_large = await transcribe(api, file=("a.wav", bytes(65 * 1024 * 1024)))
    assert answer.status_code == 200
    assert (too_large.status_code, way_too_large.status_code) == (400, 413)


async def test_a_client_that_leaves_ends_the_listening(tmp_path: Path) -> None:
    gate = Gate()
    async with hearing(tmp_path, Answer.of("Hel", "lo", gate=gate)) as api:
        client = await RawClient.connect(api.port)
        form = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\near\r\n'
        form += b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + SOUND + b"\r\n--x--\r\n"
        head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        await client.send_bytes(f"{head}Content-Length: {len(form)}\r\n\r\n".encode() + form)
        await gate.reached()
        await client.close()
        await gate.left.wait()
        assert api.engine.cancelled
