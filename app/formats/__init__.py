"""Chat templates, tool calls, reasoning and grammars: everything that depends on how one model was taught to talk."""

from __future__ import annotations

from app.formats.chat_format import ChatFormat, OutputParser, template_problem
from app.formats.template import BUILT_IN_TEMPLATES

__all__ = ["BUILT_IN_TEMPLATES", "ChatFormat", "OutputParser", "template_problem"]
