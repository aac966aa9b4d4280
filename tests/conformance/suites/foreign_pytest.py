"""Running pytest on tests that are not ours: in a process of its own, with the plugins and options that they ask for."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.conformance.suites.outcomes import Case, Verdict

__all__ = ["SuiteBroke", "run_pytest"]

_TIMEOUT_S = 400
# The tests are async throughout, and their clients outlive single tests.
_ASYNC = (
    *("-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto"),
    *("-o", "asyncio_default_fixture_loop_scope=session", "-o", "asyncio_default_test_loop_scope=session"),
)


class SuiteBroke(Exception):
    """The tests could not be run at all."""


def run_pytest(
    files: Sequence[str], *, cwd: Path, environment: Mapping[str, str], plugins: Sequence[str] = ()
) -> tuple[Case, ...]:
    """`plugins` are modules; no other plugin is loaded, nor any configuration but ours."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        loaded = (option for plugin in plugins for option in ("-p", plugin))
        options = ("-c", os.devnull, "--rootdir", str(cwd), "-p", "no:cacheprovider", "-q", "--junitxml", str(report))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *_ASYNC, *loaded, *files],
            cwd=cwd,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", **environment},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        # 0 and 1: all were run, and passed or did not.
        if done.returncode not in (0, 1):
            raise SuiteBroke(f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return tuple(_cases(ET.parse(report).getroot()))


def _cases(report: ET.Element) -> Iterator[Case]:
    for test in report.iter("testcase"):
        name = f"{test.get('classname', '')}::{test.get('name', '')}"
        case = Case(name, Verdict.PASSED)
        for found in test:
            message = found.get("message", "")
            match found.tag, found.get("type"):
                case "skipped", "pytest.xfail":
                    case = Case(name, Verdict.FAILED, message, known=True)
                case "skipped", _:
                    case = Case(name, Verdict.SKIPPED, message)
                case (("failure" | "error"), _):
                    case = Case(name, Verdict.FAILED, f"{message}\n{found.text or ''}")
        yield case
