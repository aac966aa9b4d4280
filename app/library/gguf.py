"""What a GGUF file says of itself, from its header alone."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.library.gguf_container import Container, Tensor, read_container
from app.library.gguf_types import FILE_TYPES
from app.library.ollama_format import ollama_format

__all__ = ["GgufHeader", "GgufKind", "Pooling", "is_embedding_architecture", "read_header"]

# Heads that turn an encoder into a classifier or a reranker.
_CLASSIFIERS: Final = frozenset({"cls.weight", "cls.output.weight"})
# What a file says of itself is shown in lists, and kept for each file.
_MAX_NAME: Final = 200
_MAX_DESCRIPTION: Final = 2000
_MAX_NUMBER: Final = 1 << 48
# Architectures that only guess ahead for another model, and the key that says how wide that one is.
_DRAFTS: Final = {"eagle3": "target_hidden_size", "dflash": "embedding_length", "gemma4-assistant": "embedding_length_out"}
# How tensors of picture and sound encoders, and of what leads from them into the model, are called.
_ENCODERS: Final = ("v.", "mm.", "a.")
_PROJECTOR_TYPES: Final = ("clip.projector_type", "clip.vision.projector_type", "clip.audio.projector_type")
# Encoders whose files do not always name a pooling.
_EMBEDDING_ARCHITECTURES: Final = ("bert", "gemma-embedding", "t5encoder")


class GgufKind(enum.StrEnum):
    MODEL = "model"
    PROJECTOR = "projector"
    DRAFT = "draft"
    ADAPTER = "adapter"
    VOCABULARY = "vocabulary"
    OTHER = "other"


class Pooling(enum.IntEnum):
    """llama.h, enum llama_pooling_type."""

    NONE = 0
    MEAN = 1
    CLS = 2
    LAST = 3
    RANK = 4


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Facts of one file; 0, "" and None where the header does not say.

    `needed_bytes` is the smallest size the whole file can have, to tell a cut one. `widths` are the embedding lengths a
    projector may produce, the likeliest first. `split_count` is 0 for a file that is not a shard; `split_no` counts from 0.
    `draft_width` is the embedding length of the models that a draft is for; `n_vocab` and `tokenizer` tell whether two models
    have one vocabulary. `holds_encoder`: a model with the tensors of its projector in the same file, which llama.cpp does not
    load.
    """

    kind: GgufKind
    architecture: str
    name: str
    quantization: str
    parameters: int
    n_ctx_train: int
    n_embd: int
    needed_bytes: int
    pooling: Pooling | None = None
    is_embedding: bool = False
    is_reranker: bool = False
    has_template: bool = False
    template_takes_tools: bool = False
    template_thinks: bool = False
    has_vision: bool = False
    has_audio: bool = False
    projector_type: str = ""
    widths: tuple[int, ...] = ()
    split_no: int = 0
    split_count: int = 0
    split_tensors: int = 0
    n_tensors: int = 0
    license: str = ""
    description: str = ""
    size_label: str = ""
    holds_encoder: bool = False
    ollama_format: str = ""
    draft_width: int = 0
    n_vocab: int = 0
    tokenizer: str = ""


def is_embedding_architecture(architecture: str) -> bool:
    """Whether models of this kind make embeddings, also where the file names no pooling."""
    return any(part in architecture for part in _EMBEDDING_ARCHITECTURES)


def read_header(path: Path) -> GgufHeader:
    """Read and understand a file's header: some milliseconds, 0.2 s for the largest vocabularies. Raises NotAModel."""
    return _Facts(read_container(path)).header()


class _Facts:
    """Takes typed values out of metadata that may hold anything."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._metadata = container.metadata
        self._architecture = self._line("general.architecture", _MAX_NAME)

    def header(self) -> GgufHeader:
        container = self._container
        kind = self._kind()
        template = self._template()
        pooling = self._pooling()
        return GgufHeader(
            kind=kind,
            architecture=self._architecture,
            name=self._line("general.name", _MAX_NAME),
            quantization=self._quantization(),
            parameters=sum(tensor.weights for tensor in container.tensors),
            n_ctx_train=self._own_number("context_length"),
            n_embd=self._own_number("embedding_length"),
            needed_bytes=container.end,
            pooling=pooling,
            is_embedding=self._is_embedding(pooling),
            is_reranker=self._is_reranker(pooling),
            has_template=bool(template),
            template_takes_tools="tools" in template or any(".tool" in key for key in self._template_keys()),
            template_thinks="think" in template or "reasoning_content" in template,
            has_vision=kind is GgufKind.PROJECTOR and self._sees(),
            has_audio=kind is GgufKind.PROJECTOR and self._metadata.get("clip.has_audio_encoder") is True,
            projector_type=next(filter(None, (self._line(key, _MAX_NAME) for key in _PROJECTOR_TYPES)), ""),
            widths=self._widths() if kind is GgufKind.PROJECTOR else (),
            split_no=self._number("split.no"),
            split_count=self._number("split.count"),
            split_tensors=self._number("split.tensors.count"),
            n_tensors=len(container.tensors),
            license=self._line("general.license", _MAX_NAME),
            description=self._line("general.description", _MAX_DESCRIPTION),
            size_label=self._line("general.size_label", _MAX_NAME),
            draft_width=self._own_number(_DRAFTS.get(self._architecture, "embedding_length")) if kind is GgufKind.DRAFT else 0,
            n_vocab=self._n_vocab(),
            tokenizer=self._line("tokenizer.ggml.pre", _MAX_NAME) or self._line("tokenizer.ggml.model", _MAX_NAME),
            holds_encoder=kind is GgufKind.MODEL and any(t.name.startswith(_ENCODERS) for t in container.tensors),
            ollama_format=ollama_format(self._architecture, container) if kind is GgufKind.MODEL else "",
        )

    def _kind(self) -> GgufKind:
        kind = self._text("general.type")
        if kind == "mmproj" or self._architecture == "clip":
            return GgufKind.PROJECTOR
        if kind == "adapter":
            return GgufKind.ADAPTER
        if not self._architecture or kind not in ("", "model"):
            return GgufKind.OTHER
        # The first of several shards may hold metadata only.
        if not self._container.tensors and not self._number("split.count") > 1:
            return GgufKind.VOCABULARY
        if self._architecture in _DRAFTS or self._is_prediction_head():
            return GgufKind.DRAFT
        return GgufKind.MODEL

    def _is_prediction_head(self) -> bool:
        """Whether it is the part of a model that predicts several tokens (MTP), in a file of its own: the layers after the
        model's own, without those."""
        n_own = self._own_number("block_count") - self._own_number("nextn_predict_layers")
        if not 0 < n_own < self._own_number("block_count") or self._number("split.count") > 1:
            return False
        layers = {int(found[1]) for t in self._container.tensors if (found := re.match(r"blk\.(\d{1,6})\.", t.name))}
        return bool(layers) and min(layers) >= n_own

    def _n_vocab(self) -> int:
        embedding = next((t for t in self._container.tensors if t.name == "token_embd.weight"), None)
        return embedding.shape[-1] if embedding is not None and embedding.shape else 0

    def _quantization(self) -> str:
        # Bit 10 marks a type that was guessed when the file was made.
        named = FILE_TYPES.get(self._number("general.file_type", default=-1) & ~1024)
        return named if named is not None else _dominant_type(self._container.tensors)

    def _pooling(self) -> Pooling | None:
        value = self._metadata.get(f"{self._architecture}.pooling_type")
        return Pooling(value) if isinstance(value, int) and value in tuple(Pooling) else None

    def _is_embedding(self, pooling: Pooling | None) -> bool:
        if self._is_reranker(pooling):
            return False
        if pooling is not None and pooling is not Pooling.NONE:
            return True
        return pooling is None and is_embedding_architecture(self._architecture)

    def _is_reranker(self, pooling: Pooling | None) -> bool:
        """By its pooling, or by a head with one answer (or yes and no): converters did not always write the pooling."""
        if pooling is not None:
            return pooling is Pooling.RANK
        labels = self._metadata.get(f"{self._architecture}.classifier.output_labels")
        answers = [str(label).lower() for label in labels] if isinstance(labels, (list, tuple)) else []
        has_head = any(tensor.name in _CLASSIFIERS for tensor in self._container.tensors)
        return has_head and (len(answers) < 2 or "yes" in answers)

    def _template_keys(self) -> Iterable[str]:
        return (key for key in self._metadata if key.startswith("tokenizer.chat_template."))

    def _template(self) -> str:
        return self._text("tokenizer.chat_template")

    def _sees(self) -> bool:
        flag = self._metadata.get("clip.has_vision_encoder")
        if isinstance(flag, bool):
            return flag
        # Files older than the flag had nothing but vision.
        return "clip.has_audio_encoder" not in self._metadata

    def _widths(self) -> tuple[int, ...]:
        """LLaVA's files give CLIP's own projection length, so the layers that lead into the model are looked at too."""
        named = [self._number(f"clip.{part}.projection_dim") for part in ("vision", "audio")]
        layers = [
            t.shape[-1] for t in self._container.tensors if t.name.startswith("mm.") and t.shape and t.name.endswith("bias")
        ]
        return tuple(dict.fromkeys(width for width in (*named, *reversed(layers)) if width))

    def _text(self, key: str) -> str:
        value = self._metadata.get(key)
        return value if isinstance(value, str) else ""

    def _line(self, key: str, limit: int) -> str:
        """Text for people: one line of it, without what would move a terminal's cursor, and not endless."""
        text = self._text(key)[: 4 * limit]
        return "".join(char if char.isprintable() else " " for char in text).strip()[:limit]

    def _number(self, key: str, *, default: int = 0) -> int:
        value = self._metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_NUMBER else default

    def _own_number(self, key: str) -> int:
        return self._number(f"{self._architecture}.{key}")


def _dominant_type(tensors: Iterable[Tensor]) -> str:
    """The type most weights are stored in."""
    weights: Counter[str] = Counter()
    for tensor in tensors:
        weights[tensor.type.name] += tensor.weights
    return weights.most_common(1)[0][0] if weights else ""
