from __future__ import annotations

import pytest

from app.domain.errors import InvalidRequest
from app.formats.template import CHATML, BrokenTemplate, ChatTemplate
from tests.formats import templates

USER = {"role": "user", "content": "Hi"}


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, bos_text="<s>", eos_text="</s>")


def test_a_conversation_is_rendered_with_the_models_own_tokens() -> None:
    assert template(templates.PLAIN).render([USER]) == "<s><|user|>\nHi</s>\n\n<|assistant|>\n"
    assert template(CHATML).render([USER], add_generation_prompt=False) == "<|im_start|>user\nHi<|im_end|>\n"


def test_a_template_that_can_not_be_compiled_is_broken() -> None:
    with pytest.raises(BrokenTemplate, match="line 2"):
        template("{{ 'a' }}\n{% if %}")


def test_what_a_template_says_when_it_refuses_is_the_error() -> None:
    with pytest.raises(InvalidRequest, match="System role not supported"):
        template(templates.NO_SYSTEM).render([{"role": "system", "content": "x"}])


@pytest.mark.parametrize("source", ["{{ 1 / 0 }}", "{{ nothing.at.all }}", "{{ 'a' + 1 }}", "{{ messages[9].role.x }}"])
def test_what_goes_wrong_in_a_template_is_an_error_with_its_line(source: str) -> None:
    with pytest.raises(InvalidRequest, match=r"\(line 2: ") as caught:
        template("\n" + source).render([USER])
    assert caught.value.param == "messages"


def test_a_template_without_end_is_an_error() -> None:
    with pytest.raises(InvalidRequest):
        template("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").render([USER])


def test_the_markers_that_are_looked_for_are_known() -> None:
    found = template(templates.THINKS_BY_DEFAULT).looked_for
    assert found is not None
    assert found.findall("<think>a</think><|im_end|>") == ["<think>", "</think>"]
    assert template(templates.PLAIN).looked_for is None
