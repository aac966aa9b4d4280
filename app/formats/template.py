"""A model's chat template, compiled: messages in OpenAI's shape in, text out."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, meta, nodes

from app.domain.errors import InvalidRequest
from app.formats.marks import RISKY
from app.formats.sandbox import TemplateRefusal, TemplateSandbox

__all__ = ["BUILT_IN_TEMPLATES", "CHATML", "BrokenTemplate", "ChatTemplate", "reason_of"]

CHATML = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""

BUILT_IN_TEMPLATES: Mapping[str, str] = {"chatml": CHATML}
"""What a person may choose in place of a model's own template, by name."""

RESERVED = frozenset(
    ("messages", "tools", "add_generation_prompt", "bos_token", "eos_token", "now", "strftime_now", "raise_exception")
)

# What Python code compiled from a template can raise on odd input.
_FAILURES = (TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class BrokenTemplate(Exception):
    """The template can't be used at all; the message names the line."""


class ChatTemplate:
    """Immutable; may be used from any thread.

    `looked_for` matches the markers that it searches contents for; `variables` are the names that it may be given.
    """

    def __init__(self, source: str, *, bos_text: str, eos_text: str, time_limit_s: float = 5.0) -> None:
        """Raises BrokenTemplate."""
        self.source = source
        self.eos_text = eos_text
        self.looked_for: re.Pattern[str] | None = None
        self._tokens = {"bos_token": bos_text, "eos_token": eos_text}
        try:
            sandbox = TemplateSandbox(time_limit_s=time_limit_s)
            self._render: Callable[..., str] = sandbox.compile_template(source)
            tree = sandbox.parse(source)
            self.looked_for = _looked_for(tree)
            self.variables = frozenset(meta.find_undeclared_variables(tree))
        except TemplateSyntaxError as error:
            raise BrokenTemplate(f"line {error.lineno}: {error.message}") from error
        except (TemplateError, RecursionError) as error:
            raise BrokenTemplate(str(error)) from error

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        args: Mapping[str, Any] | None = None,
        now: datetime | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        """The text of a conversation. Raises InvalidRequest if the template refuses it or fails on it."""
        variables = dict(args or {})
        if wrong := sorted(RESERVED & variables.keys()):
            raise InvalidRequest(f"'{wrong[0]}' can't be given as a template argument.", param="chat_template_kwargs")
        try:
            moment = now or datetime.now().astimezone()
            return self._render(
                messages=messages,
                tools=tools,
                add_generation_prompt=add_generation_prompt,
                now=moment,
                **self._tokens,
                **{**self.names_of_its_own(tools, moment), **variables},
            )
        except TemplateRefusal as error:
            raise InvalidRequest(
                str(error) or "The model's chat template refused the conversation.", param="messages"
            ) from error
        except _FAILURES as error:
            raise InvalidRequest(
                f"The model's chat template fails on this conversation ({reason_of(error)}).", param="messages"
            ) from error

    def names_of_its_own(self, tools: Sequence[Mapping[str, Any]] | None, moment: datetime) -> dict[str, Any]:
        """Tools and date under the names that some families gave them."""
        functions = [tool.get("function", tool) for tool in tools or ()]
        names = {
            "xml_tools": tools or None,
            "functions": json.dumps(functions, indent=4, ensure_ascii=False),
            "datetime": moment.strftime("%B %d, %Y"),
        }
        return {name: value for name, value in names.items() if name in self.variables}


def _looked_for(tree: nodes.Template) -> re.Pattern[str] | None:
    """What stands in comparisons and in arguments of methods such as `split`."""
    asking = tree.find_all((nodes.Call, nodes.Compare, nodes.Assign))
    constants = (const.value for node in asking for const in _asked(node) if isinstance(const, nodes.Const))
    markers = {value.strip() for value in constants if isinstance(value, str) and RISKY.search(value)}
    # What looks for the end of something is likely to cut at its beginning, too.
    markers |= {marker.replace("/", "", 1) for marker in markers if marker[1:2] == "/"}
    longest_first = sorted(markers, key=lambda marker: (-len(marker), marker))
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _asked(node: nodes.Node) -> list[nodes.Node]:
    match node:
        case nodes.Call(node=nodes.Getattr()):
            return [*node.args]
        case nodes.Compare():
            return [node.expr, *(operand.expr for operand in node.ops)]
        case nodes.Assign():
            return [node.node]
        case _:
            return []


def reason_of(error: BaseException) -> str:
    """What went wrong in a template and in which line; Jinja writes the line into the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename in ("<template>", "<unknown>")]
    return f"line {lines[-1]}: {error}" if lines else str(error)
