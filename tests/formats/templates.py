"""Small chat templates in the ways of well-known families, written for these tests."""

from __future__ import annotations

__all__ = [
    "CHATML_TOOLS",
    "LISTED",
    "NO_SYSTEM",
    "OPENS_THINKING",
    "PARTS_ONLY",
    "PLAIN",
    "TAGGED",
    "THINKS_BY_DEFAULT",
    "TRIMS",
]

PLAIN = """\
{{ bos_token }}{% for message in messages %}
{{ '<|' + message.role + '|>\\n' + message.content + eos_token + '\\n' }}
{% endfor %}
{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}
"""

TRIMS = """\
{% for message in messages %}<turn>{{ message.role }}: {{ message.content | trim }}</turn>
{% endfor %}<turn>assistant:"""

NO_SYSTEM = """\
{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{% for message in messages %}
{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}
{{ '[INST] ' + message.content + ' [/INST]' if message.role == 'user' else ' ' + message.content + eos_token }}
{%- endfor %}
"""

PARTS_ONLY = """\
{% for message in messages %}
{{- '<|' + message.role + '|>' }}{% for part in message.content %}{{ part.text }}{% endfor %}{{ '<|end|>' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}
"""

# Hermes and Qwen: one call between tags, as a JSON object.
CHATML_TOOLS = """\
{% if tools %}{{ '<|im_start|>system\\nTools:\\n' }}{% for tool in tools %}{{ tool | tojson }}
{% endfor %}{{ '<|im_end|>\\n' }}{% endif %}
{% for message in messages %}
{{- '<|im_start|>' + ('user' if message.role == 'tool' else message.role) + '\\n' }}
{%- if message.role == 'tool' %}{{ '<tool_response>\\n' ~ message.content ~ '\\n</tool_response>' }}
{%- else %}{{ message.content or '' }}{% endif %}
{%- for call in message.tool_calls or [] %}
{{- '\\n' if not loop.first or message.content }}
{{- '<tool_call>\\n' + ({'name': call.function.name, 'arguments': call.function.arguments} | tojson) + '\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
"""

# Mistral: all calls in one list behind one token, with ids.
LISTED = """\
{{ bos_token }}{% for message in messages %}
{%- if message.role == 'user' %}{{ '[INST] ' + message.content + '[/INST]' }}
{%- elif message.tool_calls %}{{ '[TOOL_CALLS] [' }}
{%- for call in message.tool_calls %}
{{- '{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) }}
{{- ', "id": "' + call.id + '"}' }}
{{- ', ' if not loop.last }}{% endfor %}{{ ']' + eos_token }}
{%- elif message.role == 'tool' %}{{ '[TOOL_RESULTS] ' + message.content + '[/TOOL_RESULTS]' }}
{%- else %}{{ ' ' + message.content + eos_token }}{% endif %}
{%- endfor %}{% if tools %}{{ '[AVAILABLE_TOOLS] ' + (tools | tojson) }}{% endif %}
"""

# Calls with tagged parameters.
TAGGED = """\
{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
{%- for call in message.tool_calls or [] %}{{ '<function=' + call.function.name + '>' }}
{%- for key, value in call.function.arguments.items() %}{{ '<parameter=' ~ key ~ '>' ~ value ~ '</parameter>' }}{% endfor %}
{{- '</function>' }}{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}
"""

THINKS_BY_DEFAULT = """\
{% for message in messages %}
{% set text = message.content %}
{% if message.role == 'assistant' and '</think>' in text %}
{% set reasoning = text.split('</think>')[0].split('<think>')[-1].strip('\\n') %}
{% set text = '<think>\\n' + reasoning + '\\n</think>\\n\\n' + text.split('</think>')[-1].lstrip('\\n') %}
{% elif message.reasoning_content is defined %}
{% set text = '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' + text %}
{% endif %}
{{ '<|im_start|>' + message.role + '\\n' + text + '<|im_end|>\\n' -}}
{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}
"""

OPENS_THINKING = """\
{% for message in messages %}
{% set text = message.content.split('</think>')[-1] %}
{{ '<|' + message.role + '|>' + text -}}
{% endfor %}
{% if add_generation_prompt %}{{ '<|assistant|><think>\\n' }}{% endif %}
"""
