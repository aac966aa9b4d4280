from __future__ import annotations

import pytest

from app.formats.json_call import JsonCallReader
from app.formats.json_scan import Scan
from app.formats.spec import JsonCall

SYNTAX = JsonCall("<call>", "</call>", id_key="id")


def test_a_call_starts_with_its_name_and_the_first_sign_of_its_arguments() -> None:
    reader = JsonCallReader(SYNTAX)
    progress = reader.read('{"name": "f", "argu', 0)
    assert (progress.status, progress.position, progress.started) == (Scan.MORE, 19, None)
    progress = reader.read('ments": {"a"', 0)
    assert (progress.started, progress.arguments) == ("f", '{"a"')
    progress = reader.read(": 1}", 0)
    assert (progress.started, progress.arguments) == (None, ": 1}")
    progress = reader.read(', "id": "x"} tail', 0)
    assert (progress.status, progress.position) == (Scan.DONE, 12)
    assert reader.id == "x"


def test_a_call_is_read_from_the_given_place() -> None:
    progress = JsonCallReader(SYNTAX).read('###{"name": "f"}', 3)
    assert (progress.status, progress.position, progress.started, progress.arguments) == (Scan.DONE, 16, "f", "{}")


@pytest.mark.parametrize(
    "text",
    [
        "}",
        "1: 2}",
        '"name" "f"}',
        '"name": "f",}',
        '"name": ""}',
        '"name": "f", "name": "g"}',
        '"name": "f", "arguments": [1]}',
        '"name": "f", "arguments": "no JSON"}',
        '"name": "f", "arguments": "[1]"}',
        '"arguments": {}, "arguments": {}, "name": "f"}',
        '"arguments": "{}", "arguments": {}, "name": "f"}',
        '"arguments": "' + "[" * 100_000 + '", "name": "f"}',
        '"name": 12345678901234567890}',
        '"x": ' + "1" * 1000 + ', "name": "f"}',
    ],
)
def test_what_is_no_call_is_broken_before_it_starts(text: str) -> None:
    reader = JsonCallReader(SYNTAX)
    assert reader.read("{" + text, 0).status is Scan.BROKEN
    assert "arguments" in text.split('"name"')[-1] or not reader.started


def test_the_name_may_be_the_key_of_the_arguments() -> None:
    progress = JsonCallReader(JsonCall(name_key="")).read('{"f": {"a": 1}}', 0)
    assert (progress.status, progress.started, progress.arguments) == (Scan.DONE, "f", '{"a": 1}')


@pytest.mark.parametrize(
    "text", ['{"name": "g", "parameters": {}}', '{"x": 1, "name": "f", "parameters": {}}', '{"answer": 1}']
)
def test_where_only_the_shape_shows_a_call_its_name_must_be_known_and_come_first(text: str) -> None:
    assert JsonCallReader(JsonCall(), only=("f",)).read(text, 0).status is Scan.BROKEN


def test_keys_that_other_families_use_are_understood_too() -> None:
    progress = JsonCallReader(JsonCall(arguments_key="parameters")).read('{"name": "f", "arguments": {"a": 1}}', 0)
    assert (progress.started, progress.arguments) == ("f", '{"a": 1}')
