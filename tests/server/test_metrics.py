from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.domain.stats import EngineStats
from tests.fakes import Answer
from tests.server.serving import HELLO, Gate, Serving, serving

pytestmark = pytest.mark.anyio


async def samples(api: Serving) -> dict[str, float]:
    """By name and values of the labels."""
    answer = await api.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_requests_and_tokens_are_counted(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("Hel", "lo", cached_tokens=3)) as api:
        await api.chat()
        await api.stream()
        await api.chat(model="nope")
        found = await samples(api)
    assert found["hearth_requests_total /v1/chat/completions 200"] == 2
    assert found["hearth_requests_total /v1/chat/completions 404"] == 1
    assert found["hearth_request_duration_seconds_count /v1/chat/completions"] == 3
    assert found["hearth_prompt_tokens_total"] == 2 * len("<user>Hello<assistant>")
    assert found["hearth_cached_prompt_tokens_total"] == 6
    assert found["hearth_completion_tokens_total"] == 4
    assert found["hearth_time_to_first_token_seconds_sum"] == 0.5
    assert found["hearth_time_per_output_token_seconds_sum"] == 1.0
    assert found["hearth_requests_in_progress"] == 1


async def test_what_clients_make_up_gets_no_name_of_its_own(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for path in ("/v1/one", "/two", "/v1/models/three", "/v1/models/four/five"):
            await api.http.get(path)
        await api.http.post("/v1/chat/completions", json={**HELLO, "model": "madeup"})
        answer = await api.http.get("/metrics")
        found = await samples(api)
    assert found["hearth_requests_total other 404"] == 2
    assert found["hearth_requests_total /v1/models/{name:path} 404"] == 2
    for word in ("three", "four", "madeup"):
        assert word not in answer.text


async def test_loaded_models_tell_what_they_hold(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, Answer.of("Hel", "lo", gate=gate)) as api:
        empty = await samples(api)
        await api.models.load("ember")
        api.engine.stats = EngineStats(
            steps=7, decode_s=1.5, drafted=4, accepted=3, active=2, waiting=1, cells=64, cells_used=9
        )
        api.engine.pid = os.getpid()
        found = await samples(api)
    assert not any("ember" in name for name in empty)
    assert found["hearth_model_state ember ready"] == 1
    assert found["hearth_model_memory_bytes ember"] == 2_000_000
    assert found["hearth_model_process_resident_bytes ember"] > 1_000_000
    assert found["hearth_engine_requests_waiting ember"] == 1
    assert found["hearth_engine_cells_used ember"] == 9
    assert found["hearth_engine_draft_tokens_accepted_total ember"] == 3
    assert found["hearth_engine_seconds_total ember decode"] == 1.5


async def test_a_client_that_left_is_counted_as_499(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, Answer.of("Hel", "lo", gate=gate)) as api:
        async with api.http.stream("POST", "/v1/chat/completions", json={**HELLO, "stream": True}):
            await gate.reached()
        await gate.left.wait()
        while (await samples(api))["hearth_requests_in_progress"] > 1:
            pass
        found = await samples(api)
    assert found["hearth_requests_total /v1/chat/completions 499"] == 1


async def test_the_key_is_asked_for_and_no_words_are_told(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("privateanswer"), api_key="topsecret") as api:
        api.http.headers["authorization"] = "Bearer topsecret"
        await api.chat(messages=[{"role": "user", "content": "privatequestion"}], user="privateuser")
        answer = await api.http.get("/metrics")
        openmetrics = await api.http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
        del api.http.headers["authorization"]
        refused = await api.http.get("/metrics")
    assert refused.status_code == 401
    assert openmetrics.text.endswith("# EOF\n")
    for word in ("private", "topsecret"):
        assert word not in answer.text
