"""Tiny models with random weights, one per kind of memory, that carry Ember's tokenizer. Made in a few milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

__all__ = [
    "copy_tokenizer",
    "write_bert",
    "write_deepseek2",
    "write_gemma3",
    "write_lfm2",
    "write_llama",
    "write_lora",
    "write_qwen2vl",
    "write_qwen3",
    "write_qwen3moe",
]

_WIDTH, _HEADS, _FF = 64, 4, 128
_EXPERTS, _EXPERTS_USED, _EXPERT_FF = 8, 2, 48
_WINDOW = 32
# Small, and apart from the output's: what is written depends on all that stands before, not on the last token alone.
_EMBEDDING = 0.1


def write_llama(
    path: Path,
    tokenizer_of: Path,
    *,
    n_ctx_train: int = 2048,
    floats: dict[str, float] | None = None,
    texts: dict[str, str] | None = None,
    reverse_tokens: bool = False,
) -> Path:
    """Plain attention: every position is kept. `floats` and `texts` are more values for the header."""
    model = _Writer(path, "llama", n_layers=2, n_heads_kv=2, n_ctx_train=n_ctx_train)
    for key, value in (floats or {}).items():
        model.file.add_float32(key, value)
    for key, text in (texts or {}).items():
        model.file.add_string(key, text)
    model.copy_tokenizer(tokenizer_of, reverse=reverse_tokens)
    model.random("token_embd", model.n_vocab, _WIDTH, scale=_EMBEDDING)
    model.random("output", model.n_vocab, _WIDTH, scale=0.5)
    model.ones("output_norm")
    for i in range(2):
        model.attention(i, head=_WIDTH // _HEADS, n_heads_kv=2)
        model.feed_forward(i)
    return model.save()


def write_gemma3(path: Path, tokenizer_of: Path) -> Path:
    """Sliding windows: most layers forget all but the last 32 positions."""
    head = 32
    model = _Writer(path, "gemma3", n_layers=6, n_heads_kv=2, n_ctx_train=2048)
    model.file.add_key_length(head)
    model.file.add_value_length(head)
    model.file.add_sliding_window(_WINDOW)
    model.copy_tokenizer(tokenizer_of)
    model.random("token_embd", model.n_vocab, _WIDTH, scale=_EMBEDDING)
    model.random("output", model.n_vocab, _WIDTH, scale=0.5)
    model.ones("output_norm")
    for i in range(6):
        model.attention(i, head=head, n_heads_kv=2)
        model.feed_forward(i)
        for name in ("post_attention_norm", "post_ffw_norm"):
            model.ones(f"blk.{i}.{name}")
        for name in ("attn_k_norm", "attn_q_norm"):
            model.ones(f"blk.{i}.{name}", head)
    return model.save()


def write_lfm2(path: Path, tokenizer_of: Path) -> Path:
    """Hybrid: convolution layers with a running state between attention layers."""
    head = _WIDTH // _HEADS
    kinds = (0, 2, 0, 2)
    model = _Writer(path, "lfm2", n_layers=4, n_heads_kv=kinds, n_ctx_train=2048)
    model.file.add_shortconv_l_cache(3)
    model.copy_tokenizer(tokenizer_of)
    model.random("token_embd", model.n_vocab, _WIDTH, scale=_EMBEDDING)
    model.random("output", model.n_vocab, _WIDTH, scale=0.5)
    model.ones("token_embd_norm")
    for i, n_heads_kv in enumerate(kinds):
        if n_heads_kv:
            model.attention(i, head=head, n_heads_kv=n_heads_kv)
            model.ones(f"blk.{i}.attn_k_norm", head)
            model.ones(f"blk.{i}.attn_q_norm", head)
        else:
            model.ones(f"blk.{i}.attn_norm")
            model.random(f"blk.{i}.shortconv.conv", _WIDTH, 3)
            model.random(f"blk.{i}.shortconv.in_proj", 3 * _WIDTH, _WIDTH)
            model.random(f"blk.{i}.shortconv.out_proj", _WIDTH, _WIDTH)
        model.feed_forward(i)
    return model.save()


def write_qwen2vl(path: Path, tokenizer_of: Path, *, brief: bool = False) -> Path:
    """Plain attention, with positions in three directions for pictures (M-RoPE). One that is `brief` soon ends what it says."""
    model = _Writer(path, "qwen2vl", n_layers=2, n_heads_kv=2, n_ctx_train=2048)
    model.file.add_rope_dimension_sections([2, 3, 3, 0])
    model.copy_tokenizer(tokenizer_of)
    model.random("token_embd", model.n_vocab, _WIDTH, scale=1.0)
    model.random("output", model.n_vocab, _WIDTH, scale=0.5, loud=model.end if brief else None)
    model.ones("output_norm")
    for i in range(2):
        model.attention(i, head=_WIDTH // _HEADS, n_heads_kv=2)
        model.feed_forward(i)
    return model.save()


def write_bert(
    path: Path, tokenizer_of: Path, *, pooling: gguf.PoolingType | None = gguf.PoolingType.MEAN, ranks: bool = False
) -> Path:
    """Encoder only: turns a text into vectors, and can't write. With `ranks` it has a head that scores pairs of texts."""
    model = _Writer(path, "bert", n_layers=2, n_heads_kv=_HEADS, n_ctx_train=128)
    model.file.add_layer_norm_eps(1e-12)
    model.file.add_causal_attention(False)
    if pooling is not None:
        model.file.add_pooling_type(pooling)
    model.copy_tokenizer(tokenizer_of)
    model.file.add_token_type_count(2)
    model.random("token_embd", model.n_vocab, _WIDTH, scale=1.0)
    model.random("position_embd", 128, _WIDTH)
    model.random("token_types", 2, _WIDTH)
    model.norm("token_embd_norm")
    for i in range(2):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            model.linear(f"blk.{i}.{name}", _WIDTH, _WIDTH)
        model.norm(f"blk.{i}.attn_output_norm")
        model.linear(f"blk.{i}.ffn_up", _FF, _WIDTH)
        model.linear(f"blk.{i}.ffn_down", _WIDTH, _FF)
        model.norm(f"blk.{i}.layer_output_norm")
    if ranks:
        model.linear("cls", _WIDTH, _WIDTH)
        model.linear("cls.output", 1, _WIDTH)
    return model.save()


def write_qwen3(path: Path, tokenizer_of: Path, *, pooling: gguf.PoolingType, rerank_template: str | None = None) -> Path:
    """Plain attention, made for vectors; with a `rerank_template` it says yes or no to pairs of texts."""
    head = 32
    model = _Writer(path, "qwen3", n_layers=2, n_heads_kv=2, n_ctx_train=2048)
    model.file.add_key_length(head)
    model.file.add_value_length(head)
    model.file.add_pooling_type(pooling)
    if rerank_template is not None:
        model.file.add_chat_template([{"name": "rerank", "template": rerank_template}])
        model.file.add_classifier_output_labels(["no", "yes"])
        model.random("cls.output", 2, _WIDTH)
    model.copy_tokenizer(tokenizer_of)
    model.random("token_embd", model.n_vocab, _WIDTH, scale=1.0)
    model.ones("output_norm")
    for i in range(2):
        model.attention(i, head=head, n_heads_kv=2)
        model.feed_forward(i)
        for name in ("attn_k_norm", "attn_q_norm"):
            model.ones(f"blk.{i}.{name}", head)
    return model.save()


def write_qwen3moe(path: Path, tokenizer_of: Path) -> Path:
    """Plain attention; of eight experts two compute each token."""
    head = 32
    model = _Writer(path, "qwen3moe", n_layers=2, n_heads_kv=2, n_ctx_train=2048)
    model.file.add_key_length(head)
    model.file.add_value_length(head)
    model.experts()
    model.copy_tokenizer(tokenizer_of)
    model.random("token_embd", model.n_vocab, _WIDTH, scale=_EMBEDDING)
    model.random("output", model.n_vocab, _WIDTH, scale=0.5)
    model.ones("output_norm")
    for i in range(2):
        model.attention(i, head=head, n_heads_kv=2)
        for name in ("attn_k_norm", "attn_q_norm"):
            model.ones(f"blk.{i}.{name}", head)
        model.expert_feed_forward(i)
    return model.save()


def write_deepseek2(path: Path, tokenizer_of: Path) -> Path:
    """Latent attention (MLA): the cache has one short row a token, and no values. A dense layer, then one of experts."""
    q_rank, kv_rank, rope, nope, value = 48, 64, 16, 32, 32
    model = _Writer(path, "deepseek2", n_layers=2, n_heads_kv=1, n_ctx_train=2048)
    model.file.add_leading_dense_block_count(1)
    model.file.add_q_lora_rank(q_rank)
    model.file.add_kv_lora_rank(kv_rank)
    model.file.add_key_length(kv_rank + rope)
    model.file.add_value_length(kv_rank)
    model.file.add_key_length_mla(nope + rope)
    model.file.add_value_length_mla(value)
    model.file.add_rope_dimension_count(rope)
    model.experts(shared=1)
    model.copy_tokenizer(tokenizer_of)
    model.random("token_embd", model.n_vocab, _WIDTH, scale=_EMBEDDING)
    model.random("output", model.n_vocab, _WIDTH, scale=0.5)
    model.ones("output_norm")
    for i in range(2):
        model.ones(f"blk.{i}.attn_norm")
        model.ones(f"blk.{i}.attn_q_a_norm", q_rank)
        model.ones(f"blk.{i}.attn_kv_a_norm", kv_rank)
        model.random(f"blk.{i}.attn_q_a", q_rank, _WIDTH)
        model.random(f"blk.{i}.attn_q_b", _HEADS * (nope + rope), q_rank)
        model.random(f"blk.{i}.attn_kv_a_mqa", kv_rank + rope, _WIDTH)
        model.random(f"blk.{i}.attn_k_b", _HEADS, kv_rank, nope)
        model.random(f"blk.{i}.attn_v_b", _HEADS, value, kv_rank)
        model.random(f"blk.{i}.attn_output", _WIDTH, _HEADS * value)
    model.feed_forward(0)
    model.expert_feed_forward(1, shared=1)
    return model.save()


def write_lora(path: Path, *, architecture: str = "llama", rank: int = 4, width: int = _WIDTH) -> Path:
    """An adapter that changes what both layers of `write_llama` attend to."""
    random = np.random.default_rng(11)
    file = gguf.GGUFWriter(path, architecture)
    file.add_type("adapter")
    file.add_string("adapter.type", "lora")
    file.add_float32("adapter.lora.alpha", float(rank))
    for layer in range(2):
        for name in ("attn_q", "attn_output"):
            file.add_tensor(f"blk.{layer}.{name}.weight.lora_a", random.standard_normal((rank, width)).astype(np.float32))
            file.add_tensor(f"blk.{layer}.{name}.weight.lora_b", random.standard_normal((width, rank)).astype(np.float32))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


def copy_tokenizer(source: Path, file: gguf.GGUFWriter, *, reverse: bool = False) -> int:
    """Give a model the vocabulary of another, or one whose ordinary tokens have other ids; return how many tokens it has."""
    n_vocab = 0
    for key, field in gguf.GGUFReader(source).fields.items():
        if not key.startswith("tokenizer."):
            continue
        values: Any = field.contents()
        if reverse and key == "tokenizer.ggml.tokens":
            values = [*values[:300], *reversed(values[300:])]
        if field.types[0] is gguf.GGUFValueType.ARRAY:
            file.add_key_value(key, values, gguf.GGUFValueType.ARRAY, sub_type=field.types[-1])
        else:
            file.add_key_value(key, values, field.types[0])
        if key == "tokenizer.ggml.tokens":
            n_vocab = len(values)
    file.add_vocab_size(n_vocab)
    return n_vocab


@dataclass
class _Writer:
    path: Path
    architecture: str
    n_layers: int
    n_heads_kv: int | tuple[int, ...]
    n_ctx_train: int
    n_vocab: int = 0

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(7)
        self.file = gguf.GGUFWriter(self.path, self.architecture)
        self.file.add_name(f"Tiny {self.architecture}")
        self.file.add_context_length(self.n_ctx_train)
        self.file.add_embedding_length(_WIDTH)
        self.file.add_block_count(self.n_layers)
        self.file.add_feed_forward_length(_FF)
        self.file.add_head_count(_HEADS)
        self.file.add_head_count_kv(self.n_heads_kv if isinstance(self.n_heads_kv, int) else list(self.n_heads_kv))
        self.file.add_layer_norm_rms_eps(1e-6)
        self.file.add_rope_freq_base(10000.0)
        self.file.add_file_type(0)

    def copy_tokenizer(self, source: Path, *, reverse: bool = False) -> None:
        self.n_vocab = copy_tokenizer(source, self.file, reverse=reverse)

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        return int(self.file.kv_data[0]["tokenizer.ggml.eos_token_id"].value)

    def random(self, name: str, *shape: int, scale: float = 0.15, loud: int | None = None) -> None:
        """The row `loud` stands out from the others."""
        values = self._random.standard_normal(shape) * scale
        if loud is not None:
            values[loud] *= 8
        self._add(f"{name}.weight", values)

    def linear(self, name: str, *shape: int) -> None:
        self.random(name, *shape)
        self._add(f"{name}.bias", self._random.standard_normal(shape[0]) * 0.1)

    def ones(self, name: str, size: int = _WIDTH) -> None:
        self._add(f"{name}.weight", np.ones(size))

    def norm(self, name: str) -> None:
        self.ones(name)
        self._add(f"{name}.bias", np.zeros(_WIDTH))

    def attention(self, layer: int, *, head: int, n_heads_kv: int) -> None:
        self.ones(f"blk.{layer}.attn_norm")
        self.random(f"blk.{layer}.attn_q", _HEADS * head, _WIDTH)
        self.random(f"blk.{layer}.attn_k", n_heads_kv * head, _WIDTH)
        self.random(f"blk.{layer}.attn_v", n_heads_kv * head, _WIDTH)
        self.random(f"blk.{layer}.attn_output", _WIDTH, _HEADS * head)

    def feed_forward(self, layer: int) -> None:
        self.ones(f"blk.{layer}.ffn_norm")
        self.random(f"blk.{layer}.ffn_gate", _FF, _WIDTH)
        self.random(f"blk.{layer}.ffn_up", _FF, _WIDTH)
        self.random(f"blk.{layer}.ffn_down", _WIDTH, _FF)

    def experts(self, *, shared: int = 0) -> None:
        self.file.add_expert_count(_EXPERTS)
        self.file.add_expert_used_count(_EXPERTS_USED)
        self.file.add_expert_feed_forward_length(_EXPERT_FF)
        if shared:
            self.file.add_expert_shared_count(shared)

    def expert_feed_forward(self, layer: int, *, shared: int = 0) -> None:
        self.ones(f"blk.{layer}.ffn_norm")
        self.random(f"blk.{layer}.ffn_gate_inp", _EXPERTS, _WIDTH)
        for name, inner, outer in (("gate", _EXPERT_FF, _WIDTH), ("up", _EXPERT_FF, _WIDTH), ("down", _WIDTH, _EXPERT_FF)):
            self.random(f"blk.{layer}.ffn_{name}_exps", _EXPERTS, inner, outer)
            if shared:
                self.random(f"blk.{layer}.ffn_{name}_shexp", inner, outer)

    def save(self) -> Path:
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()
        return self.path

    def _add(self, name: str, values: np.ndarray[Any, Any]) -> None:
        self.file.add_tensor(name, values.astype(np.float32))


WRITERS: dict[str, Callable[[Path, Path], Path]] = {"llama": write_llama, "gemma3": write_gemma3, "lfm2": write_lfm2}
