from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fastapi.openapi.utils import get_openapi

from app.server.app import create_app
from app.server.endpoints import ENDPOINTS
from app.server.guard import AccessPolicy
from app.server.openapi import openapi_document
from app.server.response_runs import ResponseRuns
from app.service.activity import Activity
from app.service.api_keys import ApiKeys
from app.service.chat import ChatService
from app.service.embeddings import EmbeddingService
from app.service.models import ModelManager
from app.service.refusals import Refusals
from app.settings import SettingsStore
from tests.fakes import Answer, FakeLauncher, FakeLibrary, installed_model, model_info, piece
from tests.server.routes.test_audio import EAR, SOUND
from tests.server.serving import HELLO, chunks, embedder, ranker, serving

pytestmark = pytest.mark.anyio

DOCUMENT = openapi_document("1.2.3")
HEADS = {("head", path) for path in ("/", "/v1", "/v1/", "/health")}


def schema_of(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


def operations(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method, path) for path, methods in document["paths"].items() for method in methods} - HEADS


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID:UserWarning")
def test_every_route_is_described_and_no_other(tmp_path: Path) -> None:
    library, store = FakeLibrary(), SettingsStore(tmp_path / "settings.json")
    models = ModelManager(library, FakeLauncher(), store)
    app = create_app(
        chat=ChatService(models),
        embeddings=EmbeddingService(models),
        models=models,
        library=library,
        activity=Activity(),
        runs=ResponseRuns(),
        policy=AccessPolicy,
        keys=ApiKeys(tmp_path / "api-keys"),
        refusals=Refusals(),
    )
    assert operations(DOCUMENT) == operations(get_openapi(title="", version="", routes=app.routes))


async def test_the_api_describes_itself_completely(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.get("/openapi.json")
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    for reference in {part.split('"')[0] for part in answer.text.split('"$ref":"')[1:]}:
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    assert "http:" not in answer.text
    assert "https:" not in answer.text.replace("https: ", "")


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for operations in DOCUMENT["paths"].values() for operation in operations.values()]
    assert len(names) == len(set(names))


def test_no_schema_is_defined_twice_under_two_names() -> None:
    assert not [name for name in DOCUMENT["components"]["schemas"] if name.endswith(("-Input", "-Output")) or "__" in name]


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if one.example], ids=lambda one: one.path)
async def test_every_example_works_and_its_answer_is_as_described(tmp_path: Path, endpoint: Any) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post(endpoint.path, json=dict(endpoint.example))
    assert answer.status_code == 200, answer.text
    operation = DOCUMENT["paths"][endpoint.path]["post"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(answer.json(), {**schema, "components": DOCUMENT["components"]})
    jsonschema.validate(dict(endpoint.example), schema_of(endpoint.body.__name__))


async def test_answers_and_events_are_as_described(tmp_path: Path) -> None:
    thought = (
        piece("<think>", control=True),
        piece("Hm", logprob=-0.5),
        piece("</think>", control=True),
        piece("Yes", logprob=-1),
    )
    call = (piece("<call>", control=True), piece("add"), piece(" {}"), piece("</call>", control=True))
    async with serving(tmp_path, Answer((*thought, *call), cached_tokens=1)) as api:
        options = {"logprobs": True, "top_logprobs": 1, "stream_options": {"include_usage": True}, "return_progress": True}
        whole = (await api.chat(**options)).json()
        *parts, _ = await api.stream(**options)
        *texts, _ = await api.stream("/v1/completions", prompt="a", logprobs=1, return_progress=True)
        models = (await api.http.get("/v1/models")).json()
        error = (await api.chat(n=99)).json()
    jsonschema.validate(whole, schema_of("ChatCompletion"))
    for part in parts:
        jsonschema.validate(part, schema_of("ChatCompletionChunk"))
    for text in texts:
        jsonschema.validate(text, schema_of("Completion"))
    jsonschema.validate(models, schema_of("ModelList"))
    jsonschema.validate(error, schema_of("Error"))


async def test_transcripts_are_as_described(tmp_path: Path) -> None:
    launcher = FakeLauncher(Answer((piece(" Hi", logprob=-0.5),)), info=model_info(hears=True))
    async with serving(tmp_path, models=(EAR, installed_model(), embedder(), ranker()), launcher=launcher) as api:
        for fields in ({}, {"include[]": "logprobs"}, {"response_format": "verbose_json"}):
            form = {"data": {"model": "ear", **fields}, "files": {"file": ("a.wav", SOUND)}}
            answer = await api.http.post("/v1/audio/transcriptions", **form)
            jsonschema.validate(answer.json(), schema_of("Transcription"))
        form = {"data": {"model": "ear", "stream": "true"}, "files": {"file": ("a.wav", SOUND)}}
        *events, _ = chunks((await api.http.post("/v1/audio/transcriptions", **form)).text)
    for event in events:
        jsonschema.validate(event, schema_of("TranscriptEvent"))


def test_a_request_of_the_tests_is_one_that_is_described() -> None:
    jsonschema.validate(HELLO, schema_of("ChatBody"))
