"""LangChain's standard tests of a chat model and of embeddings."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from tests.conformance.suites.foreign_pytest import run_pytest
from tests.conformance.suites.outcomes import Case, Suite

__all__ = ["LANGCHAIN"]

_MODELS = Path(__file__).with_name("langchain_models.py")


def _version() -> str:
    tests, client = map(importlib.metadata.version, ("langchain-tests", "langchain-openai"))
    return f"{tests} (langchain-openai {client})"


def _cases(address: str) -> tuple[Case, ...]:
    plugins = ("pytest_recording.plugin", "pytest_benchmark.plugin", "pytest_socket")
    return run_pytest([_MODELS.name], cwd=_MODELS.parent, environment={"HEARTH_ADDRESS": address}, plugins=plugins)


LANGCHAIN = Suite("langchain-tests", _version, _cases)
