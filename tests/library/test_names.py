"""What names say."""

from __future__ import annotations

import pytest

from app.library.names import Shard, base_name, quantization_in, shard_of


@pytest.mark.parametrize(
    ("name", "quantization", "base"),
    [
        ("Qwen3-8B-Q4_K_M", "Q4_K_M", "Qwen3-8B"),
        ("Qwen3.5-4B-UD-Q4_K_XL", "UD-Q4_K_XL", "Qwen3.5-4B"),
        ("qwen2.5-coder-7b-instruct-q4_k_m", "Q4_K_M", "qwen2.5-coder-7b-instruct"),
        ("Model.i1-IQ4_XS", "IQ4_XS", "Model.i1"),
        ("gpt-oss-20b-mxfp4", "MXFP4", "gpt-oss-20b"),
        ("mmproj-F16", "F16", "mmproj"),
        ("Ministral-3-3B-BF16-mmproj", "BF16", "Ministral-3-3B-mmproj"),
        ("Qwen-fp16", "F16", "Qwen"),
        ("embeddinggemma-300M-qat-q4_0", "Q4_0", "embeddinggemma-300M-qat"),
        ("ember", "", "ember"),
        ("UnQ4_0ted", "", "UnQ4_0ted"),
    ],
)
def test_a_name_tells_its_quantization(name: str, quantization: str, base: str) -> None:
    assert quantization_in(name) == quantization
    assert base_name(name) == base


def test_a_shard_is_known_by_its_number() -> None:
    assert shard_of("Big-Q4_K_M-00002-of-00003") == Shard("Big-Q4_K_M", 2, 3)
    assert shard_of("Big-Q4_K_M") is None
