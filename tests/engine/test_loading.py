from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from gguf import PoolingType

from app.domain.errors import ModelLoadFailed, NotEnoughMemory
from app.domain.fit import shortage
from app.domain.generation import Pooling
from app.engine.engine import Engine
from app.engine.loading import load_engine
from app.engine.protocol import Done, Embedded, EmbedJob, EngineConfig, JobEvent, Reranked, RerankJob, RopeScaling
from tests.engine.fakes import run, say
from tests.engine.tiny_models import write_bert, write_llama, write_qwen3


def _yes(_fraction: float) -> bool:
    return True


def _refusal(config: EngineConfig) -> ModelLoadFailed:
    with pytest.raises(ModelLoadFailed) as caught:
        load_engine(config, on_progress=_yes)
    return caught.value


def test_embers_own_words_about_itself(ember_path: Path, ember_projector_path: Path) -> None:
    fractions: list[float] = []

    def note(fraction: float) -> bool:
        fractions.append(fraction)
        return True

    engine = load_engine(EngineConfig(ember_path, ember_projector_path), on_progress=note)
    info = engine.info
    engine.close()
    engine.close()
    assert (info.name, info.n_ctx_train, info.n_ctx, info.n_vocab) == ("Ember", 2048, 2048, 2048)
    assert info.sees_pictures
    assert not info.embedding
    assert info.chat_template is not None
    assert info.eos_text == "<|im_end|>"
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in _refusal(EngineConfig(tmp_path / "none.gguf")).reason


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    assert "is not a file" in _refusal(EngineConfig(tmp_path)).reason


@pytest.mark.parametrize("content", [b"", b"GG", b"Hello, I am a text.", b"\x89PNG\r\n\x1a\n", bytes(4096)])
def test_another_kind_of_file_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert "not a GGUF file" in _refusal(EngineConfig(path)).reason


@pytest.mark.parametrize("part", [0.001, 0.01, 0.5, 0.99])
def test_a_truncated_model_says_so(tmp_path: Path, ember_path: Path, part: float) -> None:
    path = tmp_path / "half.gguf"
    data = ember_path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    error = _refusal(EngineConfig(path))
    assert error.model == "half.gguf"
    assert error.reason
    assert error.log_tail


def test_an_architecture_nobody_knows_is_named(tmp_path: Path, ember_path: Path) -> None:
    path = tmp_path / "new.gguf"
    path.write_bytes(ember_path.read_bytes().replace(b"qwen3", b"qwenX"))
    assert "qwenX" in _refusal(EngineConfig(path)).reason


def test_a_projector_of_another_model_is_refused(tmp_path: Path, ember_path: Path, ember_projector_path: Path) -> None:
    tiny = write_llama(tmp_path / "tiny.gguf", ember_path)
    assert "mismatch" in _refusal(EngineConfig(tiny, ember_projector_path)).reason


def test_a_model_is_no_projector(ember_path: Path) -> None:
    assert _refusal(EngineConfig(ember_path, ember_path)).reason


def test_a_projector_is_no_model(ember_projector_path: Path) -> None:
    assert "CLIP" in _refusal(EngineConfig(ember_projector_path)).reason


def test_loading_can_be_stopped(ember_path: Path) -> None:
    with pytest.raises(ModelLoadFailed, match="stopped"):
        load_engine(EngineConfig(ember_path), on_progress=lambda _fraction: False)


def test_llama_cpp_writes_nothing_to_the_terminal(ember_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_engine(EngineConfig(ember_path), on_progress=_yes).close()
    assert capfd.readouterr() == ("", "")


def test_no_log_handler_is_left_behind(ember_path: Path) -> None:
    before = logging.getLogger("app.engine.llama.native").handlers.copy()
    load_engine(EngineConfig(ember_path), on_progress=_yes).close()
    assert logging.getLogger("app.engine.llama.native").handlers == before


def test_a_chosen_context_bounds_a_request(ember_path: Path) -> None:
    engine = load_engine(EngineConfig(ember_path, n_ctx=256, n_parallel=1), on_progress=_yes)
    try:
        assert engine.info.n_ctx == 256
        done = run(engine, say("a", "hello " * 20, max_tokens=None)).done("a")
        assert done.usage.prompt_tokens + done.usage.completion_tokens <= 256
    finally:
        engine.close()


@pytest.mark.parametrize("n_ctx", [100_000_000, 10**12])
def test_a_context_beyond_all_memory_is_refused_by_its_size(ember_path: Path, n_ctx: int) -> None:
    assert str(n_ctx) in _refusal(EngineConfig(ember_path, n_ctx=n_ctx)).reason


def test_a_model_beyond_the_memory_is_refused_before_anything_is_loaded(ember_path: Path) -> None:
    fractions: list[float] = []

    def note(fraction: float) -> bool:
        fractions.append(fraction)
        return True

    with pytest.raises(NotEnoughMemory) as caught:
        load_engine(EngineConfig(ember_path, memory_reserved_bytes=2**60), on_progress=note)
    assert "10 MiB for the weights" in caught.value.reason
    assert "0 MiB are free" in caught.value.reason
    assert caught.value.plan is not None
    assert caught.value.reason.startswith(shortage(caught.value.plan))
    assert not fractions


def test_what_does_not_fit_by_the_plan_can_be_tried_all_the_same(ember_path: Path) -> None:
    engine = load_engine(EngineConfig(ember_path, memory_reserved_bytes=2**60, memory_check=False), on_progress=_yes)
    try:
        assert engine.info.memory is not None
        assert not engine.info.memory.fits
    finally:
        engine.close()


def test_what_was_really_used_is_told(ember_path: Path) -> None:
    engine = load_engine(EngineConfig(ember_path, n_ctx=1024), on_progress=_yes)
    info = engine.info
    engine.close()
    assert info.memory is not None
    assert (info.memory.n_ctx, info.n_gpu_layers, len(info.devices)) == (1024, 0, 1)
    assert info.resident_bytes > info.memory.total_bytes / 2
    assert info.mapped_bytes == pytest.approx(info.size_bytes, rel=0.01)


def test_a_stretched_context_is_as_long_as_it_was_stretched_to(ember_path: Path) -> None:
    config = EngineConfig(ember_path, n_ctx=8192, rope=RopeScaling("yarn", 3.0))
    engine = load_engine(config, on_progress=_yes)
    assert engine.info.n_ctx == 3 * 2048
    engine.close()


_TIGHT = """
import resource, sys
from pathlib import Path
from app.engine.loading import load_engine
from app.engine.protocol import EngineConfig

def load(**options):
    config = EngineConfig(Path(sys.argv[1]), n_threads=1, **options)
    engine = load_engine(config, on_progress=lambda fraction: True)
    engine.close()
    return engine.info.memory.n_ctx

load(n_ctx=256)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 60 * 2**20, resource.RLIM_INFINITY))
print(load())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process as Linux does")
def test_memory_that_runs_out_in_spite_of_the_plan_gives_a_smaller_try(ember_path: Path) -> None:
    # Address space that a thread's own heap has set aside would be used again.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    command = (sys.executable, "-c", _TIGHT, str(ember_path))
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.stdout.split() == ["4096"], ended.stderr[-2000:]


def test_an_absurd_number_of_places_is_brought_down(ember_path: Path) -> None:
    engine = load_engine(EngineConfig(ember_path, n_ctx=512, n_parallel=1000), on_progress=_yes)
    try:
        assert run(engine, say("a", "Hello")).texts["a"]
    finally:
        engine.close()


def test_a_model_that_can_only_embed_is_loaded_for_that(tmp_path: Path, ember_path: Path) -> None:
    engine = load_engine(EngineConfig(write_bert(tmp_path / "bert.gguf", ember_path)), on_progress=_yes)
    assert engine.info.embedding
    assert not engine.info.reranking
    engine.close()


def _end(engine: Engine, job: EmbedJob | RerankJob) -> JobEvent:
    engine.submit(engine.prepare(job))
    while True:
        for event in engine.step():
            if event.id == job.id:
                return event


def test_a_reranker_scores_pairs_of_texts(tmp_path: Path, ember_path: Path) -> None:
    path = write_bert(tmp_path / "bert.gguf", ember_path, pooling=PoolingType.RANK, ranks=True)
    engine = load_engine(EngineConfig(path, embedding=True, n_threads=1), on_progress=_yes)
    assert engine.info.reranking
    documents = ("A fire place.", "The sea, the sea.", "A fire place.")
    together = _end(engine, RerankJob("a", "hearth", documents))
    assert isinstance(together, Reranked)
    first, other, again = together.result.scores
    assert first == pytest.approx(again, abs=1e-3)
    assert first != pytest.approx(other, abs=1e-3)
    for document, score in zip(documents, together.result.scores, strict=True):
        alone = _end(engine, RerankJob("b", "hearth", (document,)))
        assert isinstance(alone, Reranked)
        assert alone.result.scores[0] == pytest.approx(score, abs=1e-3)
    engine.close()


def test_a_reranker_with_a_template_reads_its_texts_through_it(tmp_path: Path, ember_path: Path) -> None:
    scores = []
    for name, template in (("a", "Q {query} D {document}"), ("b", "D {document} Q {query}")):
        path = write_qwen3(tmp_path / f"{name}.gguf", ember_path, pooling=PoolingType.RANK, rerank_template=template)
        engine = load_engine(EngineConfig(path, embedding=True, n_threads=1), on_progress=_yes)
        end = _end(engine, RerankJob("a", "one", ("two",)))
        assert isinstance(end, Reranked)
        scores += end.result.scores
        engine.close()
    assert scores[0] != pytest.approx(scores[1], abs=1e-3)


def test_a_file_that_asks_for_a_vector_per_token_needs_a_pooling_to_be_chosen(tmp_path: Path, ember_path: Path) -> None:
    path = write_bert(tmp_path / "bert.gguf", ember_path, pooling=PoolingType.NONE)
    assert "pooling" in _refusal(EngineConfig(path)).reason
    engine = load_engine(EngineConfig(path, pooling=Pooling.CLS), on_progress=_yes)
    assert isinstance(_end(engine, EmbedJob("a", ("text",))), Embedded)
    engine.close()


def test_a_model_that_writes_makes_vectors_beside_its_answers(ember_path: Path) -> None:
    engine = load_engine(EngineConfig(ember_path, n_ctx=1024, n_threads=1), on_progress=_yes)
    texts = ("A cat.", "The sea.", "A cat. " * 100)
    alone = _end(engine, EmbedJob("a", texts))
    engine.submit(engine.prepare(say("text", "Hello", max_tokens=20)))
    engine.submit(engine.prepare(EmbedJob("b", texts)))
    ends: dict[str, JobEvent] = {}
    while engine.busy:
        ends |= {event.id: event for event in engine.step()}
    beside = ends["b"]
    assert isinstance(ends["text"], Done)
    assert isinstance(alone, Embedded)
    assert isinstance(beside, Embedded)
    assert alone.result.prompt_tokens == beside.result.prompt_tokens > 100
    for one, other in zip(alone.result.vectors, beside.result.vectors, strict=True):
        assert float(np.frombuffer(one, "<f4") @ np.frombuffer(other, "<f4")) > 0.999
    first, second, _ = (np.frombuffer(vector, "<f4") for vector in alone.result.vectors)
    assert float(first @ second) < 0.999
    engine.close()


def _builders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "grammar tokenizer" and thread.is_alive()]


def test_what_grammars_need_is_prepared_beside_a_model_that_writes_and_no_other(ember_path: Path, tmp_path: Path) -> None:
    before = set(_builders())
    embedding = load_engine(EngineConfig(write_bert(tmp_path / "bert.gguf", ember_path), embedding=True), on_progress=_yes)
    assert set(_builders()) <= before
    embedding.close()
    writing = load_engine(EngineConfig(ember_path), on_progress=_yes)
    (builder,) = set(_builders()) - before
    writing.close()
    assert not builder.is_alive()
