"""What `llama-server -hf` downloads: the cache of Hugging Face's library since 2026, before that a flat folder of its own."""

from __future__ import annotations

from collections.abc import Iterator

from app.domain.models import ModelSource
from app.library.stores.hugging_face import repositories
from app.library.stores.store import StoreFolder, StoreTrouble
from app.library.stores.surroundings import Surroundings

__all__ = ["llama_cpp_models"]


def llama_cpp_models(here: Surroundings) -> Iterator[StoreFolder | StoreTrouble]:
    chosen = here.variable("LLAMA_CACHE")
    if chosen is not None:
        yield from repositories(chosen, ModelSource.LLAMA_CPP)
    for folder in dict.fromkeys((*((chosen,) if chosen else ()), here.cache / "llama.cpp")):
        if folder.is_dir():
            yield StoreFolder(ModelSource.LLAMA_CPP, folder)
