from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.formats.json_scan import JsonScanner, Scan

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def scan(text: str, size: int) -> tuple[Scan, int]:
    scanner, read, status = JsonScanner(), 0, Scan.MORE
    for start in range(0, len(text), size):
        piece = text[start : start + size]
        status, at = scanner.scan(piece, 0)
        read += at
        if status is not Scan.MORE:
            break
    return status, read


@settings(max_examples=40, deadline=None)
@given(VALUES, st.booleans(), st.integers(1, 9), st.sampled_from([None, 1]))
def test_the_end_of_any_value_is_found(value: Any, ascii_only: bool, size: int, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert scan(text + "}", size) == (Scan.DONE, len(text))


@settings(max_examples=40, deadline=None)
@given(st.text('{}[]",:\\u0-1.e trufalsn\n', max_size=12), st.integers(1, 4))
def test_what_is_taken_is_json_and_what_is_json_is_taken(text: str, size: int) -> None:
    text += "}"
    status, read = scan(text, size)
    try:
        _, end = json.JSONDecoder(strict=True).raw_decode(text.lstrip(" \n"))
    except ValueError:
        end = None
    if status is Scan.DONE:
        json.loads(text[:read])
    elif end is not None:
        # Only a number that runs into more letters is cut where Python would not.
        assert text.lstrip(" \n")[end : end + 1].isalnum() or text.lstrip(" \n")[end : end + 1] in (".", "-", "+")


@pytest.mark.parametrize(
    "text", ["[1,]", "{1:2}", '{"a" 1}', "tru}", '"\n"', '"\\x"', "01}", "1.}", "}", "]", '{"a":1]', "[" * 300]
)
def test_what_is_not_json_is_broken(text: str) -> None:
    assert scan(text, 1)[0] is Scan.BROKEN


@pytest.mark.parametrize("text", ["", "[1, ", '"a', '{"a"', "12", "tru"])
def test_what_is_not_finished_wants_more(text: str) -> None:
    assert (scan(text, 3) if text else (Scan.MORE, 0))[0] is Scan.MORE
