from __future__ import annotations

import json

from tests.cli.program import run_hearth


def test_the_program_finds_itself_well() -> None:
    ended = run_hearth("selftest", "--json")
    report = json.loads(ended.stdout)
    assert ended.returncode == 0, report
    assert report["passed"]
    names = [step["name"] for step in report["steps"]]
    assert names[:3] == ["window", "text question in the window", "picture question in the window"]


def test_it_works_without_a_worker_process_too() -> None:
    ended = run_hearth("selftest", "--json", "--engine", "thread")
    assert ended.returncode == 0, ended.stdout
    (worker,) = [step for step in json.loads(ended.stdout)["steps"] if step["name"] == "worker"]
    assert "on a thread" in worker["detail"]
