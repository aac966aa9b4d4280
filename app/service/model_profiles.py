"""How a model is loaded and answers: every setting with its value, and where that comes from."""

from __future__ import annotations

import asyncio
import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.domain.errors import InvalidRequest, ModelNotFound, NotAModel, SettingsError
from app.domain.generation import SamplingChoice, SamplingParams
from app.domain.models import InstalledModel
from app.engine.recommended_sampling import recommended_sampling
from app.library.gguf_container import read_container
from app.library.library import ModelLibrary
from app.library.model_names import known_alias, plain_name
from app.service.model_config import engine_config
from app.service.whole_file import write_whole
from app.settings import ModelSettings, SamplingSettings, Settings, SettingsStore

__all__ = ["EffectiveValue", "ModelProfiles", "ValueSource"]

_FORMAT: Final = "hearth-model-settings"
_VERSION: Final = 1
_SAMPLING: Final = "sampling."


class ValueSource(enum.Enum):
    """MODEL: set for this model; GENERAL: set for all; FILE: it comes with the model; DEFAULT: nobody set it."""

    MODEL = "model"
    GENERAL = "general"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """One setting: `name` is a field of `ModelSettings`, or `sampling.` and one of `SamplingSettings`.

    `otherwise` is what would hold if nothing were set for this model.
    """

    name: str
    value: Any
    source: ValueSource
    otherwise: Any


class ModelProfiles:
    """What holds for each model. Owned by the service loop; files are read on another thread."""

    def __init__(self, library: ModelLibrary, settings: SettingsStore) -> None:
        self._library = library
        self._settings = settings

    async def effective(self, model_id: str) -> tuple[EffectiveValue, ...]:
        """Every setting of a model. Raises ModelNotFound."""
        model = self._library.resolve(model_id)
        file = await asyncio.to_thread(_recommended, model)
        current = self._settings.current
        own = current.models.get(model.id, ModelSettings())
        values = [_value(name, own, current, model) for name in ModelSettings.model_fields if name != "sampling"]
        return (*values, *(_sampling_value(name, own.sampling, file) for name in SamplingSettings.model_fields))

    def update(self, model_id: str, changes: Mapping[str, Any]) -> None:
        """Set values for one model; None leaves one to the general setting again. An idle model is loaded anew at its next use.

        Raises ModelNotFound, InvalidRequest for a name that is no setting, and SettingsError for a value that can't be.
        """
        model = self._library.resolve(model_id)
        self._settings.reread()
        own = self._settings.current.models.get(model.id, ModelSettings()).model_dump()
        for name, value in changes.items():
            holder, field = (own["sampling"], name.removeprefix(_SAMPLING)) if name.startswith(_SAMPLING) else (own, name)
            known = SamplingSettings.model_fields if holder is not own else ModelSettings.model_fields
            if field not in known or name == "sampling":
                raise InvalidRequest(f"There is no setting '{name}'. There are: {', '.join(_names())}.", param=name)
            # Texts and switches have no None: nothing set is what they begin with.
            holder[field] = known[field].default if value is None else value
        self._keep(model.id, own)

    def longest_context(self, model_id: str) -> int:
        """How many tokens a model can follow, its positions stretched as is set; 0 if nobody knows. Raises ModelNotFound."""
        model = self._library.resolve(model_id)
        return engine_config(model, self._settings.current).rope.stretched(model.n_ctx_train)

    def reset(self, model_id: str, name: str) -> None:
        """Leave a setting to what holds for all. Raises as `update`."""
        self.update(model_id, {name: None})

    def add_alias(self, model_id: str, name: str) -> None:
        """Give a model another name. Raises ModelNotFound, InvalidRequest where the name means another model, SettingsError."""
        model, current = self._library.resolve(model_id), self._settings.current
        if any(other.id.casefold() == plain_name(name) for other in self._library.models):
            raise InvalidRequest(f"{name} is an installed model. Choose another name.", param="name")
        known = known_alias(name, current.aliases)
        holder = self._named(known) if known is not None else None
        if holder is not None and holder.id != model.id:
            raise InvalidRequest(f"{known} is another name of {holder.id} already. Take it away there first.", param="name")
        self._settings.update(aliases={**current.aliases, known or name: model.id})

    def remove_alias(self, name: str) -> None:
        """Raises SettingsError."""
        aliases = self._settings.current.aliases
        self._settings.update(aliases={known: model for known, model in aliases.items() if known != name})

    def export(self, model_id: str) -> dict[str, Any]:
        """What is set for a model, and its aliases, as JSON can hold it. Raises ModelNotFound."""
        model = self._library.resolve(model_id)
        current = self._settings.current
        own = current.models.get(model.id, ModelSettings())
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "model": model.id,
            "settings": own.model_dump(mode="json", exclude_defaults=True),
            "aliases": sorted(alias for alias, target in current.aliases.items() if target == model.id),
        }

    def take(self, model_id: str, exported: Mapping[str, Any]) -> None:
        """Have the settings of an export hold for a model, in place of all that were set for it; names of its own are added
        where nothing else here has them.

        Raises ModelNotFound, InvalidRequest for what is no export, SettingsError for a value that can't be.
        """
        model = self._library.resolve(model_id)
        settings, aliases = exported.get("settings"), exported.get("aliases", [])
        if exported.get("format") != _FORMAT or not isinstance(settings, Mapping) or not isinstance(aliases, list):
            raise InvalidRequest("This file holds no settings of a model. Hearth writes them with its export.", param="file")
        version = exported.get("version")
        if not isinstance(version, int) or version < _VERSION:
            raise InvalidRequest(f"Hearth knows no version {version} of a model's settings.", param="file")
        if version > _VERSION:
            raise InvalidRequest("A newer version of Hearth wrote these settings. Update Hearth.", param="file")
        self._settings.reread()
        current = self._settings.current
        ids = {plain_name(one.id) for one in self._library.models}
        free = [
            name for name in map(str, aliases) if known_alias(name, current.aliases) is None and plain_name(name) not in ids
        ]
        self._settings.update(
            models={**_dumped(current), model.id: dict(settings)},
            aliases={**current.aliases, **dict.fromkeys(free, model.id)},
        )

    async def write_export(self, model_id: str, file: Path) -> None:
        """Write an export to a file, all of it or nothing. Raises ModelNotFound, SettingsError if it can't be written."""
        text = json.dumps(self.export(model_id), indent=2, ensure_ascii=False)
        try:
            await asyncio.to_thread(write_whole, file, text.encode())
        except OSError as error:
            raise SettingsError(f"{file} can't be written: {error.strerror or error}.") from error

    async def take_file(self, model_id: str, file: Path) -> None:
        """`take` what is in a file. Raises as that does, and InvalidRequest if it can't be read."""
        try:
            exported = json.loads(await asyncio.to_thread(file.read_text, "utf-8"))
        except OSError as error:
            raise InvalidRequest(f"{file} can't be read: {error.strerror or error}.", param="file") from error
        except (ValueError, RecursionError):
            exported = None
        self.take(model_id, exported if isinstance(exported, Mapping) else {})

    def _named(self, name: str) -> InstalledModel | None:
        try:
            return self._library.resolve(name)
        except ModelNotFound:
            return None

    def _keep(self, model_id: str, own: dict[str, Any]) -> None:
        self._settings.update(models={**_dumped(self._settings.current), model_id: own})


def _dumped(settings: Settings) -> dict[str, Any]:
    return {name: one.model_dump() for name, one in settings.models.items()}


def _names() -> list[str]:
    own = [name for name in ModelSettings.model_fields if name != "sampling"]
    return own + [f"{_SAMPLING}{name}" for name in SamplingSettings.model_fields]


def _value(name: str, own: ModelSettings, general: Settings, model: InstalledModel) -> EffectiveValue:
    if name == "system_prompt" and model.defaults.system_prompt:
        otherwise, source = model.defaults.system_prompt, ValueSource.FILE
    elif name in Settings.model_fields:
        otherwise = getattr(general, name)
        source = ValueSource.GENERAL if otherwise != getattr(Settings(), name) else ValueSource.DEFAULT
    else:
        otherwise, source = ModelSettings.model_fields[name].default, ValueSource.DEFAULT
    value = getattr(own, name)
    if value is None or value == ModelSettings.model_fields[name].default:
        return EffectiveValue(name, otherwise, source, otherwise)
    return EffectiveValue(name, value, ValueSource.MODEL, otherwise)


def _sampling_value(name: str, own: SamplingSettings, file: SamplingChoice) -> EffectiveValue:
    recommended = getattr(file, name)
    otherwise = getattr(SamplingParams(), name) if recommended is None else recommended
    source = ValueSource.DEFAULT if recommended is None else ValueSource.FILE
    value = getattr(own, name)
    if value is None:
        return EffectiveValue(f"{_SAMPLING}{name}", otherwise, source, otherwise)
    return EffectiveValue(f"{_SAMPLING}{name}", value, ValueSource.MODEL, otherwise)


def _recommended(model: InstalledModel) -> SamplingChoice:
    """By the program that keeps it, else by its file."""
    try:
        return model.defaults.sampling.else_as(recommended_sampling(read_container(model.path).metadata.get))
    except NotAModel:
        # Why it can't be used is told where it is listed.
        return model.defaults.sampling
