from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from jinja2 import TemplateSyntaxError
from jinja2.exceptions import SecurityError

from app.formats.sandbox import MAX_TEMPLATE_CHARS, TemplateLimit, TemplateRefusal, TemplateSandbox

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


def render(source: str, **variables: Any) -> str:
    return TemplateSandbox().compile_template(source)(now=NOW, **variables)


def test_json_is_written_without_escapes_for_html_or_foreign_letters() -> None:
    assert render("{{ x | tojson }}", x={"b": "<é&'>", "a": None}) == '{"b": "<é&\'>", "a": null}'
    assert render("{{ x | tojson(indent=1, sort_keys=true) }}", x={"b": 1, "a": 2}) == '{\n "a": 2,\n "b": 1\n}'
    assert render("{{ x | map('upper') | tojson }}", x=["a"]) == '["A"]'


def test_blocks_leave_no_line_breaks() -> None:
    assert render("a\n  {% if true %}\nb\n  {% endif %}\nc") == "a\nb\nc"


def test_loops_can_be_left_and_macros_called() -> None:
    assert render("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}") == "01"
    assert render("{% macro m(x) %}[{{ x ~ 1 }}]{% endmacro %}{{ m('a') ~ m('b') }}") == "[a1][b1]"
    assert render("{% for i in [1, [2, [3]]] recursive %}{{ loop(i) if i is sequence else i }}{% endfor %}") == "123"


def test_the_generation_tag_is_its_body() -> None:
    assert render("a{% generation %}b{% endgeneration %}c") == "abc"


def test_the_date_is_that_of_the_rendering() -> None:
    assert render("{{ strftime_now('%d %b %Y') }}") == "04 May 2026"


def test_a_template_can_refuse() -> None:
    with pytest.raises(TemplateRefusal, match="no tools"):
        render("{{ raise_exception('no tools') }}")


def test_a_syntax_error_has_its_line() -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        TemplateSandbox().compile_template("a\n{% nope %}")
    assert caught.value.lineno == 2


@pytest.mark.parametrize(
    "source",
    ["{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ raise_exception.__globals__.sys }}", "{% set _ = x.clear() %}"],
)
def test_a_template_can_not_climb_out(source: str) -> None:
    with pytest.raises(SecurityError):
        render(source, x=[])


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
        "{% set r = range(99999) | list %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{% for i in [1, 2] %}{{ m(n - 1) if n }}{% endfor %}{% endmacro %}{{ m(40) }}",
    ],
)
def test_a_template_can_not_run_for_ever(source: str) -> None:
    with pytest.raises(TemplateLimit):
        TemplateSandbox(time_limit_s=0.05).compile_template(source)(now=NOW)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 999999999 }}",
        "{{ [1] * 999999999 }}",
        "{{ 999999999 * 'a' }}",
        "{{ 9 ** 99999 }}",
        "{{ '%999999999d' % 1 }}",
        "{% set n = namespace(s='aaaa') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{% set n = namespace(s='aaaa') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
        "{% for i in range(99999) %}{{ 'a' * 9999 }}{% endfor %}",
    ],
)
def test_a_template_can_not_fill_the_memory(source: str) -> None:
    with pytest.raises(TemplateLimit):
        render(source)


def test_an_enormous_template_is_not_compiled() -> None:
    with pytest.raises(TemplateLimit):
        TemplateSandbox().compile_template("a" * (MAX_TEMPLATE_CHARS + 1))
