from __future__ import annotations

import llguidance
import pytest

from app.formats.text_pattern import whole_pattern
from tests.formats.test_call_grammar import Vocabulary


def matches(pattern: str, text: str) -> bool:
    whole = whole_pattern(pattern)
    assert whole is not None
    tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Vocabulary(())))
    grammar = llguidance.LLMatcher.grammar_from_lark(f"%llguidance {{}}\nstart: /{whole}/\n")
    matcher = llguidance.LLMatcher(tokenizer, grammar, log_level=0)
    data = list(text.encode())
    return bool(matcher.validate_tokens(data) == len(data) and matcher.consume_tokens(data) and matcher.is_accepting())


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("^[a-c]{2}$", ["ab", "cc"], ["a", "abc", "xab"]),
        ("b+", ["b", "abc", "bb\n"], ["", "ac"]),
        ("^a|b$", ["a", "ax", "xb"], ["xa", "bx"]),
        ("^(a|b)$", ["a", "b"], ["ab"]),
        (r"^\d{4}-\d\d$", ["2024-01"], ["٢٠٢٤-01", "2024-1"]),
        (r"^[\w.]+@[^@$]+$", ["a.b@c"], ["é@c", "a@$"]),
        ("^/api/[^/]*$", ["/api/x", "/api/"], ["api/x", "/api/x/y"]),
        (r"^\/x$", ["/x"], ["x"]),
        ("^[[]&[&&]$", ["[&&"], ["[&["]),
        (r"^\u00e9$", ["é"], ["e"]),
        (r"^\$\^$", ["$^"], ["$"]),
        ("^$", [""], ["a"]),
        ("", ["", "anything"], []),
    ],
)
def test_a_whole_text_matches_as_a_part_of_it_matches_the_pattern(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [text for text in yes if not matches(pattern, text)] == []
    assert [text for text in no if matches(pattern, text)] == []


@pytest.mark.parametrize("pattern", ["(?=x)y", r"(a)\1", r"\bx", "(^a)", "a$b", "^(", "[", "x" * 600, r"[\W]"])
def test_what_can_not_be_said_is_none(pattern: str) -> None:
    assert whole_pattern(pattern) is None
