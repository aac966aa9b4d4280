"""What the window looks up on the hub and in the catalogue, with whether it would run here."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from app.domain.errors import EngineError
from app.domain.fit import FitVerdict
from app.domain.hub import HubModel, HubQuery
from app.domain.models import Capability
from app.library.catalogue import CatalogueModel
from app.library.hub_address import parse_address
from app.service.services import Services

__all__ = ["FoundPage", "Hit", "HubLookup", "Named", "Suggestion"]

# Of what the hub lists only the parameters are known; the usual quantization takes about this for each.
_BYTES_PER_PARAMETER = 0.6
_MOST_PARAMETERS = 2_000_000_000_000
# One of each kind, the newest and best known: what somebody new may begin with.
_FAMILIES = ("gemma4", "qwen3.5", "ministral-3", "gpt-oss", "smolvlm2", "embeddinggemma")
# What runs on the processor is of use up to about this size.
_PATIENT_BYTES = 6_000_000_000
_MOST_KNOWN = 5
_REPOSITORY = re.compile(r"^[\w.-]+/[\w.-]+(?::\S+)?$")


@dataclass(frozen=True, slots=True)
class Hit:
    """Found on the hub. `verdict` is rough, None where nothing can be said, or not yet."""

    model: HubModel
    verdict: FitVerdict | None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One of the catalogue's."""

    model: CatalogueModel
    verdict: FitVerdict | None


@dataclass(frozen=True, slots=True)
class FoundPage:
    hits: tuple[Hit, ...]
    next: str


@dataclass(frozen=True, slots=True)
class Named:
    """A repository, and the quantization that was meant, "" if none was."""

    repository: str
    quantization: str = ""


class HubLookup:
    """Coroutines for the service loop."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def page(self, query: HubQuery, *, only_fitting: bool) -> FoundPage:
        """Raises the DownloadError kinds of a search."""
        if only_fitting:
            largest = await self._largest()
            if largest is not None:
                most = min(largest, query.most_parameters or largest)
                query = replace(query, least_parameters=max(1, query.least_parameters), most_parameters=most)
        found = await self._services.hub.search(query)
        return FoundPage(tuple(Hit(model, None) for model in found.models), found.next)

    async def verdicts(self, hits: tuple[Hit, ...]) -> dict[str, FitVerdict]:
        """By repository, of those of which something can be told. The first time takes a second or two."""
        rated = {hit.model.id: await self._of_parameters(hit.model) for hit in hits}
        return {name: verdict for name, verdict in rated.items() if verdict is not None}

    async def suggestions(self) -> tuple[Suggestion, ...]:
        """Of some families the largest that this computer runs at ease."""
        suggested = []
        for name in _FAMILIES:
            family = [model for model in self._services.library.catalogue.models if model.family == name]
            rated = [Suggestion(model, await self._rough(model.size_bytes)) for model in family]
            fitting = [one for one in rated if _is_at_ease(one)]
            if fitting:
                suggested.append(max(fitting, key=lambda one: one.model.size_bytes))
        return tuple(suggested)

    async def known(self, text: str, capabilities: frozenset[Capability]) -> tuple[Suggestion, ...]:
        """Models of the catalogue whose names begin with what was typed: the sizes of one family, or one of each family."""
        family, colon, _ = wanted = text.strip().casefold().partition(":")
        able = [model for model in self._services.library.catalogue.models if capabilities <= model.capabilities]
        models = [model for model in able if model.name.startswith("".join(wanted)) and model.family == family]
        if not colon:
            firsts = {model.family: model for model in reversed(able)}
            models += [model for name, model in reversed(firsts.items()) if name != family and name.startswith(family)]
        return tuple([Suggestion(model, await self._rough(model.size_bytes)) for model in models[:_MOST_KNOWN]])

    async def named(self, text: str) -> Named | None:
        """The repository that a short name, a name such as `org/repo:Q4_K_M` or an address stands for; None for mere words.

        Raises InvalidRequest for an address of something else.
        """
        meaning = self._services.library.catalogue.meaning(text)
        if meaning is not None:
            return Named(meaning.model.repository, meaning.quantization or meaning.model.quantization)
        if not _REPOSITORY.match(text) and "://" not in text and not text.startswith(("hf.co/", "huggingface.co/")):
            return None
        address = parse_address(text, endpoint=self._services.hub.endpoint)
        return Named(address.repository, address.quantization)

    async def _of_parameters(self, model: HubModel) -> FitVerdict | None:
        if not model.parameters:
            return None
        return await self._rough(round(model.parameters * _BYTES_PER_PARAMETER), model.n_ctx_train)

    async def _rough(self, size_bytes: int, n_ctx_train: int = 0) -> FitVerdict | None:
        try:
            return await self._services.fit.rough(size_bytes, n_ctx_train)
        except EngineError:
            return None

    async def _largest(self) -> int | None:
        """How many parameters a model may have to fit; None if that can't be told."""
        least, most = 0, _MOST_PARAMETERS
        while most - least > 50_000_000:
            middle = (least + most) // 2
            verdict = await self._rough(round(middle * _BYTES_PER_PARAMETER))
            if verdict is None:
                return None
            least, most = (least, middle) if verdict is FitVerdict.TOO_LARGE else (middle, most)
        return max(1, least)


def _is_at_ease(one: Suggestion) -> bool:
    match one.verdict:
        case FitVerdict.GPU:
            return True
        case FitVerdict.TOO_LARGE:
            return False
        case _:
            return one.model.size_bytes <= _PATIENT_BYTES
