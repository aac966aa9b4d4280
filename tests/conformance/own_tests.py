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


@dataclass(frozen=True, slots=True)
class OwnTests:
    """`version` is the client's; `files` lie beside this one."""

    name: str
    version: Callable[[], str]
    files: tuple[str, ...]


OWN_TESTS: tuple[OwnTests, ...] = (
    OwnTests(
        "OpenAI's client for Python, examples and helpers",
        partial(importlib.metadata.version, "openai"),
        ("test_openai_python.py", "test_openai_helpers.py", "test_structured_output.py", "test_audio.py"),
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
)


class Recorder:
    """A plugin of pytest that notes what the tests in this folder gave."""

    def __init__(self) -> None:
        self._cases: dict[str, dict[str, Case]] = defaultdict(dict)
        self._n_tests: Counter[str] = Counter()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Before any are left out. Those that compare results come last."""
        self._n_tests.update(item.path.name for item in items if item.path.parent == _FOLDER)
        items.sort(key=lambda item: item.path == _FOLDER / "test_results.py")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        path, _, name = report.nodeid.partition("::")
        cases = self._cases[Path(path).name]
        if report.failed:
            cases[name] = Case(name, Verdict.FAILED, report.longreprtext)
        elif report.skipped and isinstance(report.longrepr, tuple):
            cases[name] = Case(name, Verdict.SKIPPED, report.longrepr[2].removeprefix("Skipped: "))
        else:
            cases.setdefault(name, Case(name, Verdict.PASSED))

    def run(self, tests: OwnTests) -> SuiteRun | None:
        """None if not all of them were run."""
        cases = tuple(case for file in tests.files for case in self._cases[file].values())
        if not cases or len(cases) < sum(self._n_tests[file] for file in tests.files):
            return None
        return SuiteRun(tests.name, tests.version(), cases)
