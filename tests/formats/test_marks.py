from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidRequest
from app.formats.marks import Marks, Run, common_prefix

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text("ab \n<>\U00012399\U00012398", max_size=20)


@given(TEXTS, TEXTS)
def test_marked_texts_are_read_back(first: str, second: str) -> None:
    marks = Marks([first, second])
    marked = marks.read(f"[A]{marks.around(first)}[B]{marks.around(second)}[C]")
    assert marked.text == f"[A]{first}[B]{second}[C]"
    assert "".join(run.text for run in marked.runs if run.plain) == first.strip() + second.strip()
    assert (marked.lost, marked.is_clean) == ((), True)


@given(TEXTS)
def test_marks_survive_what_templates_do(text: str) -> None:
    marks = Marks([text])
    marked = marks.read(f"{marks.around(text).strip()!r}")
    assert marked.text == repr(text.strip())
    assert marks.read(marks.around(text).upper()).text == text.upper()
    assert marks.read(json.dumps(marks.around(text))).text == json.dumps(text)


def test_escaped_marks_in_a_text_are_no_marks() -> None:
    text = "".join(json.dumps(chr(code))[1:-1] for code in range(0x12300, 0x1239A))
    marks = Marks([text])
    marked = marks.read(f"{marks.around('a')}{text}")
    assert [run.text for run in marked.runs if run.plain] == ["a"]
    assert marked.text == f"a{text}"
    assert marked.is_clean


def test_equal_texts_get_equal_marks() -> None:
    marks = Marks(["a", "b"])
    assert marks.around("a") == marks.around("a")
    assert marks.around("a") != marks.around("b")


def test_what_is_left_of_a_cut_text_is_found() -> None:
    marks = Marks([])
    text = marks.around("thought</think>\n\nanswer")
    cut = text.split("</think>")
    cuts = re.compile("</think>")
    tail = marks.read(f"<a>{cut[1].lstrip()}<b>", cuts=cuts)
    assert tail.runs == (Run("<a>"), Run("answer", plain=True), Run("<b>"))
    assert tail.lost == ("thought</think>\n\nanswer",)
    head = marks.read(f"<a>{cut[0]}<b>", cuts=cuts)
    assert head.runs == (Run("<a>"), Run("thought", plain=True), Run("<b>"))


def test_a_cut_never_takes_a_templates_marker_for_content() -> None:
    marks = Marks([])
    text = marks.around("x|></think>y")
    assert marks.read(f"<|a|>{text.split('</think>')[1]}", cuts=re.compile("</think>")).runs == (
        Run("<|a|>"),
        Run("y", plain=True),
    )


def test_only_risky_words_are_marked_and_what_is_looked_for_is_left_bare() -> None:
    marks = Marks([])
    marked = marks.read(marks.around_risky("a <|b|> c</think>d e", re.compile("</think>")))
    assert marked.text == "a <|b|> c</think>d e"
    assert [run.text for run in marked.runs if run.plain] == ["<|b|>", "c", "d"]


def test_pictures_have_places() -> None:
    marks = Marks([])
    assert marks.read(f"a{marks.picture(7)}b").runs == (Run("a"), Run("", picture=7), Run("b"))


def test_remains_of_marks_are_noticed() -> None:
    marks = Marks([])
    assert not marks.read(marks.around("abc")[:-1]).is_clean


def test_texts_with_every_sign_are_refused() -> None:
    signs = "".join(map(chr, (*range(0x12000, 0x1239A), *range(0x13000, 0x1342F))))
    with pytest.raises(InvalidRequest):
        Marks([signs])


@given(TEXTS, TEXTS, TEXTS)
def test_a_common_prefix_is_the_longest(start: str, first: str, second: str) -> None:
    size = common_prefix(start + first, start + second)
    assert size >= len(start)
    assert (start + first)[:size] == (start + second)[:size]
    assert (start + first)[size : size + 1] != (start + second)[size : size + 1] or size == len(start + first) == len(
        start + second
    )
