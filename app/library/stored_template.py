"""A model's chat template as its file holds it, without loading the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.library.gguf_container import MetadataValue, read_container, read_texts

__all__ = ["StoredTemplate", "read_template"]


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """`source` is Jinja; each is "" where the file names none."""

    source: str
    bos_text: str
    eos_text: str


def read_template(path: Path) -> StoredTemplate:
    """Raises NotAModel."""
    metadata = read_container(path).metadata
    source = metadata.get("tokenizer.chat_template")
    bos, eos = (_token_id(metadata.get(f"tokenizer.ggml.{name}_token_id")) for name in ("bos", "eos"))
    texts = read_texts(path, "tokenizer.ggml.tokens", (bos, eos))
    return StoredTemplate(source if isinstance(source, str) else "", texts.get(bos, ""), texts.get(eos, ""))


def _token_id(value: MetadataValue | None) -> int:
    return value if isinstance(value, int) else -1
