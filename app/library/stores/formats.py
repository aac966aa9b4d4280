"""Files that only the program that made them can load."""

from __future__ import annotations

from typing import Final

from app.domain.models import ModelSource
from app.library.gguf import GgufHeader
from app.library.stores.store import StoreModel

__all__ = ["foreign_format"]

# Ollama's own names for architectures that llama.cpp calls otherwise (ollama, llama/compat/README.md, August 2026).
_OLLAMA_ARCHITECTURES: Final = frozenset({"gptoss", "qwen25vl", "deepseekocr", "glmocr", "glm4moelite", "mllama"})


def foreign_format(header: GgufHeader | None, store: StoreModel) -> str | None:
    """Why llama.cpp can't load a file of Ollama's, and what to do; None if nothing speaks against it."""
    if header is None or store.source is not ModelSource.OLLAMA:
        return None
    if header.architecture in _OLLAMA_ARCHITECTURES:
        reason = f"Its file is in a format of Ollama's own ({header.architecture}), which llama.cpp can't load."
    elif header.holds_encoder:
        reason = "Its file holds the picture encoder too, as only Ollama's do, which llama.cpp can't load."
    else:
        return None
    return f"{reason} {_advice(store.instead)}"


def _advice(instead: str) -> str:
    if instead:
        return f"Get the same model with `hearth pull {instead}`, or on the Models page."
    return "Look for the same model on the Models page."
