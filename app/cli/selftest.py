"""`hearth selftest`: does the whole program work on this machine?"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import EngineOption
from app.cli.window import has_display
from app.options import EngineMode, Options

__all__ = ["selftest"]


def selftest(
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    engine: EngineOption = EngineMode.PROCESS,
) -> None:
    """Ask Ember a text and a picture question through the window and through HTTP; exit with 0 if all is well.

    Everything is written to a temporary profile, which is deleted.
    """
    if not has_display():
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    # The platform must be chosen before Qt is loaded.
    from app.bootstrap import running
    from app.gui.selftest import examine

    with tempfile.TemporaryDirectory(prefix="hearth-selftest-", ignore_cleanup_errors=True) as folder:
        options = Options(profile=Path(folder), engine=engine, overrides={"port": 0, "host": "127.0.0.1", "api_key": ""})
        with running(options) as program:
            report = examine(program.services, program.loop)
    if as_json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        for step in report.steps:
            print(f"{'ok    ' if step.passed else 'FAILED'} {step.name}: {step.detail} ({step.duration_s:.2f} s)")
    sys.exit(0 if report.passed else 1)
