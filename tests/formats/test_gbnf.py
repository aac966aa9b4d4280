from __future__ import annotations

import pytest

from app.domain.prompt import Constraint
from app.formats.gbnf import BadGbnf, lark_of_gbnf
from tests.formats.test_constraint import takes

ARITHMETIC = r"""# llama.cpp's own example
root   ::= (expr "=" ws term "\n")+
expr   ::= term ([-+*/] term)*
term   ::= ident | num | "(" ws expr ")" ws
ident  ::= [a-z] [a-z0-9_]* ws
num    ::= [0-9]+ ws
ws     ::= [ \t\n]*
"""


@pytest.mark.parametrize(
    ("grammar", "text", "conforms"),
    [
        (ARITHMETIC, "a+b =1\n", True),
        (ARITHMETIC, "a b=1\n", False),
        # A greedy terminal would take the b.
        ('root ::= word "b"\nword ::= [a-z]+', "aab", True),
        ('root ::= ( "a"\n  | "b" )\n   | "c" # no more\nR-2 ::= "x"', "c", True),
        ('root ::= "a" |\n "b"', "b", True),
        (r'root ::= "\u00e9\x41\"" [^\n\]-] .', 'éA"x\n', True),
        (r'root ::= "\u00e9\x41\"" [^\n\]-] .', 'éA"]\n', False),
        ('root ::= "a"{2} "b"{1,} "c"{0,1}', "aabb", True),
        ('root ::= "a"{2} "b"{1,} "c"{0,1}', "aab" + "cc", False),
        ('root ::= [a-] [^] | ""', "-x", True),
        ('root ::= Item item\nItem ::= "A"\nitem ::= "a"', "Aa", True),
    ],
)
def test_a_grammar_means_what_it_means_to_llama_cpp(grammar: str, text: str, conforms: bool) -> None:
    assert takes(Constraint(lark=lark_of_gbnf(grammar)), text) is conforms


def test_tokens_are_named_as_lark_names_them() -> None:
    assert lark_of_gbnf("root ::= <[12]> !<[13]> <think>") == "start: <[12]> <[^13]> <think>\n"


@pytest.mark.parametrize(
    ("grammar", "why"),
    [
        ('root ::= "x"\nx ::= foo', "does not exist in line 2, column 7"),
        ("root ::= (", "expected '\\)' in line 1"),
        ('x ::= "a"', "no rule 'root'"),
        ('root ::= "a', 'expected " in line 1'),
        ('root = "a"', "expected '::='"),
        ("root ::= [z-a]", "range ends below"),
        ("root ::= []", "matches nothing"),
        ('root ::= "a"\nroot ::= "b"', "exists already in line 2"),
        (r'root ::= "\q"', "escape"),
        (r'root ::= "\uD800"', "escape"),
        ('root ::= "a"{3,2}', "repetition"),
        ('root ::= "a"{,2}', "repetition"),
        ('root ::= "a" )', "end of the line"),
        ("root ::= " + "(" * 100_000, "nested"),
        ("root ::= !<think>", "token"),
        ("", "no rule 'root'"),
        ("{}", "name of a rule"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(grammar: str, why: str) -> None:
    with pytest.raises(BadGbnf, match=why):
        lark_of_gbnf(grammar)
