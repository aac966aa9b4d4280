"""What a model's chat template tells of the model, also where that is not in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from app.domain.models import Capability, InstalledModel
from app.formats import ChatFormat
from app.service.model_config import unloaded_format
from app.settings import Settings

__all__ = ["TemplateFacts", "TemplateReader"]

_Key: TypeAlias = tuple[Path, datetime, int, str, int]


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """`capabilities` are TOOLS and REASONING; `problem` is a sentence about a broken template."""

    capabilities: frozenset[Capability]
    thinks_by_default: bool
    problem: str | None

    @classmethod
    def of(cls, chat_format: ChatFormat) -> TemplateFacts:
        return cls(chat_format.capabilities, chat_format.thinks_by_default, chat_format.problem)


class TemplateReader:
    """Reads a file's template once for as long as the file stays as it is: that takes a tenth of a second. Owned by the service
    loop; reads on another thread, one at a time."""

    def __init__(self) -> None:
        self._known: dict[_Key, TemplateFacts] = {}
        self._reading = asyncio.Lock()

    def known(self, model: InstalledModel, chosen: Settings) -> TemplateFacts | None:
        return self._known.get(_key(model, chosen))

    async def read(self, model: InstalledModel, chosen: Settings) -> TemplateFacts:
        """Raises ModelLoadFailed."""
        key = _key(model, chosen)
        async with self._reading:
            if key not in self._known:
                self._known[key] = TemplateFacts.of(await asyncio.to_thread(unloaded_format, model, chosen))
        return self._known[key]


def _key(model: InstalledModel, chosen: Settings) -> _Key:
    return (model.path, model.modified, model.size_bytes, chosen.chat_template, _changed(chosen.chat_template))


def _changed(template: str) -> int:
    """When a template that was chosen was written, if it is a file."""
    try:
        return Path(template).stat().st_mtime_ns if template else 0
    except (OSError, ValueError):
        return 0
