"""The tests that come with the official Python client, and its examples: both are only in its source package."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.suites.foreign_pytest import run_pytest
from tests.conformance.suites.outcomes import Case, Known, Suite, Verdict
from tests.source_packages import SourcePackage

__all__ = ["API_TESTS", "CHAT_NAMES", "EMBEDDER_NAME", "EXAMPLES", "RESPONSE_TESTS", "WORDY_NAME"]

CHAT_NAMES = ("gpt-6-astra", "gpt-3.5-turbo-instruct", "gpt-5.5", "gpt-5")
EMBEDDER_NAME = "text-embedding-3-small"
WORDY_NAME = "gpt-4o-2024-08-06"
"""What the tests and examples call their models. The last is asked for objects with texts of any length."""

_FILES = ("chat/test_completions", "test_completions", "test_embeddings", "test_models")
_RESPONSE_FILES = ("test_responses", "responses/test_input_items", "responses/test_input_tokens")
_EXAMPLES = (
    *("demo", "async_demo", "streaming", "parsing", "parsing_stream", "parsing_tools_stream", "responses_input_tokens"),
    *("responses/streaming", "responses/streaming_tools", "responses/structured_outputs"),
    *("responses/background", "responses/background_async", "responses/background_streaming"),
)
_BY_CHANCE = ("parsing_tools", "responses/structured_outputs_tools")
_PLUGINS = Path(__file__).with_name("plugins")
_TIMEOUT_S = 120

_KNOWN = (
    Known(
        "chats are not stored, so that none can be listed, read, changed or deleted",
        r"404 - There is nothing at /v1/chat/completions/|405 - /v1/chat/completions does not take GET",
        verdict=Verdict.NOT_OFFERED,
    ),
    Known("models are not deleted over the API", r"405 - /v1/models/\S+ does not take DELETE", verdict=Verdict.NOT_OFFERED),
    Known(
        "every field at once, among them `functions`, which is refused in favour of `tools`",
        "'functions' is not supported",
        "with_all_params",
        Verdict.NOT_OFFERED,
    ),
    Known(
        "every field at once, some of which exclude each other (`echo` and `suffix`, `best_of: 0` and an answer)",
        "'best_of'",
        "with_all_params",
        Verdict.NOT_OFFERED,
    ),
    Known(
        "the client asks for base64 by itself, and when it checks strictly takes nothing but a list of numbers",
        "APIResponseValidationError",
        r"Embeddings::.*\[(strict|aiohttp)\]",
    ),
)

_KNOWN_OF_RESPONSES = (
    Known(
        "goes on from a response that nobody made", "Previous response with id 'resp_123' not found", "compact_with_all_params"
    ),
    Known(
        "every field at once, among them `context_management`, which is refused",
        "'context_management' is not supported",
        "with_all_params",
        Verdict.NOT_OFFERED,
    ),
    Known(
        "every field at once, among them `conversation`, which is refused",
        "'conversation' is not supported",
        "with_all_params",
        Verdict.NOT_OFFERED,
    ),
    Known("asks for a list of no items: `limit` 0", "'limit' is a number from 1", "with_all_params", Verdict.NOT_OFFERED),
)


def _version() -> str:
    return importlib.metadata.version("openai")


def _sources(folder: str) -> Path:
    return SourcePackage("openai", _version()).folder(folder)


def _response_tests(address: str) -> tuple[Case, ...]:
    """Strictly checked as well. A plugin puts into their requests what no server could do without."""
    files = [f"tests/api_resources/{file}.py" for file in _RESPONSE_FILES]
    environment = {"TEST_API_BASE_URL": address, "PYTHONPATH": str(_PLUGINS)}
    return run_pytest(files, cwd=_sources("tests").parent, environment=environment, plugins=["responses_filled"])


def _api_tests(address: str) -> tuple[Case, ...]:
    """With answers checked strictly against the client's types, over its three kinds of connection."""
    files = [f"tests/api_resources/{file}.py" for file in _FILES]
    return run_pytest(files, cwd=_sources("tests").parent, environment={"TEST_API_BASE_URL": address})


def _examples(address: str) -> Iterator[Case]:
    folder = _sources("examples")
    environment = {**os.environ, "OPENAI_BASE_URL": address, "OPENAI_API_KEY": "any"}
    for name in _BY_CHANCE:
        yield Case(name, Verdict.SKIPPED, "needs a model that calls a function by itself, which random weights do by chance")
    for name in _EXAMPLES:
        command = [sys.executable, f"{name}.py"]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        yield Case(name, Verdict.FAILED if done.returncode else Verdict.PASSED, done.stderr if done.returncode else "")


API_TESTS = Suite("openai-python's own API tests", _version, _api_tests, _KNOWN)
RESPONSE_TESTS = Suite(
    "openai-python's own tests of Responses, with a model and an input put in", _version, _response_tests, _KNOWN_OF_RESPONSES
)
EXAMPLES = Suite("openai-python's examples", _version, lambda address: tuple(_examples(address)))
