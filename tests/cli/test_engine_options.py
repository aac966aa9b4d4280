from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from app.cli.engine_options import adapters, kept_alive, shares
from tests.cli.program import run_hearth


@pytest.mark.parametrize(
    ("given", "path", "scale"),
    [
        ("/m/a.gguf", "/m/a.gguf", None),
        ("/m/a.gguf:0.5", "/m/a.gguf", 0.5),
        ("/m/a.gguf:-1", "/m/a.gguf", -1.0),
        ("/m/odd:name.gguf", "/m/odd:name.gguf", None),
    ],
)
def test_an_adapter_is_a_path_and_perhaps_a_scale(given: str, path: str, scale: float | None) -> None:
    expected: dict[str, Any] = {"path": Path(path)} | ({} if scale is None else {"scale": scale})
    assert adapters([given]) == (expected,)


def test_a_relative_adapter_is_found_from_elsewhere() -> None:
    (adapter,) = adapters(["a.gguf"]) or ()
    assert adapter["path"] == Path.cwd() / "a.gguf"


def test_what_was_not_given_changes_nothing() -> None:
    assert (adapters(None), shares(None), kept_alive(None)) == (None, None, None)


def test_shares_and_durations_are_read() -> None:
    assert shares("3,1") == (3.0, 1.0)
    assert kept_alive("5m") == 300.0
    with pytest.raises(typer.BadParameter, match="no list of numbers"):
        shares("a lot")
    with pytest.raises(typer.BadParameter, match="no duration"):
        kept_alive("soon")


def test_a_value_that_no_setting_can_have_is_named() -> None:
    ended = run_hearth("serve", "--port", "0", "--cache-type-k", "q9")
    assert ended.returncode == 1
    assert "cache_type_k" in ended.stderr
    assert "Traceback" not in ended.stderr
