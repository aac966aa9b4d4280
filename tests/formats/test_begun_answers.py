"""An answer that was begun is gone on with where it stops, whatever the template writes around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.errors import InvalidRequest
from app.domain.generation import JsonObjectFormat
from app.domain.messages import Message, Role
from app.formats.chat_format import ChatFormat
from tests.formats.conversations import TOOL_CONVERSATIONS
from tests.formats.real_templates import TEMPLATES, format_of
from tests.formats.talks import Answer, ask, formatted, pieces, plain, said, text_of

each_template = pytest.mark.parametrize("name", TEMPLATES)


@each_template
@pytest.mark.parametrize("begun", ["The answer is", "The answer\n  is: \n", "This is the end", "1. ", "<|im_end|> is"])
def test_a_prompt_ends_with_the_answer_that_was_begun(llama_models: Path, name: str, begun: str) -> None:
    chat_format = format_of(name, llama_models)
    segments = chat_format.prompt(ask("Qone?", begun))
    assert text_of(segments).endswith(begun)
    assert plain(segments)[-1].endswith(begun)
    assert text_of(segments).count("Qone?") == 1


@each_template
def test_an_answer_after_results_can_be_begun(llama_models: Path, name: str) -> None:
    request = TOOL_CONVERSATIONS["parallel calls"]
    messages = (*request.messages, said(Role.ASSISTANT, "It is "))
    prompt = text_of(format_of(name, llama_models).prompt(ask(*messages, tools=request.tools)))
    assert prompt.endswith("It is ")
    assert prompt.index("Tnoon.") < prompt.index("It is ")


@each_template
def test_what_follows_a_begun_answer_is_its_text(llama_models: Path, name: str) -> None:
    parser = format_of(name, llama_models).parser(ask("Qone?", "The answer"))
    answer = Answer([*(delta for piece in pieces(" is 42.") for delta in parser.feed(piece)), *parser.finish()])
    assert (answer.content, answer.reasoning) == (" is 42.", "")


@pytest.mark.parametrize("name", ["Qwen-Qwen3-0.6B", "GLM-4.6", "MiniMax-M2", "ByteDance-Seed-OSS"])
def test_a_begun_thought_is_gone_on_with(llama_models: Path, name: str) -> None:
    chat_format = format_of(name, llama_models)
    request = ask("Qone?", Message(Role.ASSISTANT, reasoning="Let me "))
    assert text_of(chat_format.prompt(request)).endswith("Let me ")
    assert chat_format.spec.reasoning is not None
    close = chat_format.spec.reasoning.close
    parser = chat_format.parser(request)
    answer = Answer([*(delta for piece in pieces(f"see.\n{close}\n\nYes") for delta in parser.feed(piece)), *parser.finish()])
    assert (answer.reasoning, answer.content) == ("see.", "Yes")


def test_a_template_that_takes_the_end_off_can_not_go_on() -> None:
    with pytest.raises(InvalidRequest, match="add_generation_prompt") as caught:
        formatted("{% for m in messages %}{{ m.content[:9] }}{% endfor %}").prompt(ask("Hi", "The answer is"))
    assert caught.value.param == "messages"


def test_a_grammar_goes_on_where_the_answer_was_begun(ember: ChatFormat) -> None:
    constraint = ember.constraint(ask("Hi", '{"a": ', output=JsonObjectFormat()))
    assert constraint is not None
    assert constraint.begun == '{"a": '
    anew = ember.constraint(ask("Hi", '{"a": ', output=JsonObjectFormat(), continues=False))
    assert anew is not None
    assert anew.begun == ""
