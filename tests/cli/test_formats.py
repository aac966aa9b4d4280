from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.paths import Paths
from app.settings import SettingsStore
from tests.cli.program import run_hearth
from tests.formats import templates
from tests.library.gguf_maker import write_model


def told(*arguments: str, status: int = 0) -> Any:
    ran = run_hearth("formats", *arguments, "--json")
    assert ran.returncode == status, ran.stderr
    return json.loads(ran.stdout)


def template_file(folder: Path, source: str) -> str:
    path = folder / "chat.jinja"
    path.write_text(source, "utf-8")
    return str(path)


def test_all_models_are_listed(profile: Path) -> None:
    models = Paths.of(profile).models
    write_model(models / "plain.gguf", template=None, seed=1)
    write_model(models / "broken.gguf", template="{% if %}", seed=2)
    rows = {row["id"]: row for row in told()}
    assert rows["ember"] | {"template": "its own", "family": None, "problem": None} == rows["ember"]
    assert (rows["ember"]["calls"], rows["ember"]["reasoning"]) == ("<tool_call>", "<think> … </think>")
    assert rows["plain"]["template"] == "none: chatml"
    assert "line 1" in rows["broken"]["problem"]
    table = run_hearth("formats").stdout
    assert "<think> … </think>" in table
    assert "broken: The model's chat template is broken (line 1" in table


def test_a_model_is_told_of_in_full(ember_path: Path) -> None:
    by_id, by_path = told("ember"), told(str(ember_path))
    assert by_id | {"model": ""} == by_path | {"model": ""}
    assert by_id["origins"] == {"reasoning": "template", "tools": "template"}
    assert by_id["example"] == '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris", "days": 2}}\n</tool_call>'
    assert by_id["efforts"]["none"] == {"enable_thinking": False}
    assert {"plain": "sunny\n"} in by_id["prompt"]
    assert by_id["prompt"][0]["control"].startswith("<|im_start|>system\n")
    text = run_hearth("formats", "ember").stdout
    assert '"<tool_call>\\n"' in text
    assert "⟨Will it rain in Paris?⟩<|im_end|>" in text


def test_a_templates_file_is_told_of(tmp_path: Path) -> None:
    body = told(template_file(tmp_path, templates.TAGGED))
    assert body["tools"]["call"]["arguments"]["kind"] == "tagged"
    assert body["example"].startswith("<function=get_weather>")


def test_a_familys_name_stands_at_what_the_table_knows(tmp_path: Path) -> None:
    source = "{# <|start|>assistant <|channel|>analysis<|message|> #}" + templates.PLAIN
    path = template_file(tmp_path, source)
    body = told(path)
    assert (body["family"], body["origins"]) == ("gpt-oss", {"channels": "gpt-oss"})
    assert body["example"].startswith("<|channel|>commentary to=functions.get_weather")
    assert "gpt-oss" in run_hearth("formats", path).stdout


def test_tools_that_a_template_knows_nothing_of_are_prompted(tmp_path: Path) -> None:
    body = told(template_file(tmp_path, templates.PLAIN))
    assert body["origins"] == {"tools": "prompted"}
    assert "You can call functions." in "".join(segment.get("plain", "") for segment in body["prompt"])


def test_a_conversation_that_a_template_refuses_is_told(tmp_path: Path) -> None:
    refusing = templates.PLAIN + "{% if messages|length > 3 %}{{ raise_exception('Too long.') }}{% endif %}"
    path = template_file(tmp_path, refusing)
    body = told(path)
    assert (body["prompt"], body["refusal"]) == (None, "Too long.")
    assert "Too long." in run_hearth("formats", path).stdout


def test_a_broken_template_ends_with_status_1(tmp_path: Path) -> None:
    path = template_file(tmp_path, "{% for m in messages %}\n{{ m }")
    assert "line 2" in told(path, status=1)["problem"]
    assert "line 2" in run_hearth("formats", path).stdout


def test_a_template_that_was_chosen_counts(profile: Path) -> None:
    SettingsStore(Paths.of(profile).settings_file).update(chat_template="chatml")
    assert told("ember")["template"] == "chatml, as set"


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [("nothing", 3, "'nothing' is not installed"), ("no.gguf", 1, "no such file"), ("no.jinja", 1, "can't be read as text")],
)
def test_what_is_not_there_is_one_line(name: str, status: int, said: str) -> None:
    ran = run_hearth("formats", name)
    assert (ran.returncode, ran.stdout) == (status, "")
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
