"""Models of real shapes with random weights: as fast and as large as real ones, with nothing to say.

The logits have the spread of a real model's, so that sampling does its usual work, and only ordinary text is ever likely.
Deterministic: the same shape and vocabulary give the same file.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Kind

from tests.benchmarks.vocabulary import Vocabulary, VocabularySource
from tests.benchmarks.weights import BLOCK_WRITERS, random_tensor

__all__ = ["SHAPES", "Shape", "model_file", "write_model"]

# Raise it when the files change.
_VERSION = 1
# Standard deviation of the logits: with 128,000 tokens the likeliest then has some 40 % at temperature 0.8.
_LOGIT_SPREAD = 3.0
_CONTEXT = 32768

_HEADERS_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n"
    "{{ message.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
_TURNS_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|turn>{{ message.role }}\n"
    "{{ message.content | trim }}<turn|>\n{% endfor %}{% if add_generation_prompt %}<|turn>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides a model's speed. `heads_kv` has one number per layer where layers differ; 0 is a layer without attention.

    `body` is the format of the layers and `embedding` that of the vocabulary's matrix, which is also the output's.
    """

    architecture: str
    vocabulary: str
    layers: int
    width: int
    ff: int
    heads: int
    heads_kv: int | tuple[int, ...]
    head: int
    body: Kind
    embedding: Kind
    rope_base: float = 10_000.0
    window: int = 0
    template: str = _HEADERS_TEMPLATE

    def heads_kv_of(self, layer: int) -> int:
        return self.heads_kv if isinstance(self.heads_kv, int) else self.heads_kv[layer]


_LFM2_LAYERS = tuple(8 if i in (2, 5, 8, 10, 12, 14) else 0 for i in range(16))
SHAPES: dict[str, Shape] = {
    "135m": Shape("llama", "llama-bpe", 30, 576, 1536, 9, 3, 64, Kind.Q8_0, Kind.Q8_0),
    "1b": Shape("llama", "llama-bpe", 16, 2048, 8192, 32, 8, 64, Kind.Q4_0, Kind.Q6_K, rope_base=500_000.0),
    "gemma3": Shape(
        *("gemma3", "gemma-4", 26, 1152, 6912, 4, 1, 256, Kind.Q4_0, Kind.Q8_0),
        rope_base=1_000_000.0,
        window=512,
        template=_TURNS_TEMPLATE,
    ),
    "lfm2": Shape("lfm2", "llama-bpe", 16, 1024, 4608, 16, _LFM2_LAYERS, 64, Kind.Q4_0, Kind.Q6_K, rope_base=1_000_000.0),
    "embedding": Shape("bert", "bert-bge", 6, 384, 1536, 12, 12, 32, Kind.Q8_0, Kind.Q8_0),
}


def model_file(name: str, folder: Path, vocabularies: VocabularySource) -> Path:
    """The model of a shape, written if it is not there yet."""
    path = folder / f"bench-{name}-v{_VERSION}.gguf"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shape = SHAPES[name]
        part = path.with_suffix(".part")
        write_model(part, shape, Vocabulary(vocabularies.file(shape.vocabulary)), name=f"Benchmark {name}")
        part.replace(path)
    return path


def write_model(path: Path, shape: Shape, vocabulary: Vocabulary, *, name: str) -> None:
    """Write tensor by tensor: memory is needed for the largest of them only."""
    file = gguf.GGUFWriter(path, shape.architecture)
    _write_header(file, shape, vocabulary, name)
    tensors = tuple(_tensors(shape, vocabulary))
    for tensor in tensors:
        block = BLOCK_WRITERS[tensor.kind]
        n_bytes = math.prod(tensor.shape) // block.n_weights * block.n_bytes
        file.add_tensor_info(tensor.name, list(tensor.shape), np.dtype(np.float32), n_bytes, tensor.kind)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_ti_data_to_file()
    for tensor in tensors:
        file.write_tensor_data(tensor.make())
    file.close()


def _write_header(file: gguf.GGUFWriter, shape: Shape, vocabulary: Vocabulary, name: str) -> None:
    is_bert = shape.architecture == "bert"
    file.add_name(name)
    file.add_context_length(512 if is_bert else _CONTEXT)
    file.add_embedding_length(shape.width)
    file.add_block_count(shape.layers)
    file.add_feed_forward_length(shape.ff)
    file.add_head_count(shape.heads)
    file.add_head_count_kv(shape.heads_kv if isinstance(shape.heads_kv, int) else list(shape.heads_kv))
    file.add_vocab_size(vocabulary.n_tokens)
    vocabulary.copy_to(file)
    if is_bert:
        file.add_layer_norm_eps(1e-12)
        file.add_causal_attention(False)
        file.add_pooling_type(gguf.PoolingType.MEAN)
        return
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_freq_base(shape.rope_base)
    file.add_chat_template(shape.template)
    if shape.window:
        file.add_key_length(shape.head)
        file.add_value_length(shape.head)
        file.add_sliding_window(shape.window)
    if shape.architecture == "lfm2":
        file.add_shortconv_l_cache(3)


# ------------------------------------------------------------------------------------------------------------------ tensors
Array: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Tensor:
    """`shape` counts weights, rows first."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    make: Callable[[], Array]


def _tensors(shape: Shape, vocabulary: Vocabulary) -> Iterator[_Tensor]:
    match shape.architecture:
        case "bert":
            yield from _bert(shape, vocabulary)
        case _:
            yield _embedding(shape, vocabulary)
            yield _constant("token_embd_norm" if shape.architecture == "lfm2" else "output_norm", shape.width, 1.0)
            for i in range(shape.layers):
                yield from _attention(shape, i) if shape.heads_kv_of(i) else _convolution(shape, i)
                yield from _feed_forward(shape, i)


def _embedding(shape: Shape, vocabulary: Vocabulary) -> _Tensor:
    """The output is this matrix too. The rows of what must not be said are 0, which is far below the likely logits."""
    whole = _matrix("token_embd", vocabulary.n_tokens, shape.width, shape.embedding, _LOGIT_SPREAD / math.sqrt(shape.width))

    def make() -> Array:
        rows = whole.make()
        # A block of zero bytes is a block of zeros in each of the formats.
        rows[~vocabulary.speakable] = 0
        return rows

    return _Tensor(whole.name, whole.shape, whole.kind, make)


def _attention(shape: Shape, layer: int) -> Iterator[_Tensor]:
    name, width, inner = f"blk.{layer}", shape.width, shape.heads * shape.head
    inner_kv = shape.heads_kv_of(layer) * shape.head
    yield _constant(f"{name}.attn_norm", width, 1.0)
    yield _matrix(f"{name}.attn_q", inner, width, shape.body)
    yield _matrix(f"{name}.attn_k", inner_kv, width, shape.body)
    yield _matrix(f"{name}.attn_v", inner_kv, width, shape.body)
    yield _matrix(f"{name}.attn_output", width, inner, shape.body)
    if shape.architecture != "llama":
        yield _constant(f"{name}.attn_q_norm", shape.head, 1.0)
        yield _constant(f"{name}.attn_k_norm", shape.head, 1.0)
    if shape.architecture == "gemma3":
        # Gemma adds the input with a weight of sqrt(width): with layers that weigh less it would say it again and again.
        yield _constant(f"{name}.post_attention_norm", width, 8.0)
        yield _constant(f"{name}.post_ffw_norm", width, 8.0)


def _convolution(shape: Shape, layer: int) -> Iterator[_Tensor]:
    name, width = f"blk.{layer}", shape.width
    yield _constant(f"{name}.attn_norm", width, 1.0)
    yield _matrix(f"{name}.shortconv.conv", width, 3, Kind.F32)
    yield _matrix(f"{name}.shortconv.in_proj", 3 * width, width, shape.body)
    yield _matrix(f"{name}.shortconv.out_proj", width, width, shape.body)


def _feed_forward(shape: Shape, layer: int) -> Iterator[_Tensor]:
    name = f"blk.{layer}"
    yield _constant(f"{name}.ffn_norm", shape.width, 1.0)
    yield _matrix(f"{name}.ffn_gate", shape.ff, shape.width, shape.body)
    yield _matrix(f"{name}.ffn_up", shape.ff, shape.width, shape.body)
    yield _matrix(f"{name}.ffn_down", shape.width, shape.ff, shape.body)


def _bert(shape: Shape, vocabulary: Vocabulary) -> Iterator[_Tensor]:
    width, ff = shape.width, shape.ff
    yield _matrix("token_embd", vocabulary.n_tokens, width, shape.embedding, 1.0)
    yield _matrix("position_embd", 512, width, Kind.F32, 1.0)
    yield _matrix("token_types", 2, width, Kind.F32, 1.0)
    yield from _norm("token_embd_norm", width)
    for i in range(shape.layers):
        for part, rows, columns in (
            *((part, width, width) for part in ("attn_q", "attn_k", "attn_v", "attn_output")),
            *(("ffn_up", ff, width), ("ffn_down", width, ff)),
        ):
            yield _matrix(f"blk.{i}.{part}", rows, columns, shape.body)
            yield _constant(f"blk.{i}.{part}", rows, 0.0, "bias")
        yield from _norm(f"blk.{i}.attn_output_norm", width)
        yield from _norm(f"blk.{i}.layer_output_norm", width)


def _norm(name: str, size: int) -> Iterator[_Tensor]:
    yield _constant(name, size, 1.0)
    yield _constant(name, size, 0.0, "bias")


def _matrix(name: str, rows: int, columns: int, kind: Kind, std: float | None = None) -> _Tensor:
    """Without `std`: weights that keep the size of what goes through them."""
    full_name = f"{name}.weight"

    def make() -> Array:
        random = np.random.default_rng(zlib.crc32(full_name.encode()))
        tensor = random_tensor((rows, columns), kind, 1 / math.sqrt(columns) if std is None else std, random)
        return tensor.view(np.float32) if kind is Kind.F32 else tensor

    return _Tensor(full_name, (rows, columns), kind, make)


def _constant(name: str, size: int, value: float, suffix: str = "weight") -> _Tensor:
    return _Tensor(f"{name}.{suffix}", (size,), Kind.F32, lambda: np.full(size, value, np.float32))
