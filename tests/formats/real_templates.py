"""The chat templates of real models, as llama.cpp collects them."""

from __future__ import annotations

from pathlib import Path

from app.formats.template import ChatTemplate
from tests.source_packages import LLAMA_MODELS, SourcesMissing, llama_sources

__all__ = ["TEMPLATES", "template_of"]


def _names() -> list[str]:
    try:
        return sorted(path.stem for path in (llama_sources().folder(LLAMA_MODELS) / "templates").glob("*.jinja"))
    except SourcesMissing:
        return []


TEMPLATES = _names()


def template_of(name: str, llama_models: Path) -> ChatTemplate:
    source = (llama_models / "templates" / f"{name}.jinja").read_text("utf-8")
    return ChatTemplate(source, bos_text="<BOS>", eos_text="<EOS>")
