"""What is said of installed models to those who ask for a list of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from app.domain.errors import ModelLoadFailed
from app.domain.models import Capability, InstalledModel, LoadedModel
from app.library.library import ModelLibrary
from app.service.models import ModelManager
from app.service.template_facts import TemplateFacts

__all__ = ["ModelDescription", "ModelDescriptions"]

# How long a list may take to read templates that nobody has read before. The rest is read for the next one.
_PATIENCE_S: Final = 2.0
_BY_TEMPLATE: Final = frozenset({Capability.TOOLS, Capability.REASONING})


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """`aliases` are the other names it answers to; `warning` says what may be wrong with its answers."""

    model: InstalledModel
    loaded: LoadedModel
    capabilities: frozenset[Capability]
    aliases: tuple[str, ...]
    warning: str | None


class ModelDescriptions:
    """Owned by the service loop."""

    def __init__(self, library: ModelLibrary, models: ModelManager, *, patience_s: float = _PATIENCE_S) -> None:
        self._library = library
        self._models = models
        self._patience_s = patience_s

    async def all(self) -> tuple[ModelDescription, ...]:
        """Of the models that can be used: the built-in one first, then by name."""
        usable = [model for model in await self._library.refresh() if model.problem is None]
        until = time.monotonic() + self._patience_s
        return tuple([await self._describe(model, patient=time.monotonic() < until) for model in usable])

    async def find(self, name: str) -> ModelDescription:
        """Of the model that would answer to `name`. Raises ModelNotFound."""
        return await self._describe(await self._library.find_any(name), patient=True)

    async def _describe(self, model: InstalledModel, *, patient: bool) -> ModelDescription:
        facts = await self._facts(model, patient=patient)
        loaded = self._models.state(model.id)
        return ModelDescription(
            model=model,
            loaded=loaded,
            capabilities=(model.capabilities - _BY_TEMPLATE) | facts.capabilities if facts else model.capabilities,
            aliases=self._library.aliases_of(model),
            warning=loaded.warning or (facts.problem if facts else None),
        )

    async def _facts(self, model: InstalledModel, *, patient: bool) -> TemplateFacts | None:
        """None where the file's header has to do."""
        if not model.can(Capability.CHAT):
            return None
        if not patient:
            return self._models.known_facts(model)
        try:
            return await self._models.facts(model)
        except ModelLoadFailed:
            return None
