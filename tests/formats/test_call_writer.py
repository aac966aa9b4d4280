from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.domain.messages import ToolCall
from app.formats.call_writer import write_answer, write_calls
from app.formats.derive import derive_spec
from app.formats.spec import FormatSpec, JsonCall
from app.formats.traits import traits_of
from tests.formats.families import CALLS, FAMILIES, Family
from tests.formats.real_templates import TEMPLATES, template_of
from tests.formats.test_families import calls_of, expected, read

# Templates that write two calls as two turns, or the first alone.
ONE_AT_A_TIME = ("GigaChat3-10B-A1.8B", "GigaChat3.1-10B-A1.8B", "muse-glimmer")
INDENTED = ("CohereForAI-c4ai-command-r-plus-tool_use",)
GIVEN = [
    ToolCall(f"abcdefgh{index}", name, json.dumps(value, ensure_ascii=False)) for index, (name, value) in enumerate(CALLS, 1)
]


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.spec.tools], ids=lambda family: family.name)
def test_what_is_written_is_read_again(family: Family) -> None:
    assert family.spec.tools is not None
    if family.spec.channels is not None:
        pytest.skip("its calls stand in messages of their own")
    answer, called = read(family, write_calls(family.spec.tools, GIVEN[: len(expected(family))]))
    assert calls_of(answer) == expected(family)
    assert (answer.content, called) == ("", True)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_an_answer_of_one_call_is_read_again(family: Family) -> None:
    answer, called = read(family, write_answer(family.spec, GIVEN[0]))
    assert calls_of(answer) == expected(family)[:1]
    assert (answer.content, called) == ("", True)


def test_where_there_are_no_calls_nothing_is_written() -> None:
    assert write_answer(FormatSpec(), GIVEN[0]) == ""


@pytest.mark.parametrize("name", TEMPLATES)
def test_calls_are_written_as_the_template_writes_them(name: str, llama_models: Path) -> None:
    template = template_of(name, llama_models)
    traits = traits_of(template)
    syntax = derive_spec(template, traits).tools
    if syntax is None or not traits.calls:
        pytest.skip("it writes no calls, or its model writes them otherwise")
    n = 1 if syntax.at_start or name in ONE_AT_A_TIME else 2
    # Some put arguments into the order of the alphabet, and some number the calls whatever their ids are.
    numbers = isinstance(syntax.call, JsonCall) and syntax.call.id_leads
    calls = [
        ToolCall(str(index) if numbers else f"call0000{index}", "find", '{"count": 7, "text": "x y"}') for index in range(n)
    ]
    shaped = [
        {
            "id": call.id,
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": json.loads(call.arguments) if traits.argument_objects else call.arguments,
            },
        }
        for call in calls
    ]
    turn = {"role": "assistant", "content": None if traits.null_content else "", "tool_calls": shaped}
    rendered = template.render([traits.turn("user", "Q"), turn], tools=traits.no_tools, add_generation_prompt=False)
    written = write_calls(syntax, calls).strip()
    if name in INDENTED:
        written, rendered = "".join(written.split()), "".join(rendered.split())
    assert written in rendered
