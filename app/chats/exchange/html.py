"""A conversation as it is shown, as a page that needs nothing from elsewhere and asks nobody for anything."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from markdown_it import MarkdownIt

from app.chats.exchange.archive import ArchivedConversation, ArchivedMessage
from app.chats.exchange.markdown import speaker
from app.chats.exchange.pictures import data_address
from app.domain.messages import Role

__all__ = ["to_html"]

_STYLE: Final = """
body { font: 12pt/1.5 system-ui, sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1em; color: #666; margin-top: 2em }
.user { background: #f1f0ec; border-radius: 12px; padding: .2em 1em; white-space: pre-wrap }
pre { background: #f5f5f3; border-radius: 8px; padding: .8em; overflow-x: auto } code { font-family: monospace }
table { border-collapse: collapse } td, th { border: 1px solid #ccc; padding: .3em .6em } img { max-width: 20em }
blockquote { border-left: 3px solid #ccc; margin-left: 0; padding-left: 1em } details { color: #666 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #1e1d1b } .user, pre { background: #2c2b28 } }
"""
# Whatever a model wrote, the page loads nothing and runs nothing.
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def to_html(conversation: ArchivedConversation, *, you: str = "You") -> str:
    """`you` is what the person is called."""
    markdown = _renderer()
    title = escape(conversation.title or "Conversation")
    turns = "\n".join(_turn(markdown, message, you) for message in conversation.shown)
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n{turns}\n</body></html>\n"
    )


def _turn(markdown: MarkdownIt, message: ArchivedMessage, you: str) -> str:
    parts = [f"<h2>{escape(speaker(message, you))}</h2>"]
    parts += [f'<p><img src="{data_address(one.data)}" alt="{escape(one.name or "picture")}"></p>' for one in message.pictures]
    if message.reasoning:
        parts.append(f"<details><summary>Reasoning</summary>{markdown.render(message.reasoning)}</details>")
    if message.role is Role.USER:
        parts.append(f'<div class="user">{escape(message.text)}</div>' if message.text else "")
    else:
        parts.append(markdown.render(message.text))
    return "\n".join(parts)


def _renderer() -> MarkdownIt:
    """Raw HTML is text, and a picture from elsewhere is a link to it."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])

    def image(_renderer: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
        address = escape(str(tokens[index].attrs.get("src", "")))
        return f'<a href="{address}" rel="noreferrer">{escape(tokens[index].content) or address}</a>'

    markdown.add_render_rule("image", image)
    return markdown
