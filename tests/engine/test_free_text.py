from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.prompt import Constraint
from app.engine.free_text import FreeText

LAZY = Constraint(lark="start: x", triggers=("<call>", "TOOL:"), aside=("<think>", "</think>"))


def _read(free: FreeText, text: str, size: int = 1) -> bytes | None:
    """What is bound of a text that comes in pieces of `size` bytes."""
    data = text.encode()
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        foreseen = free.behind(piece)
        bound = free.read(piece)
        assert bound == foreseen
        if bound is not None:
            return bound + data[start + size :]
    return None


@given(size=st.integers(1, 12))
@pytest.mark.parametrize(
    ("constraint", "text", "bound"),
    [
        (Constraint(lark="start: x", after="</think>"), "a < b </thin </think>x", b"x"),
        (Constraint(lark="start: x", after="</think>"), "nothing", None),
        (LAZY, "a <cal TOOL: x", b" x"),
        (LAZY, "<think>TOOL: </think><think><call></think>no", None),
        (LAZY, "<think>TOOL: </think> TOOL:<call>", b"<call>"),
        (Constraint(lark="start: x", after="</think>", triggers=("T",), aside=("<think>", "</think>")), "T</think>aTb", b"b"),
        (Constraint(lark="start: x", triggers=("aab",)), "aaab!", b"!"),
        (Constraint(lark="start: x", triggers=("é",)), "caf\u00e9!", b"!"),
    ],
)
def test_the_end_is_found_however_the_text_is_split(constraint: Constraint, text: str, bound: bytes | None, size: int) -> None:
    assert _read(FreeText(constraint), text, size) == bound


def test_it_begins_again_without_what_was_before() -> None:
    free = FreeText(LAZY)
    assert _read(free, "TOOL:") == b""
    assert not free.lasts
    free.begin_again()
    assert free.lasts
    assert _read(free, "OL: TOOL:x", 20) == b"x"
