from __future__ import annotations

from app.domain.prompt import Constraint

LARK = 'start: marker_0 "x" marker_1\nmarker_0: "<call>"\nmarker_1: "</call>"\n'
MARKERS = ("<call>", "</call>")


def test_a_marker_that_is_one_special_token_becomes_that_token() -> None:
    tokens = {"<call>": 7}
    assert Constraint(lark=LARK, markers=MARKERS).lark_for(tokens.get) == LARK.replace('marker_0: "<call>"', "marker_0: <[7]>")


def test_a_vocabulary_without_special_tokens_spells_the_markers() -> None:
    assert Constraint(lark=LARK, markers=MARKERS).lark_for(lambda _: None) == LARK
