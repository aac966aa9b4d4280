"""Ember's own template, and formats made from the small ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFReader

from app.formats.chat_format import ChatFormat
from app.formats.template import ChatTemplate
from tests.source_packages import LLAMA_MODELS, llama_sources


@pytest.fixture(scope="session")
def ember_source(ember_path: Path) -> str:
    field = GGUFReader(ember_path).fields["tokenizer.chat_template"]
    return str(field.contents())


@pytest.fixture(scope="session")
def ember_template(ember_source: str) -> ChatTemplate:
    return ChatTemplate(ember_source, bos_text="<|endoftext|>", eos_text="<|im_end|>")


@pytest.fixture(scope="session")
def ember(ember_source: str) -> ChatFormat:
    return ChatFormat.of(ember_source, bos_text="<|endoftext|>", eos_text="<|im_end|>")


@pytest.fixture(scope="session")
def llama_models() -> Path:
    """Real vocabularies and chat templates: llama.cpp's folder `models`."""
    return llama_sources().folder(LLAMA_MODELS)
