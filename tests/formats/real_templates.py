"""The chat templates of real models, as llama.cpp collects them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from app.formats.chat_format import ChatFormat
from app.formats.template import ChatTemplate
from app.formats.traits import TemplateTraits, traits_of
from tests.source_packages import LLAMA_MODELS, SourcesMissing, llama_sources

__all__ = ["TEMPLATES", "format_of", "template_of", "traits_for"]


def _names() -> list[str]:
    try:
        return sorted(path.stem for path in (llama_sources().folder(LLAMA_MODELS) / "templates").glob("*.jinja"))
    except SourcesMissing:
        return []


TEMPLATES = _names()


def template_of(name: str, llama_models: Path) -> ChatTemplate:
    source = (llama_models / "templates" / f"{name}.jinja").read_text("utf-8")
    return ChatTemplate(source, bos_text="<BOS>", eos_text="<EOS>")


@cache
def format_of(name: str, llama_models: Path) -> ChatFormat:
    source = (llama_models / "templates" / f"{name}.jinja").read_text("utf-8")
    return ChatFormat.of(source, bos_text="<BOS>", eos_text="<EOS>")


@cache
def traits_for(name: str, llama_models: Path) -> TemplateTraits:
    return traits_of(template_of(name, llama_models))
