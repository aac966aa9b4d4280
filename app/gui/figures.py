"""Figures as people read them: sizes, lengths of time, token counts, capabilities."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from PySide6.QtCore import QCoreApplication, QLocale

from app.domain.models import Capability, InstalledModel, ModelSource

__all__ = [
    "age_text",
    "capability_text",
    "context_text",
    "count_text",
    "duration_text",
    "memory_text",
    "name_among",
    "parameters_text",
    "size_text",
    "source_text",
    "speed_text",
]

_UNITS = ("B", "kB", "MB", "GB", "TB")


def name_among(models: Iterable[InstalledModel], model: InstalledModel) -> str:
    """A model's name; with its id where another one has the same name."""
    shared = any(other.name == model.name and other.id != model.id for other in models)
    return f"{model.name} ({model.id})" if shared and model.id != model.name.lower() else model.name


def size_text(size_bytes: float) -> str:
    """Decimal units, as disks and the hub count them: "4.4 GB"."""
    value, unit = float(size_bytes), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{_number(value, 0 if unit < 2 or value >= 100 else 1)} {_UNITS[unit]}"


def memory_text(size_bytes: float) -> str:
    """Memory is counted in powers of two: "1.4 GiB", "320 MiB"."""
    if size_bytes >= 1024**3:
        return f"{_number(size_bytes / 1024**3, 1)} GiB"
    return f"{_number(size_bytes / 1024**2, 0)} MiB"


def speed_text(bytes_per_s: float) -> str:
    return _tr("{0}/s").format(size_text(bytes_per_s))


def count_text(count: int) -> str:
    """Rounded, for how often something was downloaded or liked: "950", "12 k", "3.4 M"."""
    for unit, name in ((1_000_000, _tr("{0} M")), (1000, _tr("{0} k"))):
        if count >= 0.9995 * unit:
            return name.format(_number(count / unit, 1 if count < 9.95 * unit else 0))
    return str(count)


def age_text(moment: datetime, now: datetime | None = None) -> str:
    """How long ago something was, in whole days, months or years."""
    days = ((now or datetime.now(UTC)) - moment).days
    if days < 1:
        return _tr("today")
    if days < 2:
        return _tr("yesterday")
    if days < 60:
        return _tr("{0} days ago").format(days)
    return _tr("{0} months ago").format(round(days / 30.4)) if days < 700 else _tr("{0} years ago").format(round(days / 365))


def duration_text(seconds: float) -> str:
    """Rounded to what matters: "0.8 s", "45 s", "3 min", "1 h 20 min"."""
    if seconds < 10:
        return _tr("{0} s").format(_number(seconds, 1))
    if seconds < 90:
        return _tr("{0} s").format(round(seconds))
    minutes = round(seconds / 60)
    if minutes < 60:
        return _tr("{0} min").format(minutes)
    return _tr("{0} h {1} min").format(minutes // 60, minutes % 60)


def context_text(n_ctx: int) -> str:
    """A context length: "128K tokens", or a word where it is not known."""
    if not n_ctx:
        return _tr("not stated")
    return _tr("{0} tokens").format(f"{n_ctx // 1024}K" if n_ctx % 1024 == 0 else QLocale().toString(n_ctx))


def parameters_text(parameters: int) -> str:
    """A parameter count: "8.2 billion"."""
    if not parameters:
        return _tr("not stated")
    if parameters >= 1e9:
        return _tr("{0} billion").format(_number(parameters / 1e9, 1))
    return _tr("{0} million").format(_number(parameters / 1e6, 1))


def capability_text(capability: Capability) -> str:
    match capability:
        case Capability.CHAT:
            return _tr("Chat")
        case Capability.COMPLETION:
            return _tr("Completion")
        case Capability.VISION:
            return _tr("Vision")
        case Capability.AUDIO:
            return _tr("Audio")
        case Capability.TOOLS:
            return _tr("Tools")
        case Capability.REASONING:
            return _tr("Reasoning")
        case Capability.EMBEDDING:
            return _tr("Embeddings")
        case Capability.RERANK:
            return _tr("Reranking")


def source_text(source: ModelSource) -> str:
    """Where a model lies; the stores of other programs by these programs' names."""
    return {
        ModelSource.BUILT_IN: _tr("Comes with Hearth"),
        ModelSource.LIBRARY: _tr("Models folder"),
        ModelSource.FOLDER: _tr("Another folder"),
        ModelSource.ADDED: _tr("Added from disk"),
        ModelSource.PATH: _tr("Given at start"),
        ModelSource.OLLAMA: "Ollama",
        ModelSource.LM_STUDIO: "LM Studio",
        ModelSource.HUGGING_FACE: "Hugging Face",
        ModelSource.LLAMA_CPP: "llama.cpp",
        ModelSource.JAN: "Jan",
        ModelSource.GPT4ALL: "GPT4All",
    }[source]


def _number(value: float, decimals: int) -> str:
    return QLocale().toString(float(value), "f", decimals)


def _tr(text: str) -> str:
    return QCoreApplication.translate("figures", text)
