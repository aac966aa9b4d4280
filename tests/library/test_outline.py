from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.domain.errors import NotAModel
from app.library.gguf import GgufKind, read_header
from app.library.gguf_container import read_container
from app.library.outline import fill_with_zeros, outline_of, read_outline, resized, write_outline
from tests.library.gguf_maker import write_model, write_projector

MATRICES = {
    "token_embd.weight": np.zeros((300, 256), np.float32),
    "blk.0.attn_norm.weight": np.zeros(256, np.float32),
    "blk.0.attn_q.weight": np.zeros((256, 256), np.float16),
    "blk.0.ffn_up.weight": np.zeros((512, 256), np.float16),
}


def _outlined(folder: Path, *parts: Path) -> Path:
    write_outline(outline_of(parts), folder / "outline.gguf")
    return folder / "outline.gguf"


def test_an_outline_says_what_the_file_says_but_is_small(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.gguf", tensors=MATRICES, pooling=2)
    outline = _outlined(tmp_path, path)
    whole, small = read_header(path), read_header(outline)
    assert (small.kind, small.architecture, small.n_embd, small.n_ctx_train) == (
        GgufKind.MODEL,
        "llama",
        whole.n_embd,
        whole.n_ctx_train,
    )
    assert (small.pooling, small.has_template, small.parameters) == (whole.pooling, whole.has_template, whole.parameters)
    assert outline.stat().st_size < 2000 < path.stat().st_size


def test_the_vocabulary_is_told_as_a_number(tmp_path: Path, ember_path: Path) -> None:
    metadata = read_container(_outlined(tmp_path, ember_path)).metadata
    assert metadata["tokenizer.ggml.model"] == "none"
    assert metadata[f"{metadata['general.architecture']}.vocab_size"] == next(
        tensor.shape[1] for tensor in read_container(ember_path).tensors if tensor.name == "token_embd.weight"
    )
    assert "tokenizer.ggml.tokens" not in metadata


def test_shards_become_one(tmp_path: Path) -> None:
    names = list(MATRICES)
    shards = [
        write_model(
            tmp_path / f"m-0000{number}-of-00002.gguf",
            tensors={name: MATRICES[name] for name in part},
            split=(number - 1, 2, len(names)),
        )
        for number, part in ((1, names[:1]), (2, names[1:]))
    ]
    container = read_container(_outlined(tmp_path, *shards))
    assert [tensor.name for tensor in container.tensors] == names
    assert not [key for key in container.metadata if key.startswith("split.")]


def test_filled_with_zeros_it_is_as_large_as_the_model_and_takes_no_room(tmp_path: Path) -> None:
    large = {"token_embd.weight": np.zeros((40_000, 256), np.float32)}
    path = write_model(tmp_path / "model.gguf", tensors=large)
    target = tmp_path / "full.gguf"
    fill_with_zeros(_outlined(tmp_path, path), target)
    assert target.stat().st_size == pytest.approx(path.stat().st_size, rel=0.001)
    assert target.stat().st_blocks * 512 < 100_000
    assert read_container(target).end == target.stat().st_size


def test_an_outline_of_an_outline_is_the_same(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.gguf", tensors=MATRICES)
    outline = outline_of([path])
    again = read_outline(_outlined(tmp_path, path))
    assert again.entries == outline.entries
    assert again.tensors[0] == outline.tensors[0]
    assert again.table_start == outline.table_start > 0


def test_a_projector_has_one_too(tmp_path: Path) -> None:
    header = read_header(_outlined(tmp_path, write_projector(tmp_path / "mmproj.gguf")))
    assert header.kind is GgufKind.PROJECTOR
    assert header.widths == (64,)


@pytest.mark.parametrize("bits", [2.2, 3.0, 4.85, 6.56, 8.5, 12.0, 16.0])
def test_another_quantization_is_told_from_its_size(tmp_path: Path, bits: float) -> None:
    many = {f"blk.{i}.ffn_up.weight": np.zeros((64, 256), np.float16) for i in range(60)}
    outline = outline_of([write_model(tmp_path / "model.gguf", tensors={**MATRICES, **many})])
    weights = sum(tensor.weights for tensor in outline.tensors)
    size = round(weights * bits / 8)
    header = outline.table_start + outline.table_bytes
    told = sum(tensor.size_bytes for tensor in resized(outline, header + size).tensors)
    # Nothing is stored in less than 2.6 bits.
    assert told == pytest.approx(max(size, weights * 2.625 / 8), rel=0.03)


def test_what_is_no_model_has_none(tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_text("<html>")
    with pytest.raises(NotAModel, match="web page"):
        outline_of([path])
