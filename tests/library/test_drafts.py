"""A draft model is a part of the model it guesses for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.library.gguf import GgufKind, read_header
from tests.library.gguf_maker import write_model
from tests.library.test_assemble import assembled


def weights(rows: int, columns: int) -> np.ndarray:
    return np.zeros((rows, columns), np.float32)


def pairs(folder: Path) -> dict[str, str | None]:
    return {item.stem: item.draft.path.name if item.draft else None for item in assembled(folder)}


def prediction_head(path: Path, architecture: str = "qwen3next") -> Path:
    """The one layer after four of the model's own."""
    return write_model(
        path,
        architecture=architecture,
        numbers={"block_count": 5, "nextn_predict_layers": 1},
        tensors={"token_embd.weight": weights(32, 64), "blk.4.nextn.eh_proj.weight": weights(64, 64)},
    )


@pytest.mark.parametrize(
    ("architecture", "numbers"),
    [("eagle3", {"target_hidden_size": 64}), ("dflash", {}), ("gemma4-assistant", {"embedding_length_out": 64})],
)
def test_what_only_guesses_ahead_is_no_model_of_its_own(tmp_path: Path, architecture: str, numbers: dict[str, int]) -> None:
    write_model(tmp_path / "m-Q8_0.gguf", architecture="gemma4")
    draft = write_model(tmp_path / "guesses.gguf", architecture=architecture, numbers=numbers)

    (item,) = assembled(tmp_path)

    assert read_header(draft).kind is GgufKind.DRAFT
    assert item.draft is not None
    assert item.draft.path == draft
    assert item.files[-1] is item.draft


def test_a_prediction_head_in_a_file_of_its_own_goes_with_its_model(tmp_path: Path) -> None:
    write_model(tmp_path / "m.gguf", architecture="qwen3next")
    write_model(tmp_path / "other.gguf", architecture="llama")
    prediction_head(tmp_path / "mtp-m.gguf")

    assert pairs(tmp_path) == {"m": "mtp-m.gguf", "other": None}


def test_a_model_with_its_prediction_head_in_the_same_file_is_a_model(tmp_path: Path) -> None:
    layers = {f"blk.{number}.attn_norm.weight": weights(1, 64) for number in range(5)}
    path = write_model(tmp_path / "m.gguf", numbers={"block_count": 5, "nextn_predict_layers": 1}, tensors=layers)

    assert read_header(path).kind is GgufKind.MODEL


def test_a_draft_for_models_of_another_width_or_vocabulary_is_not_taken(tmp_path: Path) -> None:
    write_model(tmp_path / "m.gguf", tokenizer="llama-bpe")
    write_model(tmp_path / "wide.gguf", architecture="eagle3", numbers={"target_hidden_size": 128})
    write_model(tmp_path / "words.gguf", architecture="eagle3", numbers={"target_hidden_size": 64}, tokenizer="qwen2")

    assert pairs(tmp_path) == {"m": None}


def test_a_whole_model_called_a_draft_belongs_to_the_large_one_of_its_vocabulary(tmp_path: Path) -> None:
    large = {"token_embd.weight": weights(32, 64), "output.weight": weights(400, 64)}
    write_model(tmp_path / "Llama-8B-Q8_0.gguf", tokenizer="llama-bpe", tensors=large)
    write_model(tmp_path / "Llama-1B-draft-Q8_0.gguf", tokenizer="llama-bpe")
    write_model(tmp_path / "Llama-1B-Q8_0.gguf", tokenizer="llama-bpe")

    assert pairs(tmp_path) == {"Llama-8B-Q8_0": "Llama-1B-draft-Q8_0.gguf", "Llama-1B-Q8_0": None}


def test_a_whole_model_called_a_draft_that_nobody_needs_is_a_model(tmp_path: Path) -> None:
    write_model(tmp_path / "Llama-1B-draft-Q8_0.gguf", tokenizer="llama-bpe")

    assert pairs(tmp_path) == {"Llama-1B-draft-Q8_0": None}
