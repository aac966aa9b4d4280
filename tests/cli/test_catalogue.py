from __future__ import annotations

import json

from tests.cli.program import run_hearth


def test_well_known_models_are_listed_and_found_by_a_word() -> None:
    reasoning = json.loads(run_hearth("catalogue", "reasoning", "--json").stdout)
    assert {"qwen3:8b", "gpt-oss:20b"} <= {model["name"] for model in reasoning}
    assert all("reasoning" in model["capabilities"] or "reasoning" in model["name"] for model in reasoning)
    llama = run_hearth("catalogue", "llama3.2").stdout
    assert "llama3.2:3b" in llama
    assert "qwen3" not in llama
