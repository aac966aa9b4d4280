"""Our own tests with the clients of others, as suites: what they gave in this run of pytest."""

from __future__ import annotations

import importlib.metadata
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.conformance.node import package_version
from tests.conformance.suites.outcomes import Case, SuiteRun, Verdict

__all__ = ["OWN_TESTS", "OwnTests", "Recorder"]

_FOLDER = Path(__file__).parent
_SECURITY = ("callers", "floods", "load", "pictures", "requests", "secrets")


@dataclass(frozen=True, slots=True)
class OwnTests:
    """`version` is the client's; `files` are names beside this one, or how they begin."""

    name: str
    version: Callable[[], str]
    files: tuple[str, ...]


OWN_TESTS: tuple[OwnTests, ...] = (
    OwnTests(
        "OpenAI's client for Python, examples and helpers",
        partial(importlib.metadata.version, "openai"),
        (
            "test_openai_python.py",
            "test_openai_helpers.py",
            "test_responses.py",
            "test_structured_output.py",
            "test_audio.py",
            "test_model_names.py",
        ),
    ),
    OwnTests(
        "OpenAI's client for JavaScript, examples and helpers",
        partial(package_version, "openai"),
        ("test_openai_javascript.py",),
    ),
    OwnTests(
        "Anthropic's client for Python, examples and helpers",
        partial(importlib.metadata.version, "anthropic"),
        ("test_anthropic_python.py",),
    ),
    OwnTests("Vercel AI SDK", partial(package_version, "ai"), ("test_ai_sdk.py",)),
    OwnTests(
        "schemathesis on Hearth's own OpenAPI document",
        partial(importlib.metadata.version, "schemathesis"),
        ("test_schemathesis.py",),
    ),
    # Those with a browser are left out: not every machine has one.
    OwnTests("security suite", lambda: "–", tuple(f"security/test_{name}.py" for name in _SECURITY)),
)


class Recorder:
    """A plugin of pytest that notes what the tests in this folder gave."""

    def __init__(self) -> None:
        self._cases: dict[str, dict[str, Case]] = defaultdict(dict)
        self._n_tests: Counter[str] = Counter()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Before any are left out. Those that compare results come last."""
        self._n_tests.update(_place(item.nodeid)[0] for item in items)
        items.sort(key=lambda item: item.path == _FOLDER / "test_results.py")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file, name = _place(report.nodeid)
        cases = self._cases[file]
        if report.failed:
            cases[name] = Case(name, Verdict.FAILED, report.longreprtext)
        elif report.skipped and isinstance(report.longrepr, tuple):
            cases[name] = Case(name, Verdict.SKIPPED, report.longrepr[2].removeprefix("Skipped: "))
        else:
            cases.setdefault(name, Case(name, Verdict.PASSED))

    def run(self, tests: OwnTests) -> SuiteRun | None:
        """None if not all of them were run, as where there is no Node."""
        files = [file for file in self._n_tests if file.startswith(tests.files)]
        cases = tuple(case for file in files for case in self._cases[file].values())
        n_run = sum(case.verdict is not Verdict.SKIPPED for case in cases)
        if not cases or n_run < sum(self._n_tests[file] for file in files):
            return None
        return SuiteRun(tests.name, tests.version(), cases)


def _place(nodeid: str) -> tuple[str, str]:
    """A test's file, seen from this folder, and its name there."""
    file, _, name = nodeid.partition("::")
    return file.removeprefix("tests/conformance/"), name
