"""Models that other programs keep on this computer: read where they are, never written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from app.domain.models import ModelSource
from app.library.stores.gpt4all import gpt4all_models
from app.library.stores.hugging_face import hugging_face_models
from app.library.stores.jan import jan_models
from app.library.stores.llama_cpp import llama_cpp_models
from app.library.stores.lm_studio import lm_studio_models
from app.library.stores.notes import NoteCache, Notes
from app.library.stores.ollama import ollama_models
from app.library.stores.store import Store, StoreFolder, StoreModel, StoreTrouble
from app.library.stores.surroundings import Surroundings

__all__ = ["NoteCache", "Notes", "Store", "StoreFolder", "StoreModel", "StoreTrouble", "Surroundings", "find_stores"]


def find_stores(here: Surroundings, notes: Notes, equivalent: Callable[[str], str]) -> Iterator[Store]:
    """What other programs have, a program after the other; what can't be read is told, not passed over.

    `equivalent` tells what to get from the hub in place of a model by its short name, "" if nobody knows.
    """
    for source, found in (
        (ModelSource.OLLAMA, ollama_models(here, notes, equivalent)),
        (ModelSource.LM_STUDIO, lm_studio_models(here, notes)),
        (ModelSource.HUGGING_FACE, hugging_face_models(here, notes)),
        (ModelSource.LLAMA_CPP, llama_cpp_models(here, notes)),
        (ModelSource.JAN, jan_models(here, notes)),
        (ModelSource.GPT4ALL, gpt4all_models(here, notes)),
    ):
        try:
            yield from found
        except OSError as error:
            # Other programs' notes can name anything; the rest is listed.
            yield StoreTrouble.of(source, Path(error.filename or here.home), error)
