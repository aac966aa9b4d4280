"""The plan for an outline, which is what there is of a model that is still on the hub, against what a load allocates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.memory import MemoryPlan
from app.engine.planning import MemoryPlanner
from app.engine.protocol import EngineConfig
from app.library.outline import fill_with_zeros, outline_of, write_outline
from tests.engine.real_loads import assert_agreement, load
from tests.engine.tiny_models import (
    write_bert,
    write_deepseek2,
    write_gemma3,
    write_lfm2,
    write_llama,
    write_qwen2vl,
    write_qwen3moe,
)
from tests.engine.tiny_projectors import write_gemma3_projector, write_qwen2vl_projector

WRITERS: dict[str, Callable[[Path, Path], Path]] = {
    "llama": write_llama,
    "gemma3": write_gemma3,
    "qwen3moe": write_qwen3moe,
    "lfm2": write_lfm2,
    "deepseek2": write_deepseek2,
    "bert": write_bert,
}


def _of_outline(path: Path) -> Path:
    """As large as the file, and of zeros."""
    outline = path.with_suffix(".outline")
    write_outline(outline_of([path]), outline)
    target = path.with_name(f"zeros-{path.name}")
    fill_with_zeros(outline, target)
    return target


def _plan(config: EngineConfig) -> MemoryPlan:
    with closing(MemoryPlanner(config, n_threads=1)) as planner:
        plan = planner.plan()
    assert plan is not None
    return plan


@pytest.mark.parametrize("n_ctx", [0, 2048])
@pytest.mark.parametrize("kind", WRITERS)
def test_an_outline_s_plan_agrees_with_what_the_model_takes(tmp_path: Path, ember_path: Path, kind: str, n_ctx: int) -> None:
    config = EngineConfig(WRITERS[kind](tmp_path / f"{kind}.gguf", ember_path), n_ctx=n_ctx, n_parallel=2, n_threads=1)
    plan = _plan(replace(config, model_path=_of_outline(config.model_path)))
    loaded = load(config)
    assert_agreement(replace(loaded, plan=plan))
    assert plan.n_ctx == loaded.plan.n_ctx


@pytest.mark.parametrize(
    ("write", "write_projector"),
    [(write_gemma3, write_gemma3_projector), (write_qwen2vl, write_qwen2vl_projector)],
    ids=["gemma3", "qwen2vl"],
)
def test_an_outline_with_that_of_a_projector_has_the_plan_of_both(
    tmp_path: Path,
    ember_path: Path,
    write: Callable[[Path, Path], Path],
    write_projector: Callable[[Path], Path],
) -> None:
    model, projector = write(tmp_path / "model.gguf", ember_path), write_projector(tmp_path / "mmproj.gguf")
    config = EngineConfig(model, projector, n_ctx=1024, n_threads=1)
    outlined = replace(config, model_path=_of_outline(model), projector_path=tmp_path / "mmproj.outline")
    write_outline(outline_of([projector]), tmp_path / "mmproj.outline")
    plan, loaded = _plan(outlined), load(config)
    (need,), (taken,) = plan.needs, loaded.plan.needs
    assert need.projector_bytes == taken.projector_bytes > 0
    # A whole picture in one batch makes a difference to what computing takes.
    assert need.compute_bytes == taken.compute_bytes
    assert_agreement(replace(loaded, plan=replace(plan, needs=(replace(need, projector_bytes=0),))))
