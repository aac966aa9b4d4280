from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.formats.json_scan import Scan
from app.formats.literal_reader import LiteralReader
from app.formats.spec import LiteralArguments


def read(dialect: Literal["python", "gemma"], text: str, size: int = 1000) -> tuple[Scan, str, str]:
    """The status, the JSON, and what was not read."""
    reader, held, out = LiteralReader(LiteralArguments(dialect)), "", ""
    for at in range(0, len(text), size):
        held += text[at : at + size]
        status, end = reader.read(held, 0)
        out += reader.take()
        held = held[end:]
        if status is not Scan.MORE:
            return status, out, held + text[at + size :]
    return Scan.MORE, out, held


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (")", {}),
        ("a=1, b=-2.5e3, c=0x10)", {"a": 1, "b": -2500.0, "c": 16}),
        ("a=True, b=False, c=None, d=true)", {"a": True, "b": False, "c": None, "d": True}),
        ("a=[1, (2, 3,),], b={'x': {\"y\": []}, 1: 2})", {"a": [1, [2, 3]], "b": {"x": {"y": []}, "1": 2}}),
        (r"""a='it\'s', b="\n\t\x41\u00e9\ud83d\ude00\ud83d!\q")""", {"a": "it's", "b": "\n\tAé😀\ufffd!\\q"}),
        ('a="""x "y" \'""", b=\'\'\'\'\'\')', {"a": 'x "y" \'', "b": ""}),
        ("a=word)", {"a": "word"}),
    ],
)
def test_python_s_literals_become_json(text: str, value: Any, size: int) -> None:
    status, out, rest = read("python", text + " more", size)
    assert (status, json.loads(out), rest) == (Scan.DONE, value, ") more")


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_gemma_s_literals_become_json(size: int) -> None:
    text = 'a:<|"|>x "y" \\ <|<|"|>,b:[1,true,null],c:{<|"|>k<|"|>:<|"|><|"|>,l:{}}}<tool_call|>'
    status, out, rest = read("gemma", text, size)
    assert (status, rest) == (Scan.DONE, "}<tool_call|>")
    assert json.loads(out) == {"a": 'x "y" \\ <|', "b": [1, True, None], "c": {"k": "", "l": {}}}


@pytest.mark.parametrize("text", ["1)", "a)", "a=1 2)", "a==1)", "a=[1)", "=1)", "a=" + "[" * 300, "b" * 300, "a=" + "1" * 500])
def test_what_is_no_literal_is_broken(text: str) -> None:
    assert read("python", text)[0] is Scan.BROKEN


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        ),
        max_size=4,
    ),
    st.integers(1, 7),
)
def test_whatever_python_writes_is_read(arguments: dict[str, Any], size: int) -> None:
    text = ", ".join(f"{name}={value!r}" for name, value in arguments.items()) + ")"
    status, out, rest = read("python", text, size)
    assert (status, rest) == (Scan.DONE, ")")
    assert json.loads(out) == arguments
