"""One model as it was found in one place, before it is known where else it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from app.domain.models import InstalledModel, MissingPart, ModelDefaults, ModelSource
from app.library.assemble import Assembled
from app.library.headers import GgufFile
from app.library.local_names import no_text_in
from app.library.projectors import best_projector

__all__ = ["BUILT_IN_ID", "RANKS", "Found"]

BUILT_IN_ID: Final = "ember"
# Who gets the short id. A file given by path comes first: whoever gave it uses its stem.
_ORDER: Final = (ModelSource.PATH, ModelSource.BUILT_IN, ModelSource.LIBRARY, ModelSource.FOLDER, ModelSource.ADDED)
RANKS: Final = {source: rank for rank, source in enumerate((*_ORDER, *(other for other in ModelSource if other not in _ORDER)))}


@dataclass(frozen=True, slots=True)
class Found:
    """`place` is its name with folders, `also` what other programs call it. `name` is what it is called where its file's name
    says nothing, else "". `adapters` and a `variant` make it another model than its file alone is."""

    model: Assembled
    place: str
    source: ModelSource
    rank: int
    repository: str = ""
    sha256: str = ""
    name: str = ""
    license: str = ""
    adapters: tuple[GgufFile, ...] = ()
    also: tuple[str, ...] = ()
    defaults: ModelDefaults = field(default_factory=ModelDefaults)
    variant: str = ""
    instead: str = ""

    @property
    def path(self) -> Path:
        return self.model.shards[0].path

    @property
    def stem(self) -> str:
        return BUILT_IN_ID if self.source is ModelSource.BUILT_IN else self.name or self.model.stem

    @property
    def is_own(self) -> bool:
        """Whether a person or we put it there, and not another program."""
        return self.source in _ORDER

    @property
    def no_text(self) -> str:
        """Which of its names, or those of its files, can't be shown; "" if all can be."""
        parts = (self.model.projector, self.model.draft, *self.adapters)
        files = (*self.model.shards, *(file for file in parts if file is not None))
        return no_text_in((*(str(file.path) for file in files), self.place, self.name))

    def identities(self) -> Iterator[object]:
        """What it has in common with another name of the same file: links, hard links, a copy whose hash both stores tell."""
        changed = (self.variant, *(adapter.path for adapter in self.adapters))
        yield (self.model.shards[0].identity or os.path.realpath(self.path), changed)
        if self.sha256:
            yield (self.sha256, changed)

    def merged(self, other: Found) -> Found:
        """Listed once, for the same file is also `other`, which was found later."""
        one = self
        if one.model.problem is not None and other.model.problem is None and not (one.is_own or other.is_own):
            one, other = replace(other, rank=one.rank), one
        elif other.rank < one.rank:
            # A file of a models folder that was also opened by path stays what it is, but gets the short id.
            one = replace(one, rank=other.rank)
        projector, draft = one.model.projector or other.model.projector, one.model.draft or other.model.draft
        names = (*one.also, *other.also, other.name)
        return replace(
            one,
            model=replace(one.model, projector=projector, draft=draft),
            repository=one.repository or other.repository,
            sha256=one.sha256 or other.sha256,
            also=tuple(dict.fromkeys(filter(None, names))),
        )

    def of_repository(self, repository: str) -> Found:
        return self if repository == self.repository else replace(self, repository=repository)

    def with_projector(self, fetched: Iterable[GgufFile]) -> Found:
        """With one of those that we have from its repository, where none lies beside it."""
        best = best_projector(self.model.shards[0], fetched) if self.model.projector is None else None
        return self if best is None else replace(self, model=replace(self.model, projector=best))

    def listed(self, model_id: str, missing: tuple[MissingPart, ...]) -> InstalledModel:
        model = self.model.model(model_id, self.source, repository=self.repository, missing=missing)
        also = tuple(name for name in self.also if name != model_id)
        if not (also or self.name):
            return model
        return replace(
            model,
            files=(*model.files, *(adapter.path for adapter in self.adapters)),
            size_bytes=model.size_bytes + sum(adapter.size_bytes for adapter in self.adapters),
            license=model.license or self.license,
            adapters=tuple(adapter.path for adapter in self.adapters),
            also=also,
            defaults=self.defaults,
            instead=self.instead,
        )
