"""Ready pieces of code that talk to the server, for three languages."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

__all__ = ["Snippet", "snippets"]

_QUESTION = "Why is the sky blue?"


@dataclass(frozen=True, slots=True)
class Snippet:
    """`language` is a name people know, `lexer` Pygments' name for it."""

    language: str
    lexer: str
    code: str


def snippets(*, address: str, model: str, has_key: bool) -> tuple[Snippet, ...]:
    """Filled with the real address and model. The key itself is never written out, only where it goes."""
    key = "YOUR_API_KEY" if has_key else "not-needed"
    return (
        Snippet("Python", "python", _python(address, model, key)),
        Snippet("JavaScript", "javascript", _javascript(address, model, key)),
        Snippet("curl", "bash", _curl(address, model, key if has_key else "")),
    )


def _python(address: str, model: str, key: str) -> str:
    return f"""# pip install openai
from openai import OpenAI

client = OpenAI(base_url={_quoted(address)}, api_key={_quoted(key)})

stream = client.chat.completions.create(
    model={_quoted(model)},
    messages=[{{"role": "user", "content": {_quoted(_QUESTION)}}}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
"""


def _javascript(address: str, model: str, key: str) -> str:
    return f"""// npm install openai
import OpenAI from "openai";

const client = new OpenAI({{ baseURL: {_quoted(address)}, apiKey: {_quoted(key)} }});

const stream = await client.chat.completions.create({{
  model: {_quoted(model)},
  messages: [{{ role: "user", content: {_quoted(_QUESTION)} }}],
  stream: true,
}});
for await (const chunk of stream) {{
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}}
"""


def _curl(address: str, model: str, key: str) -> str:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": _QUESTION}]}, ensure_ascii=False, indent=2)
    lines = [f"curl {address}/chat/completions", '  -H "Content-Type: application/json"']
    if key:
        lines.append(f'  -H "Authorization: Bearer {key}"')
    lines.append(f"  -d {shlex.quote(body)}")
    return " \\\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A string literal that Python and JavaScript read alike."""
    return json.dumps(text)
