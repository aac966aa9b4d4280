from __future__ import annotations

import json

import pytest

from app.paths import Paths
from app.settings import SettingsStore
from tests.cli.program import run_hearth


def aliases() -> dict[str, str]:
    return SettingsStore(Paths.of().settings_file).current.aliases


def test_a_name_is_given_listed_changed_and_forgotten() -> None:
    given = run_hearth("alias", "gpt-4o-mini", "EMBER")
    assert given.returncode == 0, given.stderr
    assert aliases() == {"gpt-4o-mini": "EMBER"}
    assert run_hearth("alias", "gpt-4o-mini").stdout == "EMBER\n"
    assert "gpt-4o-mini" in run_hearth("alias").stdout
    assert json.loads(run_hearth("list", "--json").stdout)[0]["aliases"] == ["gpt-4o-mini"]
    # By another alias: what that stands for is noted down, so that it does not depend on it.
    assert run_hearth("alias", "GPT-4o-mini", "gpt-4o-mini").returncode == 0
    assert json.loads(run_hearth("alias", "--json").stdout) == {"GPT-4o-mini": "ember"}
    assert run_hearth("alias", "--remove", "gpt-4O-mini").returncode == 0
    assert aliases() == {}


def test_a_name_is_the_same_with_a_default_tag() -> None:
    assert run_hearth("alias", "a", "ember").returncode == 0
    assert run_hearth("alias", "b", "a:latest").returncode == 0
    assert aliases() == {"a": "ember", "b": "ember"}
    assert run_hearth("alias", "A:latest", "ember.gguf").returncode == 0
    assert aliases() == {"b": "ember", "A:latest": "ember.gguf"}
    assert run_hearth("alias", "a").stdout == "ember.gguf\n"
    assert run_hearth("alias", "--remove", "a").returncode == 0
    assert aliases() == {"b": "ember"}


def test_names_are_listed_as_they_are_written() -> None:
    assert run_hearth("alias", "x[/y]", "ember").returncode == 0
    for command in ("alias", "list"):
        assert "x[/y]" in run_hearth(command).stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("gpt-4o", "embr"), 3, "Did you mean ember?"),
        (("gpt-4o", "llama3.2"), 3, "hearth pull llama3.2"),
        (("Ember", "ember"), 1, "ember is an installed model"),
        (("ember:latest", "ember"), 1, "ember is an installed model"),
        ((" gpt", "ember"), 1, "aliases"),
        (("gpt-4o",), 1, "No model was given the name gpt-4o"),
        (("gpt-4o", "--remove"), 1, "No model was given the name gpt-4o"),
    ],
)
def test_a_name_that_would_not_work_is_refused(arguments: tuple[str, ...], status: int, said: str) -> None:
    ended = run_hearth("alias", *arguments)
    assert ended.returncode == status
    assert said in ended.stdout + ended.stderr
    assert aliases() == {}
