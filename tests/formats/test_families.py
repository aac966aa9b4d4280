"""Every family's calls, read back: whole, and in any pieces."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.generation import Tool
from app.domain.prompt import Piece
from app.formats.channel_parser import ChannelParser
from app.formats.parser import OutputParser
from tests.formats.families import CALLS, FAMILIES, TOOL_SCHEMAS, Family
from tests.formats.talks import Answer

TOOLS = tuple(Tool(name, "", json.dumps(schema)) for name, schema in TOOL_SCHEMAS.items())
each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def parser_of(family: Family, tools: tuple[Tool, ...] = TOOLS) -> OutputParser | ChannelParser:
    if family.spec.channels is not None:
        return ChannelParser(family.spec, family.spec.channels, tools=tools)
    return OutputParser(family.spec, tools=tools)


def read(
    family: Family, text: str, cuts: random.Random | None = None, *, tools: tuple[Tool, ...] = TOOLS
) -> tuple[Answer, bool]:
    """What a client would see, and whether tools were called."""
    parser, deltas, at = parser_of(family, tools), [], 0
    while at < len(text):
        size = cuts.randint(1, 6) if cuts else len(text)
        deltas += parser.feed(Piece(0, text[at : at + size]))
        at += size
    return Answer([*deltas, *parser.finish()]), parser.called_tools


def calls_of(answer: Answer) -> list[tuple[str, Any]]:
    return [(name, json.loads(arguments)) for name, arguments in zip(answer.names, answer.arguments, strict=True)]


def expected(family: Family) -> list[tuple[str, dict[str, Any]]]:
    return list(CALLS if family.name != "llama-3" else CALLS[:1])


@each_family
@pytest.mark.parametrize("seed", [None, *range(8)])
def test_calls_are_read_however_they_are_cut(family: Family, seed: int | None) -> None:
    answer, called = read(family, family.text, None if seed is None else random.Random(seed))
    assert calls_of(answer) == expected(family)
    assert (answer.content, answer.reasoning, called) == ("", "", True)
    assert len(set(answer.ids)) == len(answer.ids)


@each_family
def test_reasoning_and_words_may_come_before_calls(family: Family) -> None:
    spec = family.spec
    if spec.channels is not None or (spec.tools and spec.tools.at_start):
        pytest.skip("its words have messages of their own, or none may stand before calls")
    thought = f"{spec.reasoning.open}\nhm <x>\n{spec.reasoning.close}\n\n" if spec.reasoning else ""
    words = f"{spec.content.open}One < two.{spec.content.close}" if spec.content else "One < two.\n\n"
    answer, _ = read(family, thought + words + family.text, random.Random(1))
    assert (answer.reasoning, answer.content.strip()) == ("hm <x>" if thought else "", "One < two.")
    assert calls_of(answer) == expected(family)


@each_family
def test_arguments_grow_while_they_are_written(family: Family) -> None:
    """A client sees more than one delta of a long text, whatever the syntax."""
    parser = parser_of(family)
    text = family.text.replace("<c>", "<c>" + "long " * 20)
    seen = [len(delta) for piece in text for delta in [parser.feed(Piece(0, piece))] if delta]
    assert len(seen) > 50


@each_family
def test_a_call_that_is_cut_off_does_not_count(family: Family) -> None:
    answer, called = read(family, family.text[: family.text.index("7")], random.Random(2))
    assert not called
    assert len(answer.names) <= 1
    assert not answer.arguments or answer.arguments[0].startswith('{"text": "a \\"b\\" <c>\\n é"')


NOISE = st.lists(
    st.sampled_from(
        ["<", ">", "{", "}", "[", "]", "(", ")", '"', "'", "\\", ":", ",", "=", "\n", " ", "find", "7", "é", "\x00"]
    )
    | st.text(max_size=4),
    max_size=6,
).map("".join)


@each_family
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_damage_makes_it_raise_or_read_otherwise_in_pieces(family: Family, data: st.DataObject) -> None:
    text = family.text
    for _ in range(data.draw(st.integers(0, 3))):
        at, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(NOISE) + text[at + length :]
    whole, called = read(family, text)
    cut, called_cut = read(family, text, random.Random(data.draw(st.integers(0, 1000))))
    assert (cut.content, cut.reasoning, cut.names, cut.arguments) == (
        whole.content,
        whole.reasoning,
        whole.names,
        whole.arguments,
    )
    assert called == called_cut
    for arguments in whole.arguments[:-1]:
        arguments.encode()
