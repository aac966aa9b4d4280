"""The test suites of others: every test that does not pass has a reason that we know."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.suites import SUITES
from tests.conformance.suites.outcomes import Suite, SuiteRun, Verdict


@pytest.mark.timeout(600)
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_a_suite_passes_but_for_what_is_known(suite: Suite, suite_run: Callable[[Suite], SuiteRun]) -> None:
    run = suite_run(suite)
    assert run.count(Verdict.PASSED)
    assert not run.unexplained, "\n\n".join(f"{case.name}: {case.why[:3000]}" for case in run.unexplained)
    assert not run.outdated, f"No test fails any longer for: {run.outdated}"
