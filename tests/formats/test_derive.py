from __future__ import annotations

import json

import pytest

from app.formats.derive import derive_spec
from app.formats.spec import FormatSpec, ReasoningSyntax, ToolSyntax
from app.formats.template import ChatTemplate
from app.formats.traits import traits_of
from tests.formats import templates


def spec(source: str) -> FormatSpec:
    template = ChatTemplate(source, bos_text="<s>", eos_text="</s>")
    return derive_spec(template, traits_of(template))


def test_embers_format(ember_source: str) -> None:
    assert spec(ember_source) == FormatSpec(
        ReasoningSyntax("<think>", "</think>"), ToolSyntax("<tool_call>", "</tool_call>", lead="\n", trail="\n", between="\n")
    )


def test_calls_between_tags() -> None:
    assert spec(templates.CHATML_TOOLS).tools == ToolSyntax("<tool_call>", "</tool_call>", lead="\n", trail="\n", between="\n")


def test_calls_in_a_list_with_ids() -> None:
    assert spec(templates.LISTED).tools == ToolSyntax("[TOOL_CALLS]", "", id_key="id", listed=True, lead=" ")


def test_other_names_for_the_keys() -> None:
    source = templates.CHATML_TOOLS.replace("'name':", "'function':").replace("'arguments':", "'parameters':")
    found = spec(source).tools
    assert found is not None
    assert (found.name_key, found.arguments_key) == ("function", "parameters")


@pytest.mark.parametrize("source", [templates.TAGGED, templates.PLAIN, templates.NO_SYSTEM])
def test_what_is_not_understood_is_not_claimed(source: str) -> None:
    assert spec(source) == FormatSpec()


def test_a_call_without_markers_is_not_claimed() -> None:
    source = templates.CHATML_TOOLS.replace("<tool_call>\\n", "").replace("\\n</tool_call>", "")
    assert spec(source).tools is None


def test_reasoning_is_seen_in_earlier_turns() -> None:
    assert spec(templates.THINKS_BY_DEFAULT).reasoning == ReasoningSyntax("<think>", "</think>")
    other = templates.THINKS_BY_DEFAULT.replace("think>", "thought>")
    assert spec(other).reasoning == ReasoningSyntax("<thought>", "</thought>")


def test_reasoning_that_is_only_cut_away_is_seen_too() -> None:
    assert spec(templates.OPENS_THINKING).reasoning == ReasoningSyntax("<think>", "</think>")


@pytest.mark.parametrize("name", templates.__all__)
def test_a_spec_can_be_stored_as_json(name: str) -> None:
    found = spec(getattr(templates, name))
    assert FormatSpec.from_json(json.loads(json.dumps(found.as_json()))) == found
