"""Files that only the program that made them can load."""

from __future__ import annotations

from app.domain.models import ModelSource
from app.library.gguf import GgufHeader
from app.library.stores.store import StoreModel

__all__ = ["foreign_format"]


def foreign_format(header: GgufHeader | None, store: StoreModel) -> str | None:
    """Why llama.cpp can't load a file of Ollama's, and what to do; None if nothing speaks against it."""
    # Ollama keeps what it gets from the hub as it is.
    if header is None or store.source is not ModelSource.OLLAMA or store.repository:
        return None
    if header.ollama_format:
        reason = f"Its file {header.ollama_format}, which llama.cpp can't load."
    elif header.holds_encoder:
        reason = "Its file holds the encoder of pictures or sound too, as only Ollama's do, which llama.cpp can't load."
    else:
        return None
    if store.instead:
        return f"{reason} Get the same model with `hearth pull {store.instead}`, or on the Models page."
    return f"{reason} Look for the same model on the Models page."
