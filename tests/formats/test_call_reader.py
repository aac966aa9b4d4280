from __future__ import annotations

import pytest

from app.formats.call_reader import CallReader
from app.formats.json_scan import Scan
from app.formats.spec import ToolSyntax

SYNTAX = ToolSyntax("<call>", "</call>", id_key="id")


def test_a_call_starts_with_its_name_and_the_first_sign_of_its_arguments() -> None:
    reader = CallReader(SYNTAX)
    progress = reader.read('"name": "f", "argu', 0)
    assert (progress.status, progress.position, progress.started) == (Scan.MORE, 18, None)
    progress = reader.read('ments": {"a"', 0)
    assert (progress.started, progress.arguments) == ("f", '{"a"')
    progress = reader.read(": 1}", 0)
    assert (progress.started, progress.arguments) == (None, ": 1}")
    progress = reader.read(', "id": "x"} tail', 0)
    assert (progress.status, progress.position) == (Scan.DONE, 12)
    assert reader.id == "x"


def test_a_call_is_read_from_the_given_place() -> None:
    progress = CallReader(SYNTAX).read('###"name": "f"}', 3)
    assert (progress.status, progress.position, progress.started, progress.arguments) == (Scan.DONE, 15, "f", "{}")


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
    reader = CallReader(SYNTAX)
    assert reader.read(text, 0).status is Scan.BROKEN
    assert "arguments" in text.split('"name"')[-1] or not reader.started
