"""Chat templates, tool calls, reasoning and grammars: everything that depends on how one model was taught to talk."""

from __future__ import annotations

from app.formats.chat_format import ChatFormat, OutputParser

__all__ = ["ChatFormat", "OutputParser"]
