"""Files that belong together become one model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.domain.models import Capability, InstalledModel, ModelSource
from app.library.assemble import Assembled, assemble
from app.library.gguf import Pooling
from app.library.headers import GgufFile, HeaderCache
from tests.library.gguf_maker import write_model, write_projector


def files_in(folder: Path) -> list[GgufFile]:
    headers = HeaderCache(folder / "cache.json")
    return [file for path in sorted(folder.rglob("*.gguf")) if (file := headers.file(path))]


def assembled(folder: Path) -> list[Assembled]:
    return assemble(files_in(folder), top=folder)


def one_model(folder: Path) -> InstalledModel:
    (only,) = assembled(folder)
    return only.model("id", ModelSource.LIBRARY)


def write_shards(folder: Path, count: int = 3, stem: str = "Big-Q4_K_M") -> list[Path]:
    return [
        write_model(
            folder / f"{stem}-{number + 1:05d}-of-{count:05d}.gguf",
            split=(number, count, count),
            tensors={f"blk.{number}.weight": np.zeros((32, 64), np.float32)},
        )
        for number in range(count)
    ]


def test_a_model_and_its_projector_are_one_item_that_sees(tmp_path: Path) -> None:
    write_model(tmp_path / "m.gguf")
    write_projector(tmp_path / "mmproj-m.gguf")

    model = one_model(tmp_path)

    assert model.projector == tmp_path / "mmproj-m.gguf"
    assert model.files == (tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf")
    assert model.size_bytes == sum(file.stat().st_size for file in model.files)
    assert model.can(Capability.VISION)
    assert not model.can(Capability.AUDIO)
    assert model.problem is None


def test_a_projector_is_known_by_its_header_whatever_its_name(tmp_path: Path) -> None:
    write_model(tmp_path / "model.gguf")
    write_projector(tmp_path / "eyes.gguf")

    assert one_model(tmp_path).projector == tmp_path / "eyes.gguf"


@pytest.mark.parametrize(("width", "kind"), [(128, "mlp"), (64, "gemma3")])
def test_a_projector_of_another_size_or_family_is_not_taken(tmp_path: Path, width: int, kind: str) -> None:
    write_model(tmp_path / "m.gguf")
    write_projector(tmp_path / "mmproj.gguf", width=width, kind=kind)

    model = one_model(tmp_path)

    assert model.projector is None
    assert not model.can(Capability.VISION)


def test_the_projector_with_the_closest_name_is_taken(tmp_path: Path) -> None:
    for name in ("apple-7b", "banana-7b"):
        write_model(tmp_path / f"{name}-Q8_0.gguf")
        write_projector(tmp_path / f"mmproj-{name}-f16.gguf")

    pairs = {item.stem: item.projector.path.name for item in assembled(tmp_path) if item.projector}

    assert pairs == {"apple-7b-Q8_0": "mmproj-apple-7b-f16.gguf", "banana-7b-Q8_0": "mmproj-banana-7b-f16.gguf"}


def test_f16_is_taken_among_projectors_of_several_precisions(tmp_path: Path) -> None:
    write_model(tmp_path / "m.gguf")
    for precision in ("BF16", "F32", "F16", "Q8_0"):
        write_projector(tmp_path / f"mmproj-{precision}.gguf")

    model = one_model(tmp_path)

    assert model.projector == tmp_path / "mmproj-F16.gguf"
    assert model.files == (tmp_path / "m.gguf", tmp_path / "mmproj-F16.gguf")


def test_a_projector_in_the_folder_above_is_found_but_not_beyond_the_top(tmp_path: Path) -> None:
    top = tmp_path / "models"
    write_model(top / "repo" / "Q8_0" / "m.gguf")
    write_projector(tmp_path / "mmproj.gguf")
    assert one_model(top).projector is None

    write_projector(top / "repo" / "mmproj.gguf")
    assert one_model(top).projector == top / "repo" / "mmproj.gguf"


def test_a_projector_that_hears_gives_audio(tmp_path: Path) -> None:
    write_model(tmp_path / "m.gguf")
    write_projector(tmp_path / "mmproj.gguf", audio=True)

    model = one_model(tmp_path)

    assert model.can(Capability.AUDIO)
    assert not model.can(Capability.VISION)


def test_shards_are_one_model(tmp_path: Path) -> None:
    shards = write_shards(tmp_path)

    model = one_model(tmp_path)

    assert model.path == shards[0]
    assert model.files == tuple(shards)
    assert model.parameters == 3 * 32 * 64
    assert model.problem is None


def test_a_missing_shard_is_a_problem_that_names_it(tmp_path: Path) -> None:
    write_shards(tmp_path)[1].unlink()

    model = one_model(tmp_path)

    assert model.problem is not None
    assert "3 parts" in model.problem
    assert "(2)" in model.problem


def test_a_broken_shard_is_a_problem_that_names_its_file(tmp_path: Path) -> None:
    write_shards(tmp_path)[2].write_bytes(b"")

    problem = one_model(tmp_path).problem

    assert problem is not None
    assert "Big-Q4_K_M-00003-of-00003.gguf" in problem
    assert "empty" in problem


def test_shards_of_different_models_do_not_make_one(tmp_path: Path) -> None:
    write_shards(tmp_path)
    write_model(tmp_path / "Big-Q4_K_M-00002-of-00003.gguf", split=(1, 4, 3))

    problem = one_model(tmp_path).problem

    assert problem is not None
    assert "belong together" in problem


def test_a_renamed_shard_says_what_its_name_must_be(tmp_path: Path) -> None:
    write_model(tmp_path / "renamed.gguf", split=(0, 3, 3))

    problem = one_model(tmp_path).problem

    assert problem is not None
    assert "-00001-of-00003.gguf" in problem


def test_a_cut_file_keeps_its_facts_and_says_what_is_missing(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", tensors={"t": np.zeros((64, 64), np.float32)})
    path.write_bytes(path.read_bytes()[:-5000])

    model = one_model(tmp_path)

    assert model.name == "Tiny"
    assert model.problem is not None
    assert "incomplete" in model.problem


@pytest.mark.parametrize(
    ("template", "architecture", "pooling", "expected"),
    [
        (None, "llama", None, {Capability.COMPLETION}),
        ("{{ messages }}", "llama", None, {Capability.CHAT, Capability.COMPLETION}),
        ("{{ tools }}", "llama", None, {Capability.CHAT, Capability.COMPLETION, Capability.TOOLS}),
        ("<think>", "llama", None, {Capability.CHAT, Capability.COMPLETION, Capability.REASONING}),
        ("{{ tools }}", "qwen3", Pooling.LAST, {Capability.EMBEDDING}),
        (None, "bert", Pooling.MEAN, {Capability.EMBEDDING}),
        (None, "bert", Pooling.RANK, {Capability.RERANK}),
    ],
)
def test_the_header_tells_what_a_model_can_do(
    tmp_path: Path, template: str | None, architecture: str, pooling: Pooling | None, expected: set[Capability]
) -> None:
    write_model(tmp_path / "m.gguf", template=template, architecture=architecture, pooling=pooling)

    assert one_model(tmp_path).capabilities == expected


@pytest.mark.parametrize(
    ("stem", "file_type", "shown"),
    [("M-UD-Q4_K_XL", 15, "UD-Q4_K_XL"), ("M-Q4_K_M", 7, "Q8_0"), ("M", 15, "Q4_K_M"), ("M-Q5_K_S", None, "F32")],
)
def test_a_finer_quantization_in_the_name_is_shown_if_it_agrees_with_the_header(
    tmp_path: Path, stem: str, file_type: int | None, shown: str
) -> None:
    write_model(tmp_path / f"{stem}.gguf", file_type=file_type)

    assert one_model(tmp_path).quantization == shown


def test_a_vocabulary_says_why_it_is_of_no_use(tmp_path: Path) -> None:
    write_model(tmp_path / "m.gguf", tensors={})

    assert one_model(tmp_path).problem == "It holds a vocabulary only, no weights."


@pytest.mark.parametrize("architecture", ["bert", "qwen3"])
def test_a_reranker_ranks_and_does_nothing_else(tmp_path: Path, architecture: str) -> None:
    write_model(tmp_path / "m.gguf", architecture=architecture, pooling=Pooling.RANK)

    model = one_model(tmp_path)

    assert model.problem is None
    assert model.capabilities == {Capability.RERANK}
