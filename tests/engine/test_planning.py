"""The plan before a load against what llama.cpp says it allocated in the load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import gguf
import pytest

from app.domain.memory import HOST
from app.engine.host_memory import resident_bytes
from app.engine.llama.backend import devices
from app.engine.planning import ContextRefused, MemoryPlanner
from app.engine.protocol import EngineConfig, LoraAdapter
from tests.engine.full_size_models import write_llama_135m
from tests.engine.real_loads import assert_agreement, load
from tests.engine.tiny_models import write_bert, write_gemma3, write_lfm2, write_llama, write_lora

MIB = 1024 * 1024
Writer = Callable[[Path, Path], Path]


@pytest.fixture(params=[write_llama, write_gemma3, write_lfm2, write_bert], ids=["llama", "gemma3", "lfm2", "bert"])
def tiny(request: pytest.FixtureRequest, tmp_path: Path, ember_path: Path) -> Path:
    write: Writer = request.param
    return write(tmp_path / "tiny.gguf", ember_path)


@pytest.mark.parametrize("n_ctx", [0, 512, 5000])
def test_a_plan_agrees_with_what_is_allocated(tiny: Path, n_ctx: int) -> None:
    loaded = load(EngineConfig(tiny, n_ctx=n_ctx, n_parallel=2))
    assert_agreement(loaded)
    # BERT has learned a place for each of 128 tokens, and no more.
    assert loaded.plan.n_ctx == (n_ctx or loaded.plan.n_ctx) or loaded.plan.n_ctx == 128 < n_ctx


@pytest.mark.parametrize(
    "change",
    [{"n_ubatch": 128}, {"flash_attention": False}, {"use_mmap": False}, {"n_parallel": 16}],
    ids=lambda change: next(iter(change)),
)
def test_a_plan_follows_the_settings(tiny: Path, change: dict[str, object]) -> None:
    assert_agreement(load(replace(EngineConfig(tiny, n_ctx=2048, n_parallel=2), **change)))  # type: ignore[arg-type]


def test_quantized_caches_take_what_is_planned_and_about_half(tmp_path: Path, ember_path: Path) -> None:
    config = EngineConfig(write_gemma3(tmp_path / "gemma3.gguf", ember_path), n_ctx=4096)
    plain, quantized = load(config), load(replace(config, cache_type_k="q8_0", cache_type_v="q8_0"))
    assert_agreement(quantized)
    assert quantized.need.kv_bytes == pytest.approx(plain.need.kv_bytes * 34 / 64, rel=0.01)


def test_embers_projector_counts(ember_path: Path, ember_projector_path: Path) -> None:
    loaded = load(EngineConfig(ember_path, ember_projector_path))
    assert_agreement(replace(loaded, plan=replace(loaded.plan, needs=(replace(loaded.need, projector_bytes=0),))))
    # Its weights, and what llama.cpp's warm-up of it reserves.
    assert loaded.need.projector_bytes == pytest.approx(2.48 * MIB + 0.20 * MIB, rel=0.05)


def test_adapters_count_as_weights(tmp_path: Path, ember_path: Path) -> None:
    model, adapter = write_llama(tmp_path / "llama.gguf", ember_path), write_lora(tmp_path / "lora.gguf", rank=64)
    plain, adapted = load(EngineConfig(model)), load(EngineConfig(model, adapters=(LoraAdapter(adapter),)))
    assert_agreement(adapted)
    assert adapted.need.weights_bytes - plain.need.weights_bytes == 8 * 64 * 64 * 4


def test_a_draft_model_counts_with_its_context(tmp_path: Path, ember_path: Path) -> None:
    config = EngineConfig(write_llama(tmp_path / "llama.gguf", ember_path), n_ctx=1024)
    drafted = load(replace(config, draft_path=write_llama(tmp_path / "small.gguf", ember_path)))
    # It is loaded last.
    taken = drafted.bytes_of("model", "KV", "compute", "output")
    assert drafted.need.draft_bytes == pytest.approx(taken, rel=0.05)
    assert drafted.plan.total_bytes == load(config).plan.total_bytes + drafted.need.draft_bytes
    with closing(_planner(config.model_path, draft_path=tmp_path / "none.gguf")) as planner:
        assert planner.measure(0, 1024).needs[0].draft_bytes == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.Q4_0], ids=lambda kind: kind.name)
def test_a_plan_of_a_model_of_real_size_agrees_with_what_is_allocated(
    tmp_path: Path, ember_path: Path, kind: gguf.GGMLQuantizationType
) -> None:
    path = write_llama_135m(tmp_path / "model.gguf", ember_path, quantization=kind)
    # Mapped, a file of which copies are made counts twice in the log, but the system can take those pages back.
    loaded = load(EngineConfig(path, n_ctx=8192, use_mmap=False))
    assert_agreement(loaded)
    # All but the compute buffer is written to at once; less where this process has room left from tests before.
    assert 0 < loaded.resident_bytes < 1.15 * (loaded.need.weights_bytes + loaded.need.kv_bytes)


# ---------------------------------------------------------------------------------------------------------- dry runs
@pytest.fixture
def planner(tmp_path: Path, ember_path: Path) -> Iterator[MemoryPlanner]:
    with closing(_planner(write_llama(tmp_path / "llama.gguf", ember_path))) as planner:
        yield planner


def _planner(path: Path, **changes: object) -> MemoryPlanner:
    return MemoryPlanner(replace(EngineConfig(path), **changes), n_threads=1)  # type: ignore[arg-type]


def test_a_context_of_millions_is_planned_without_being_tried(planner: MemoryPlanner) -> None:
    before = resident_bytes()
    plan = planner.measure(0, 100_000_000)
    assert resident_bytes() - before < 200 * MIB
    (need,) = plan.needs
    assert need.kv_bytes == pytest.approx(100_000_000 * 2 * 2 * 2 * 16 * 2, rel=0.01)
    assert not plan.fits


def test_a_context_llama_cpp_would_not_make_is_refused_with_its_reason(tmp_path: Path, ember_path: Path) -> None:
    path = write_llama(tmp_path / "llama.gguf", ember_path)
    with closing(_planner(path, cache_type_k="q8_0")) as planner, pytest.raises(ContextRefused, match="block size"):
        planner.plan()


def test_a_file_llama_cpp_cant_read_has_no_plan(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    with closing(_planner(path)) as planner:
        assert planner.plan() is None


def test_memory_that_other_models_map_is_not_free(tmp_path: Path, ember_path: Path) -> None:
    path = write_llama(tmp_path / "llama.gguf", ember_path)
    with closing(_planner(path, memory_reserved_bytes=2**60)) as planner:
        plan = planner.plan()
    assert plan is not None
    assert plan.needs[0].free_bytes == 0
    assert not plan.fits


def test_what_other_models_give_back_is_free_but_no_more_than_there_is(tmp_path: Path, ember_path: Path) -> None:
    path = write_llama(tmp_path / "llama.gguf", ember_path)

    def free(**changes: object) -> int:
        with closing(_planner(path, **changes)) as planner:
            plan = planner.plan()
        assert plan is not None
        return plan.needs[0].free_bytes

    (host,) = (device for device in devices() if device.name == HOST)
    assert free(memory_reserved_bytes=2**60, memory_returned=((HOST, 2**60 + 2**20),)) == pytest.approx(
        host.free_bytes, abs=2**29
    )
    assert free(memory_returned=((HOST, 2**60), ("CUDA7", 2**60))) == host.total_bytes


def test_a_limit_is_part_of_a_plan(tmp_path: Path, ember_path: Path) -> None:
    path = write_llama(tmp_path / "llama.gguf", ember_path)
    with closing(_planner(path, memory_limit_bytes=10 * MIB)) as planner:
        plan = planner.plan()
    assert plan is not None
    assert plan.fits
    assert plan.n_ctx < 8192
    assert plan.total_bytes <= 10 * MIB
