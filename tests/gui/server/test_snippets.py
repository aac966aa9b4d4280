from __future__ import annotations

import ast
import json
import shlex

from app.gui.server.snippets import snippets

_ADDRESS = "http://127.0.0.1:8642/v1"


def _code(*, model: str = "ember", has_key: bool = False) -> dict[str, str]:
    return {one.language: one.code for one in snippets(address=_ADDRESS, model=model, has_key=has_key)}


def test_every_language_names_the_real_address_and_model() -> None:
    for language, code in _code(model="Qwen3-8B-Q4_K_M").items():
        assert _ADDRESS in code, language
        assert "Qwen3-8B-Q4_K_M" in code, language


def test_the_python_example_is_python() -> None:
    assert ast.parse(_code(model='a "quoted" name')["Python"])


def test_the_curl_example_sends_valid_json() -> None:
    words = shlex.split(_code(model="it's")["curl"].replace("\\\n", " "))
    body = json.loads(words[words.index("-d") + 1])
    assert body["model"] == "it's"
    assert words[1] == f"{_ADDRESS}/chat/completions"


def test_with_a_key_every_example_says_where_it_goes() -> None:
    assert "Authorization: Bearer YOUR_API_KEY" in _code(has_key=True)["curl"]
    assert all("YOUR_API_KEY" in code for code in _code(has_key=True).values())
    assert not any("YOUR_API_KEY" in code for code in _code().values())
