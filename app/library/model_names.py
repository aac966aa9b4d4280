"""Which model a person or a client means by a name.

A model's id is its file's stem without the shard number, such as `Qwen3-8B-Q4_K_M`. Where two files have the same stem, one
keeps it (see `app.library.listing`) and the other is called by its place as well: `org/repo/Qwen3-8B-Q4_K_M`.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from app.domain.errors import ModelNotFound
from app.domain.models import InstalledModel
from app.library.catalogue import Catalogue, CatalogueModel, Meaning
from app.library.names import base_name

__all__ = ["ModelNames", "known_alias", "plain_name"]

_REPOSITORY_SUFFIX: Final = re.compile(r"[-_.]gguf$", re.IGNORECASE)
_HUB: Final = re.compile(r"^(?:(?:https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)/|hf://(?:models/)?)", re.IGNORECASE)
_SLASH: Final = re.compile("%2f", re.IGNORECASE)
_NEAR: Final = 3
# Of all that fit; a request's answer is no list of models.
_MOST_NAMED: Final = 8

_Forms: TypeAlias = Callable[[InstalledModel, str], Sequence[str]]


class ModelNames:
    """Finds a model by what it is called. Immutable; made anew when the list changes."""

    def __init__(self, models: Iterable[tuple[InstalledModel, str]], catalogue: Catalogue) -> None:
        """`models` come with their place: folders within a models folder and the stem, joined by "/"."""
        self._models = tuple(models)
        self._catalogue = catalogue
        self._ids = {model.id: model for model, _ in self._models}
        self._ids_in_any_case = _index(self._models, _id_forms)
        self._longer_and_shorter = (_index(self._models, _place_forms), _index(self._models, _short_forms))
        self._entries = {model.id: _entry((place, *model.also), catalogue) for model, place in self._models}

    def fitting(self, name: str, aliases: Mapping[str, str]) -> Sequence[InstalledModel]:
        """The models that a name fits: none, one, or too many. For much less than `find`, which says what was near."""
        return self._fitting(name, aliases)[1]

    def find(self, name: str, aliases: Mapping[str, str]) -> InstalledModel:
        """By id, id in another case, alias, then the longer and shorter forms and the catalogue's names, where only one model
        fits. Raises ModelNotFound."""
        target, found = self._fitting(name, aliases)
        if len(found) == 1:
            return found[0]
        meant = name if target is None else target
        if found:
            raise ModelNotFound(meant, near=tuple(model.id for model in found[:_MOST_NAMED]), ambiguous=True)
        meaning = self._catalogue.meaning(plain_name(meant))
        near = self._near(plain_name(meant), aliases)
        raise ModelNotFound(meant, near=near, pull=meaning.name if meaning else "", asked=name if target is not None else "")

    def in_place_of(self, model: InstalledModel) -> InstalledModel:
        """The model that was got because this one's file is of no use, if there is just one; else this one."""
        meaning = self._catalogue.meaning(model.instead) if model.instead else None
        usable = [one for one in self._by_meaning(meaning) if one.problem is None] if meaning is not None else []
        return usable[0] if len(usable) == 1 else model

    def aliases_of(self, model: InstalledModel, aliases: Mapping[str, str]) -> tuple[str, ...]:
        """The other names that this model answers to: those that a person gave it, those of other programs, the catalogue's."""
        entry = self._entries[model.id]
        known = (entry.family, entry.name) if entry is not None else ()
        names = dict.fromkeys((*aliases, *model.also, *known))
        return tuple(name for name in names if name != model.id and self.fitting(name, aliases) == [model])

    def _fitting(self, name: str, aliases: Mapping[str, str]) -> tuple[str | None, list[InstalledModel]]:
        """What a person's alias of this name stands for, if it is one, and the models that fit: none, one, or too many."""
        found = self._by_id(name)
        alias = known_alias(name, aliases) if not found else None
        if alias is None:
            return None, found or self._otherwise(name)
        target = aliases[alias]
        # Not by another alias: two of them could lead to one another.
        return target, self._by_id(target) or self._otherwise(target)

    def _by_id(self, name: str) -> list[InstalledModel]:
        exact = self._ids.get(name.strip())
        return [exact] if exact is not None else self._ids_in_any_case.get(plain_name(name), [])

    def _otherwise(self, name: str) -> list[InstalledModel]:
        wanted = plain_name(name)
        for index in self._longer_and_shorter:
            if wanted in index:
                return _usable(index[wanted])
        meaning = self._catalogue.meaning(wanted)
        return self._by_meaning(meaning) if meaning is not None else []

    def _by_meaning(self, meaning: Meaning) -> list[InstalledModel]:
        """The models that the catalogue's name fits; of several the one it stands for, if that is there once."""
        wanted = meaning.quantization.casefold()
        fitting = _usable(
            model
            for model, _ in self._models
            if self._entries[model.id] in meaning.models and wanted in ("", model.quantization.casefold())
        )
        usual = [model for model in fitting if self._entries[model.id] == meaning.model]
        same = [model for model in usual if model.quantization.casefold() == meaning.model.quantization.casefold()]
        return next((choice for choice in (fitting, usual, same) if len(choice) == 1), fitting)

    def _near(self, wanted: str, aliases: Mapping[str, str]) -> tuple[str, ...]:
        by_form = {alias.casefold(): alias for alias in aliases}
        for model, place in self._models:
            by_form |= dict.fromkeys((*_id_forms(model, place), *_short_forms(model, place)), model.id)
        close = difflib.get_close_matches(wanted, by_form, n=2 * _NEAR, cutoff=0.5)
        return tuple(dict.fromkeys(by_form[form] for form in close))[:_NEAR]


def _index(models: Iterable[tuple[InstalledModel, str]], forms: _Forms) -> Mapping[str, list[InstalledModel]]:
    index: defaultdict[str, list[InstalledModel]] = defaultdict(list)
    for model, place in models:
        for form in dict.fromkeys(forms(model, place)):
            index[form].append(model)
    return dict(index)


def _entry(places: Iterable[str], catalogue: Catalogue) -> CatalogueModel | None:
    return next((entry for place in places if (entry := catalogue.entry(place)) is not None), None)


def plain_name(name: str) -> str:
    """Without the hub's address, a default tag and a file's ending, in lower case."""
    plain = _HUB.sub("", _SLASH.sub("/", name.strip())).casefold()
    return plain.removesuffix(":latest").removesuffix(".gguf")


def known_alias(name: str, aliases: Iterable[str]) -> str | None:
    """The alias that a client means by `name`, as a person wrote it."""
    wanted = plain_name(name)
    return next((alias for alias in aliases if plain_name(alias) == wanted), None)


def _usable(models: Iterable[InstalledModel]) -> list[InstalledModel]:
    """Those without a problem, if there are any."""
    fitting = list(models)
    return [model for model in fitting if model.problem is None] or fitting


def _id_forms(model: InstalledModel, _place: str) -> Sequence[str]:
    return (model.id.casefold(),)


def _place_forms(model: InstalledModel, place: str) -> Sequence[str]:
    names = (place, place.rpartition("/")[2], *model.also)
    return tuple(name.casefold().removesuffix(":latest") for name in names)


def _short_forms(model: InstalledModel, place: str) -> Sequence[str]:
    """`Qwen3-8B`, `Qwen3-8B:Q4_K_M`, `org/repo`, `org/repo:Q4_K_M`; a repository also without its "-GGUF"."""
    folder, _, stem = place.rpartition("/")
    quantization = model.quantization.casefold()
    names = [base_name(stem).casefold()]
    for repository in filter(None, (folder, model.repository)):
        names += [repository.casefold(), _REPOSITORY_SUFFIX.sub("", repository).casefold()]
    return tuple(names) + tuple(f"{name}:{quantization}" for name in names)
