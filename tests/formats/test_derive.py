from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.formats.derive import derive_spec
from app.formats.families import families, family_of
from app.formats.spec import (
    PROMPTED_TOOLS,
    FormatSpec,
    JsonCall,
    LiteralArguments,
    NamedCall,
    ReasoningSyntax,
    TaggedArguments,
    ToolSyntax,
)
from app.formats.spec_json import spec_from_json, spec_to_json
from app.formats.template import ChatTemplate
from app.formats.traits import traits_of
from tests.formats import templates
from tests.formats.families import FAMILIES, Family
from tests.formats.real_templates import TEMPLATES, template_of

DERIVED = Path(__file__).with_name("derived.json")


def spec(source: str) -> FormatSpec:
    template = ChatTemplate(source, bos_text="<s>", eos_text="</s>")
    return derive_spec(template, traits_of(template))


def test_embers_format(ember_source: str) -> None:
    assert spec(ember_source) == FormatSpec(ReasoningSyntax("<think>", "</think>"), PROMPTED_TOOLS)


def test_calls_between_tags() -> None:
    assert spec(templates.CHATML_TOOLS).tools == PROMPTED_TOOLS


def test_calls_in_a_list_with_ids() -> None:
    assert spec(templates.LISTED).tools == ToolSyntax(JsonCall(id_key="id"), open="[TOOL_CALLS] [", close="]", between=", ")


def test_other_names_for_the_keys() -> None:
    source = templates.CHATML_TOOLS.replace("'name':", "'function':").replace("'arguments':", "'parameters':")
    found = spec(source).tools
    assert found is not None
    assert isinstance(found.call, JsonCall)
    assert (found.call.name_key, found.call.arguments_key) == ("function", "parameters")


def test_arguments_in_passages_of_their_own() -> None:
    assert spec(templates.TAGGED).tools == ToolSyntax(
        NamedCall("<function=", ">", "</function>", TaggedArguments("<parameter=", ">", "</parameter>"))
    )


@pytest.mark.parametrize("source", [templates.PLAIN, templates.NO_SYSTEM])
def test_what_is_not_understood_is_not_claimed(source: str) -> None:
    assert spec(source) == FormatSpec()


def test_calls_without_markers_stand_at_the_start_if_there_is_one_alone() -> None:
    source = templates.CHATML_TOOLS.replace("<tool_call>\\n", "").replace("\\n</tool_call>", "")
    assert spec(source).tools is None
    single = source.replace("message.tool_calls or []", "(message.tool_calls or [])[:1]")
    assert spec(single).tools == ToolSyntax(JsonCall(), at_start=True)


@pytest.mark.parametrize(
    ("written", "call"),
    [
        ("{{ call.function | tojson }}", JsonCall()),
        (
            "{{ call.function.name }}({% for name, value in call.function.arguments.items() %}"
            "{{ name }}={{ value | tojson }}{{ ', ' if not loop.last }}{% endfor %})",
            NamedCall("", "(", ")", LiteralArguments("python")),
        ),
    ],
)
def test_calls_in_a_list_that_nothing_else_marks_stand_at_the_start(written: str, call: JsonCall | NamedCall) -> None:
    calls = f"[{{% for call in message.tool_calls %}}{written}{{{{ ', ' if not loop.last }}}}{{% endfor %}}]"
    turn = "{% if message.tool_calls %}CALLS{% else %}{{ message.content }}{% endif %}".replace("CALLS", calls)
    source = templates.PLAIN.replace(
        "{{ '<|' + message.role + '|>\\n' + message.content + eos_token + '\\n' }}", turn + "<|end|>"
    )
    assert spec(source).tools == ToolSyntax(call, "[", "]", ", ", at_start=True)


def test_reasoning_is_seen_in_earlier_turns() -> None:
    assert spec(templates.THINKS_BY_DEFAULT).reasoning == ReasoningSyntax("<think>", "</think>")
    other = templates.THINKS_BY_DEFAULT.replace("think>", "thought>")
    assert spec(other).reasoning == ReasoningSyntax("<thought>", "</thought>")


def test_reasoning_that_is_only_cut_away_is_seen_too() -> None:
    assert spec(templates.OPENS_THINKING).reasoning == ReasoningSyntax("<think>", "</think>")


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_formats_of_real_templates(name: str, llama_models: Path) -> None:
    """What was found when each was looked at by hand is still found."""
    template = template_of(name, llama_models)
    assert spec_to_json(derive_spec(template, traits_of(template))) == json.loads(DERIVED.read_text("utf-8"))[name]


@pytest.mark.parametrize(
    ("family", "name"), [(family, name) for family in FAMILIES for name in family.templates], ids=lambda value: str(value)[:40]
)
def test_families_are_recognised(family: Family, name: str, llama_models: Path) -> None:
    template = template_of(name, llama_models)
    found = derive_spec(template, traits_of(template))
    assert (found.tools, found.channels) == (family.spec.tools, family.spec.channels)


def test_the_families_in_the_table_are_told_apart(llama_models: Path) -> None:
    for name in TEMPLATES:
        source = template_of(name, llama_models).source
        assert len([family.name for family in families() if family.fits(source)]) <= 1, name
    assert family_of("no family's") is None


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_spec_can_be_stored_as_json(family: Family) -> None:
    assert spec_from_json(json.loads(json.dumps(spec_to_json(family.spec)))) == family.spec


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"tolls": None}, "no part 'tolls'"),
        ({"reasoning": {"open": "<a>"}}, "needs 'close'"),
        ({"reasoning": {"open": "<a>", "close": "</a>", "x": 1}}, "has no 'x'"),
        ({"reasoning": "<a>"}, "not made of"),
        ({"tools": {"call": {"kind": "xml"}}}, "no kind 'xml'"),
    ],
)
def test_what_is_no_spec_is_refused(value: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        spec_from_json(value)
