from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.generation import ReasoningDelta, TextDelta, TokenLogprob, Tool, ToolArgumentsDelta, ToolCallStarted
from app.domain.prompt import Piece
from app.formats.ledger import Delta
from app.formats.parser import OutputParser
from app.formats.spec import PROMPTED_TOOLS, ContentSyntax, FormatSpec, JsonCall, ReasoningSyntax, ToolSyntax
from tests.formats.talks import Answer, pieces

HERMES = FormatSpec(ReasoningSyntax("<think>", "</think>"), PROMPTED_TOOLS)
MISTRAL = FormatSpec(None, ToolSyntax(JsonCall(id_key="id"), open="[TOOL_CALLS] [", close="]", between=", "))
TOOLS = (Tool("get_weather"),)
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich \\"1\\"", "days": [1, {"a": null}]}}\n</tool_call>'
ARGUMENTS = {"city": 'Zürich "1"', "days": [1, {"a": None}]}


def read(
    text: str, spec: FormatSpec = HERMES, *, size: int = 3, tools: tuple[Tool, ...] = TOOLS, in_reasoning: bool = False
) -> Answer:
    return Answer(deltas_of(OutputParser(spec, tools=tools, in_reasoning=in_reasoning), pieces(text, size)))


def deltas_of(parser: OutputParser, given_pieces: list[Piece]) -> list[Delta]:
    return [delta for piece in given_pieces for delta in parser.feed(piece)] + list(parser.finish())


def test_words_come_out_at_once() -> None:
    parser = OutputParser(FormatSpec(), tools=())
    assert parser.feed(Piece(1, "Hel")) == (TextDelta("Hel"),)
    assert parser.feed(Piece(2, "lo <tool_call>\n")) == (TextDelta("lo <tool_call>\n"),)
    assert parser.finish() == ()


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_reasoning_content_and_calls_are_told_apart(size: int) -> None:
    answer = read(f"<think>\nI look.\n</think>\n\nOne moment.\n{CALL}\n{CALL}", size=size)
    assert answer.reasoning == "I look."
    assert answer.content == "One moment."
    assert answer.names == ["get_weather", "get_weather"]
    assert [json.loads(arguments) for arguments in answer.arguments] == [ARGUMENTS, ARGUMENTS]
    assert len(set(answer.ids)) == 2
    assert all(call_id.startswith("call_") for call_id in answer.ids)


def test_arguments_are_streamed_as_they_grow() -> None:
    parser = OutputParser(HERMES, tools=TOOLS)
    assert parser.feed(Piece(1, '<tool_call>{"name": "f", "argu')) == ()
    started, first = parser.feed(Piece(2, 'ments": {"a": "b'))
    assert started == ToolCallStarted(0, started.id if isinstance(started, ToolCallStarted) else "", "f")
    assert first == ToolArgumentsDelta(0, '{"a": "b')
    assert parser.feed(Piece(3, "c")) == (ToolArgumentsDelta(0, "c"),)
    assert not parser.called_tools
    assert parser.feed(Piece(4, '"}}')) == (ToolArgumentsDelta(0, '"}'),)
    assert parser.called_tools


def test_arguments_before_the_name_wait_for_it() -> None:
    answer = read('<tool_call>{"arguments": {"a": 1}, "name": "f"}</tool_call>')
    assert (answer.names, answer.arguments, answer.content) == (["f"], ['{"a": 1}'], "")


@pytest.mark.parametrize("arguments", ['"{\\"a\\": 1}"', '{"a": 1}'])
def test_arguments_written_as_text_are_unpacked(arguments: str) -> None:
    assert json.loads(read(f'<tool_call>{{"name": "f", "arguments": {arguments}}}</tool_call>').arguments[0]) == {"a": 1}


@pytest.mark.parametrize("ending", ["}", ', "arguments": null}', ', "arguments": {}}'])
def test_a_call_without_arguments_has_empty_ones(ending: str) -> None:
    assert read(f'<tool_call>{{"name": "f"{ending}</tool_call>').arguments == ["{}"]


def test_a_list_of_calls_is_several_calls_with_ids_of_nine_letters_and_digits() -> None:
    text = '[TOOL_CALLS] [{"name": "a", "arguments": {"x": 1}, "id": "abcdefghi"}, '
    text += '{"id": "jklmnopqr", "name": "b", "arguments": {}}]'
    answer = read(text, MISTRAL)
    assert (answer.names, answer.arguments, answer.content) == (["a", "b"], ['{"x": 1}', "{}"], "")
    assert answer.ids[1] == "jklmnopqr"
    assert len(answer.ids[0]) == 9


def test_words_after_a_call_are_content() -> None:
    answer = read(f"{CALL}\n\nDone.")
    assert (answer.names, answer.content) == (["get_weather"], "Done.")


def test_a_missing_closing_marker_does_not_lose_the_next_call() -> None:
    first = CALL.removesuffix("\n</tool_call>")
    assert read(f"{first}\n{CALL}").names == ["get_weather", "get_weather"]


def test_without_tools_a_call_is_content() -> None:
    assert read(CALL, tools=()).content == CALL


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>\nnot JSON\n</tool_call>",
        '<tool_call>\n{"name": 1, "arguments": {}}\n</tool_call>',
        '<tool_call>\n{"arguments": {"a": 1}}\n</tool_call>',
        '<tool_call>\n{"name": "f", "arguments": [1]}\n</tool_call>',
        '<tool_call>\n{"name": "get_wea',
        "<tool_call>",
        "<tool_c",
        "a < b and <tool",
        "<thin",
        '<tool_call>{"name": "\\ud800", "arguments": {}}',
    ],
)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_what_is_no_call_comes_out_as_content(text: str, size: int) -> None:
    answer = read(text, size=size)
    assert (answer.content, answer.names) == (text, [])


def test_a_call_that_breaks_after_its_start_gives_the_rest_as_content() -> None:
    parser = OutputParser(HERMES, tools=TOOLS)
    answer = Answer(deltas_of(parser, pieces('<tool_call>{"name": "f", "arguments": {"a": oops}}</tool_call>')))
    assert answer.names == ["f"]
    assert answer.arguments == ['{"a": ']
    assert answer.content == "oops}}</tool_call>"
    assert not parser.called_tools


def test_an_unfinished_call_does_not_count() -> None:
    parser = OutputParser(HERMES, tools=TOOLS)
    answer = Answer(deltas_of(parser, pieces('<tool_call>{"name": "f", "arguments": {"a": "b')))
    assert (answer.names, answer.arguments, answer.content) == (["f"], ['{"a": "b'], "")
    assert not parser.called_tools


def test_unfinished_reasoning_is_reasoning() -> None:
    answer = read("<think>\nI am still")
    assert (answer.reasoning, answer.content) == ("I am still", "")


def test_reasoning_that_the_prompt_opened_needs_no_opening_marker() -> None:
    answer = read("I look.\n</think>\n\nHere.", in_reasoning=True)
    assert (answer.reasoning, answer.content) == ("I look.", "Here.")


def test_a_thinking_tag_in_the_middle_of_an_answer_is_text() -> None:
    assert read("Use <think> tags.</think>").content == "Use <think> tags.</think>"


def test_the_first_line_of_code_after_reasoning_keeps_its_indentation() -> None:
    assert read("<think>x</think>\n\n    indented").content == "    indented"


def test_reasoning_tokens_are_counted_with_their_markers() -> None:
    parser = OutputParser(HERMES, tools=TOOLS)
    deltas_of(
        parser, [Piece(index, text) for index, text in enumerate(["<think>", "\n", "a", "\n", "</think>", "\n\n", "b", "c"])]
    )
    assert parser.reasoning_tokens == 5


def test_every_token_of_a_marker_counts() -> None:
    parser = OutputParser(HERMES, tools=TOOLS)
    texts = ["\n", "<th", "ink", ">", "a", "</th", "ink>", "\n\n", "b", "c"]
    deltas_of(parser, [Piece(index, text) for index, text in enumerate(texts)])
    assert parser.reasoning_tokens == 7
    parser = OutputParser(HERMES, tools=TOOLS)
    deltas_of(parser, [Piece(index, text) for index, text in enumerate(["<th", "at", ">", "a"])])
    assert parser.reasoning_tokens == 0


def test_one_call_is_enough_when_calls_may_not_be_parallel() -> None:
    parser = OutputParser(HERMES, tools=TOOLS, parallel_calls=False)
    answer = Answer(deltas_of(parser, pieces(f"{CALL}\n{CALL} and more")))
    assert parser.wants_stop
    assert parser.called_tools
    assert (answer.names, answer.content) == (["get_weather"], "")


def test_an_answer_may_go_on_while_calls_may_be_parallel() -> None:
    parser = OutputParser(HERMES, tools=TOOLS)
    deltas_of(parser, pieces(CALL))
    assert not parser.wants_stop


def piece(index: int, text: str) -> Piece:
    return Piece(index, text, logprob=TokenLogprob(index, text, text.encode(), -math.pi))


def test_log_probabilities_come_with_the_words_they_belong_to() -> None:
    parser = OutputParser(HERMES, tools=TOOLS)
    texts = [
        "<think>",
        "hm",
        "</think>",
        "\n\n",
        "Hel",
        "lo",
        " <",
        "b>",
        "",
        "é",
        "\n",
        "<tool_call>",
        '{"name": "f"}',
        "</tool_call>",
    ]
    deltas = deltas_of(parser, [piece(index, text) for index, text in enumerate(texts)])
    reasoned = [probability.token_id for delta in deltas if isinstance(delta, ReasoningDelta) for probability in delta.logprobs]
    spoken = [probability.token_id for delta in deltas if isinstance(delta, TextDelta) for probability in delta.logprobs]
    assert reasoned == [1]
    assert spoken == [4, 5, 6, 7, 8, 9]


def test_every_token_of_plain_text_gives_its_log_probability_once() -> None:
    parser = OutputParser(HERMES, tools=TOOLS)
    deltas = deltas_of(parser, [piece(index, text) for index, text in enumerate(["a <", "too", "l", "_x> ", " ", "b"])])
    assert [p.token_id for delta in deltas if isinstance(delta, TextDelta) for p in delta.logprobs] == [0, 1, 2, 3, 4, 5]


def test_the_token_of_an_unfinished_character_gives_its_log_probability_at_the_end() -> None:
    parser = OutputParser(HERMES, tools=TOOLS)
    *_, last = deltas_of(parser, [piece(0, "a"), piece(1, "")])
    assert isinstance(last, TextDelta)
    assert (last.text, [p.token_id for p in last.logprobs]) == ("", [1])


FRAGMENTS = st.sampled_from(
    ["<think>", "</think>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", CALL, '{"name": "f", "arguments": ', "{", "}", "[",
     "]", '"', ":", ",", "\\", "\n", " ", "12", "-", "e", "true", "nul", "word", "é", "\ue000", "\x00", "<", "</", "\\ud800"]
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    st.lists(FRAGMENTS | st.text(max_size=4), max_size=12),
    st.lists(st.integers(1, 9), min_size=1),
    st.booleans(),
    st.booleans(),
)
def test_no_text_and_no_split_makes_it_raise_or_changes_what_is_read(
    fragments: list[str], sizes: list[int], in_reasoning: bool, listed: bool
) -> None:
    text, spec = "".join(fragments), MISTRAL if listed else HERMES
    split: list[Piece] = []
    at = 0
    while at < len(text):
        size = sizes[len(split) % len(sizes)]
        split.append(Piece(0, text[at : at + size]))
        at += size
    parser, whole_parser = (OutputParser(spec, tools=TOOLS, in_reasoning=in_reasoning and not listed) for _ in range(2))
    answer, whole = Answer(deltas_of(parser, split)), Answer(deltas_of(whole_parser, [Piece(0, text)]))
    assert (answer.content, answer.reasoning) == (whole.content, whole.reasoning)
    assert (answer.names, answer.arguments) == (whole.names, whole.arguments)
    assert parser.called_tools == whole_parser.called_tools
    for arguments in answer.arguments[: -1 if answer.names else None]:
        assert isinstance(arguments, str)
    if not answer.names and not answer.reasoning and "think>" not in text:
        assert "".join(answer.content.split()) == "".join(text.split())


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists), max_size=4),
    st.integers(1, 8),
)
def test_any_arguments_come_out_as_they_went_in(arguments: dict[str, object], size: int) -> None:
    text = json.dumps({"name": "f", "arguments": arguments}, ensure_ascii=False)
    answer = read(f"<tool_call>\n{text}\n</tool_call>", size=size)
    assert (answer.names, answer.content) == (["f"], "")
    assert json.loads(answer.arguments[0]) == arguments


def test_the_work_for_a_piece_does_not_grow_with_the_answer() -> None:
    parser = OutputParser(HERMES, tools=TOOLS)
    for _ in range(2000):
        parser.feed(Piece(0, "word "))
    assert len(parser._held) < 40
    assert len(parser._out._tokens) < 10


def test_markers_around_the_words_are_not_seen() -> None:
    spec = FormatSpec(content=ContentSyntax("<|START_RESPONSE|>", "<|END_RESPONSE|>"))
    assert read("<|START_RESPONSE|>  Hello <b>!\n<|END_RESPONSE|>", spec).content == "  Hello <b>!\n"


def test_a_longer_marker_is_waited_for() -> None:
    spec = FormatSpec(content=ContentSyntax(">>>all\n", ""), tools=ToolSyntax(JsonCall(">>>")))
    assert read(">>>all\nHi >", spec, size=1).content == "Hi >"
    assert read('>>>{"name": "f"}', spec, size=1).names == ["f"]


@pytest.mark.parametrize("text", ['{"name": "unknown", "parameters": {}}', '{"answer": [1, 2]}', "{", "{}", "Words {"])
def test_json_that_is_no_call_of_a_tool_is_the_answer(text: str) -> None:
    spec = FormatSpec(tools=ToolSyntax(JsonCall(arguments_key="parameters"), at_start=True))
    answer = read(text, spec, size=2)
    assert (answer.content, answer.names) == (text, [])


@pytest.mark.parametrize("text", ['[{"name": "unknown", "arguments": {}}]', "[1, 2]", '[{"a": 1}]', "[", "[]", "[link](x)"])
def test_a_list_that_is_not_of_calls_is_the_answer(text: str) -> None:
    spec = FormatSpec(tools=ToolSyntax(JsonCall(), open="[", close="]", between=", ", at_start=True))
    answer = read(text, spec, size=2)
    assert (answer.content, answer.names) == (text, [])


def test_calls_by_shape_may_follow_one_another() -> None:
    spec = FormatSpec(tools=ToolSyntax(JsonCall(arguments_key="parameters"), at_start=True))
    call = '{"name": "get_weather", "parameters": {"city": "Ulm"}}'
    answer = read(f"<|python_tag|>{call}; {call}", spec)
    assert (answer.names, answer.content) == (["get_weather", "get_weather"], "")
