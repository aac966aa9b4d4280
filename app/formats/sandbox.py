"""The sandbox in which a model's chat template runs: what Hugging Face's renderer offers, plus limits.

A template comes with a downloaded file, so it is a stranger's program. It gets no attributes to climb, and it can neither run
for ever nor fill the memory: loops look at the clock, and texts that grow are measured.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

__all__ = ["MAX_TEMPLATE_CHARS", "TemplateLimit", "TemplateRefusal", "TemplateSandbox"]

MAX_TEMPLATE_CHARS = 1 << 20
MAX_TEXT_CHARS = 64 << 20
_WIDE_FORMAT = re.compile(r"\d{5}|\*")


class TemplateRefusal(TemplateError):
    """The template called `raise_exception`: it does not take this conversation."""


class TemplateLimit(TemplateError):
    """The template ran too long or made too long a text."""


class _Deadline(threading.local):
    """When the rendering on this thread has to end, on the monotonic clock."""

    at = float("inf")


class _Generation(Extension):
    """`{% generation %}` marks the assistant's words for training; here its body is rendered as it is."""

    tags = {"generation"}  # noqa: RUF012 (the base class declares a plain set)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        parser.stream.skip(1)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Guards(NodeTransformer):
    """Put a look at the clock into every loop, and a measure on every `~`."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        tick = nodes.Call(nodes.EnvironmentAttribute("check_clock"), [], [], None, None, lineno=node.lineno)
        node.body.insert(0, nodes.ExprStmt(tick, lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return nodes.Filter(nodes.List(node.nodes), "_measured_concat", [], [], None, None, lineno=node.lineno)


class TemplateSandbox(ImmutableSandboxedEnvironment):
    """A Jinja environment for chat templates. Compiled templates may be rendered from any thread."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self, *, time_limit_s: float = 5.0) -> None:
        """`time_limit_s` is for one rendering."""
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation])
        self._deadline = _Deadline()
        self._time_limit_s = time_limit_s
        self.filters["tojson"] = _tojson
        self.filters["_measured_concat"] = self._concat
        self.globals["raise_exception"] = _refuse

    def compile_template(self, source: str) -> Callable[..., str]:
        """The function that renders `source`; it takes the template's variables and `now` by keyword.

        Raises TemplateSyntaxError. The function raises TemplateError kinds, and whatever else the template's code runs into.
        """
        if len(source) > MAX_TEMPLATE_CHARS:
            raise TemplateLimit(f"the template is longer than {MAX_TEMPLATE_CHARS} characters")
        template = self.from_string(_Guards().visit(self.parse(source)))

        def render(*, now: datetime, **variables: Any) -> str:
            self._deadline.at = time.monotonic() + self._time_limit_s
            chunks: list[str] = []
            size = 0
            for chunk in template.generate(strftime_now=now.strftime, **variables):
                size += len(chunk)
                self._measure(size)
                chunks.append(chunk)
            return "".join(chunks)

        return render

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Some templates gather in lists of their own what they are going to write."""
        return (isinstance(obj, list) and attr in ("append", "pop")) or super().is_safe_attribute(obj, attr, value)

    def check_clock(self) -> str:
        if time.monotonic() > self._deadline.at:
            raise TemplateLimit(f"the template ran for more than {self._time_limit_s:g} seconds")
        return ""

    def call(self, context: Context, callable_: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.check_clock()
        return super().call(context, callable_, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        match operator, left, right:
            case "*", str() | list() | tuple(), int():
                self._measure(len(left) * right)
            case "*", int(), str() | list() | tuple():
                self._measure(len(right) * left)
            case "+", str(), str():
                self._measure(len(left) + len(right))
            case "**", int(), int() if abs(right) > 64:
                raise TemplateLimit("the template raises to a power above 64")
            case "%", str(), _ if _WIDE_FORMAT.search(left):
                raise TemplateLimit("the template formats a value too wide")
        return super().call_binop(context, operator, left, right)

    def _concat(self, parts: Iterable[Any]) -> str:
        text = "".join(str(part) for part in parts)
        self._measure(len(text))
        return text

    def _measure(self, size: int) -> None:
        if size > MAX_TEXT_CHARS:
            raise TemplateLimit(f"the template makes a text of more than {MAX_TEXT_CHARS} characters")


def _refuse(message: str) -> None:
    raise TemplateRefusal(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter escapes HTML characters, which no model was trained on."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys, default=_plain_json
    )


def _plain_json(value: Any) -> Any:
    # `map` and `select` give generators; some templates pass them on to tojson.
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")
