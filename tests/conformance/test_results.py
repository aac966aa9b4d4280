"""What RESULTS.md and README say of the suites is what they give. The tests here come last."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.conformance.own_tests import OWN_TESTS, Recorder
from tests.conformance.suites import SUITES
from tests.conformance.suites.outcomes import Suite, SuiteRun
from tests.conformance.tables import PAGE, README, WRITE_RESULTS, page_of, readme_with, reasons_of, row_of


@pytest.mark.timeout(1200)
def test_the_tables_say_what_the_suites_gave(suite_run: Callable[[Suite], SuiteRun], recorder: Recorder) -> None:
    """Suites of which only a part was run are not looked at."""
    found = [*map(suite_run, SUITES), *map(recorder.run, OWN_TESTS)]
    runs = [run for run in found if run is not None]
    assert not any(run.unexplained for run in runs)
    if os.environ.get(WRITE_RESULTS):
        assert len(runs) == len(found), "Not every suite was run."
        PAGE.write_text(page_of(runs), "utf-8")
        README.write_text(readme_with(runs, README.read_text("utf-8")), "utf-8")
    page, readme = PAGE.read_text("utf-8"), README.read_text("utf-8")
    for run in runs:
        assert row_of(run) in page, "Run python -m tests.conformance, and look at what it changes."
        assert row_of(run) in readme
        assert reasons_of(run) in page
    if len(runs) == len(found):
        assert page == page_of(runs)
        assert readme == readme_with(runs, readme)
