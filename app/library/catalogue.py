"""Models by the names that people know them by, such as `llama3.2:3b`, and where on the hub they are."""

from __future__ import annotations

import difflib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.library.catalogue_model import REPOSITORY_SUFFIX, CatalogueModel, catalogue_model, form_of
from app.library.names import base_name, quantization_in

__all__ = ["Catalogue", "CatalogueModel", "Meaning"]

_NEAR: Final = 3


@dataclass(frozen=True, slots=True)
class Meaning:
    """What `name` may stand for: the first of `models`, else another of them; of a quantization if it names one, else ""."""

    name: str
    models: tuple[CatalogueModel, ...]
    quantization: str = ""

    @property
    def model(self) -> CatalogueModel:
        return self.models[0]


class Catalogue:
    """Immutable. Of a family's models the first is what the family's bare name stands for."""

    def __init__(self, models: Iterable[CatalogueModel]) -> None:
        self._families: defaultdict[str, list[CatalogueModel]] = defaultdict(list)
        self._whole: dict[str, CatalogueModel] = {}
        # Each listing asks for the same places again.
        self._entries: dict[str, CatalogueModel | None] = {}
        for model in models:
            self._families[model.family].append(model)
            for form in (model.original.casefold(), *model.stems):
                self._whole.setdefault(form, model)

    @classmethod
    def read(cls, file: Path) -> Catalogue:
        families = json.loads(file.read_text("utf-8"))["families"]
        return cls(catalogue_model(family, model) for family in families for model in family["models"])

    @property
    def models(self) -> tuple[CatalogueModel, ...]:
        return tuple(model for family in self._families.values() for model in family)

    def meaning(self, name: str) -> Meaning | None:
        """Understand `llama3.2`, `llama3.2:3b`, `llama3.2:3b-instruct-q8_0`, `meta-llama/Llama-3.2-3B-Instruct` and
        `Llama-3.2-3B-Instruct`; the last two also with `:QUANTIZATION`."""
        wanted = name.strip().casefold().removesuffix(":latest")
        head, _, tag = wanted.partition(":")
        family = self._families.get(head)
        if family is not None:
            return _tagged(wanted, family, tag) if tag else Meaning(head, tuple(family))
        model = self._whole.get(head) or self._whole.get(form_of(head))
        if model is None or base_name(tag):
            return None
        return Meaning(f"{model.name}-{tag}" if tag else model.name, (model,), quantization_in(tag))

    def near(self, name: str) -> tuple[str, ...]:
        """Short names that are written much like `name`."""
        wanted = name.strip().casefold()
        known = [model.name for model in self.models] if ":" in wanted else list(self._families)
        return tuple(difflib.get_close_matches(wanted, known, n=_NEAR, cutoff=0.7))

    def model_of(self, stem: str, folder: str) -> CatalogueModel | None:
        """Which one a file with this stem holds; else the one that its folder is named after."""
        return self._whole.get(form_of(stem)) or self._whole.get(form_of(REPOSITORY_SUFFIX.sub("", folder)))

    def entry(self, place: str) -> CatalogueModel | None:
        """Which one is meant by a name with folders, as a file of the hub has them, or by a short name alone."""
        if place not in self._entries:
            path, _, stem = place.rpartition("/")
            known = self.model_of(stem, path.rpartition("/")[2])
            meaning = self.meaning(place) if known is None else None
            self._entries[place] = meaning.model if meaning is not None else known
        return self._entries[place]


def _tagged(name: str, family: list[CatalogueModel], tag: str) -> Meaning | None:
    """The longest tag of the family that `tag` begins with; what follows names a quantization or repeats the repository."""
    for model in sorted(family, key=lambda model: -len(model.tag)):
        if tag == model.tag or tag.startswith(f"{model.tag}-"):
            rest = tag.removeprefix(model.tag)
            known = model.repository.casefold()
            return Meaning(name, (model,), quantization_in(rest)) if _all_in(known, base_name(rest)) else None
    return None


def _all_in(text: str, words: str) -> bool:
    return all(word in text for word in words.split("-"))
