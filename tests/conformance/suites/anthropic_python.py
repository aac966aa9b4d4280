"""The tests that come with Anthropic's official Python client, in its source package."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from pathlib import Path

from tests.conformance.suites.foreign_pytest import run_pytest
from tests.conformance.suites.outcomes import Case, Known, Suite, Verdict
from tests.source_packages import SourcePackage

__all__ = ["CLAUDE_NAMES", "MESSAGE_TESTS"]

CLAUDE_NAMES = ("claude-opus-5-5", "model_id")
"""What the tests call their models."""

_FIXTURES = Path(__file__).with_name("anthropic_fixtures.py")
_FILES = ("test_messages", "test_models", "beta/test_messages", "beta/test_models")

_KNOWN = (
    Known(
        "models of Anthropic's that are outdated, by their names",
        "404 - .* is not installed",
        "deprecated_model_warning",
        Verdict.NOT_OFFERED,
    ),
    Known(
        "every field at once, among them `compaction`, which is refused",
        "'compaction' is not supported",
        "with_all_params",
        Verdict.NOT_OFFERED,
    ),
    Known(
        "every field at once, among them `mcp_servers`, which is refused",
        "'mcp_servers' is not supported",
        "with_all_params",
        Verdict.NOT_OFFERED,
    ),
    Known(
        "every field at once, among them a tool whose schema is none",
        "schema must be an object or boolean",
        "with_all_params",
        Verdict.NOT_OFFERED,
    ),
    Known(
        "asks for the models before one and after another at once",
        "Give 'after_id' or 'before_id', not both",
        "with_all_params",
        Verdict.NOT_OFFERED,
    ),
)


def _version() -> str:
    return importlib.metadata.version("anthropic")


def _cases(address: str) -> tuple[Case, ...]:
    """With answers checked strictly against the client's types, over its three kinds of connection."""
    sources = SourcePackage("anthropic", _version()).folder("tests")
    with tempfile.TemporaryDirectory() as folder:
        tests = Path(folder, "tests")
        shutil.copytree(sources / "api_resources", tests / "api_resources")
        for name in ("__init__.py", "utils.py"):
            shutil.copy(sources / name, tests)
        # Theirs is made for recorded answers, by packages of which we need nothing else.
        shutil.copy(_FIXTURES, tests / "conftest.py")
        files = [f"tests/api_resources/{file}.py" for file in _FILES]
        environment = {"TEST_API_BASE_URL": address.removesuffix("/v1")}
        return run_pytest(files, cwd=Path(folder), environment=environment)


MESSAGE_TESTS = Suite("anthropic-python's own API tests", _version, _cases, _KNOWN)
