from __future__ import annotations

import pytest

from app.formats.template import BrokenTemplate, ChatTemplate
from app.formats.traits import TemplateTraits, traits_of
from tests.formats import templates


def traits(source: str) -> TemplateTraits:
    return traits_of(ChatTemplate(source, bos_text="<s>", eos_text="</s>"))


def test_plain_templates_take_strings_alone() -> None:
    assert traits(templates.PLAIN) == TemplateTraits(strings=True, parts=False, system=True)


def test_templates_that_need_parts_are_known() -> None:
    found = traits(templates.PARTS_ONLY)
    assert (found.strings, found.parts) == (False, True)
    assert found.turn("user", "a") == {"role": "user", "content": [{"type": "text", "text": "a"}]}


def test_a_missing_system_role_is_known() -> None:
    assert not traits(templates.NO_SYSTEM).system


def test_arguments_are_objects_where_text_would_be_quoted() -> None:
    assert traits(templates.CHATML_TOOLS).argument_objects
    assert traits(templates.LISTED).argument_objects


def test_ember_takes_everything(ember_template: ChatTemplate) -> None:
    found = traits_of(ember_template)
    assert found == TemplateTraits(strings=True, parts=True, system=True, developer=True, tools=True, calls=True, results=True)


def test_a_role_that_is_printed_but_not_known_is_not_taken() -> None:
    assert not traits(templates.PLAIN).developer


def test_tools_can_be_an_empty_list() -> None:
    found = traits("{% for tool in tools %}{{ tool }}{% endfor %}{% for m in messages %}{{ m.content }}{% endfor %}")
    assert found.empty_tools
    assert found.no_tools == []


def test_a_call_without_words_can_need_null() -> None:
    source = """{% for m in messages %}{% if m.content is not none %}{{ m.role ~ ':' ~ m.content }}
    {%- else %}{% for c in m.tool_calls %}{{ c.function.name ~ c.function.arguments }}{% endfor %}{% endif %}{% endfor %}"""
    assert traits(source).null_content


def test_a_template_without_end_costs_one_time_limit() -> None:
    source = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(BrokenTemplate, match="seconds"):
        traits_of(ChatTemplate(source, bos_text="", eos_text="", time_limit_s=0.05))


def test_earlier_reasoning_goes_where_the_template_looks_for_it() -> None:
    assert traits(templates.PLAIN).reasoning_key == "reasoning_content"
    assert traits("{% for m in messages %}{{ m.content }}{{ m.get('thinking') }}{% endfor %}").reasoning_key == "thinking"


def test_what_a_template_refuses_or_leaves_out_is_known() -> None:
    plain, strict = traits(templates.PLAIN), traits(templates.NO_SYSTEM)
    assert (plain.late_system, plain.alternates) == (True, False)
    assert (strict.late_system, strict.alternates) == (False, True)
    assert not traits("{% for m in messages %}{{ m.content if m.role != 'system' or loop.first }}{% endfor %}").late_system


def test_limits_of_calls_are_known() -> None:
    every = traits(templates.CHATML_TOOLS)
    assert (every.several_calls, every.spoken_calls, every.bare_tools) == (True, True, True)
    only_first = templates.CHATML_TOOLS.replace("in message.tool_calls or []", "in (message.tool_calls or [])[:1]")
    assert not traits(only_first).several_calls
    silent = templates.CHATML_TOOLS.replace(
        "in message.tool_calls or []", "in (message.tool_calls or []) if not message.content"
    )
    assert not traits(silent).spoken_calls
    describing = templates.CHATML_TOOLS.replace(
        "{{ tool | tojson }}",
        "{% for p in tool.function.parameters.properties.values() %}{{ p.description + '' }}{% endfor %}"
        "{{ tool.function.name }}",
    )
    assert not traits(describing).bare_tools
