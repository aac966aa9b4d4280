"""Write the API's page: `uv run python packaging/api_page.py`. It is made from the tables and models the server goes by."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from app.server.endpoints import ENDPOINTS, Endpoint
from app.server.errors import known_problems
from app.server.openapi import openapi_document
from app.server.wire.fates import Fate, FieldRule

PAGE = Path(__file__).resolve().parents[1] / "app/server/API.md"

HEAD = """# The API

Made by `packaging/api_page.py`; a test holds it up to date. `GET /openapi.json` of a running server says the same for machines,
with the shape of every answer. Start with the [README](../../README.md).

What becomes of each field of a request is decided. It is **honoured**. Or it is **refused** with 400 `unsupported_parameter`,
where ignoring it would change the shape or the bounds of the answer. Or it has **no effect**, and is then named in the answer's
`x-hearth-ignored` header. Fields that are not listed have no effect. `null` is the same as leaving a field out. A value out of
range is 400 `invalid_value`, and `param` is the way to it, such as `messages[0].content[1].text`.
"""

TAIL = """## Headers

| header | says |
|---|---|
| `authorization: Bearer KEY`, `x-api-key: KEY` | the key, where the server asks for one |
| `x-request-id` | on every answer: what the log calls the request |
| `x-hearth-ignored` | fields of the request that had no effect |
| `x-hearth-model` | the id of the model that answered |
| `retry-after` | with 429 and 503: seconds |
| `x-should-retry: false` | with errors that would come again: OpenAI's clients then send the request once |

## Beyond OpenAI

| where | what |
|---|---|
| answers, the last chunk of each choice | `timings`: milliseconds and tokens, as llama-server has them |
| messages and deltas | `reasoning_content` and, the same, `reasoning`; a conversation may send either back |
| choices | `schema_error` where an answer fails its JSON schema |
| streams with `return_progress` | `prompt_progress`: `total`, `cache`, `processed`, `time_ms` |
| streams that are silent for long | comments (`: still working`) |
| an error after the first event of a stream | `data: {"error": …}`, then `data: [DONE]` |
| models | `context_length`, `capabilities`, `state`, memory and figures of the engine |
"""


def page() -> str:
    """The whole text."""
    document = openapi_document("0")
    sections = [_section(endpoint, document["components"]["schemas"]) for endpoint in ENDPOINTS if endpoint.body]
    return "\n".join((HEAD, _endpoints(), *sections, _errors(), TAIL))


def _endpoints() -> str:
    rows = [
        (
            f"`{endpoint.method.upper()} {endpoint.path}`",
            endpoint.summary,
            ", ".join(f"`{alias}`" for alias in endpoint.aliases),
            "yes" if endpoint.event is not None else "",
        )
        for endpoint in ENDPOINTS
    ]
    return f"## Endpoints\n\n{_table(('endpoint', 'does', 'also at', 'streams'), rows)}"


def _section(endpoint: Endpoint, schemas: Mapping[str, Any]) -> str:
    assert endpoint.body is not None
    title = f"## {endpoint.method.upper()} {endpoint.path}\n\n{endpoint.summary}."
    same = next((one for one in ENDPOINTS if one.body is endpoint.body), endpoint)
    if same is not endpoint:
        return f"{title} It takes what `{same.path}` takes.\n"
    schema = schemas[endpoint.body.__name__]
    required = {*schema["required"], *(("file",) if endpoint.takes_file else ())}
    properties = {**schema["properties"], **({"file": {"type": "string", "format": "binary"}} if endpoint.takes_file else {})}
    rows = [
        (f"`{name}`{' (required)' if name in required else ''}", _kind(field, schemas), _meaning(field))
        for name, field in properties.items()
    ]
    parts = [title + "\n", _table(("field", "value", "means"), rows)]
    refused = [rule for rule in endpoint.fields if rule.fate is Fate.REFUSED]
    if refused:
        parts.append(f"Refused:\n\n{_table(('field', 'instead', 'accepted all the same'), _rules(refused))}")
    ignored = [rule for rule in endpoint.fields if rule.fate is Fate.NO_EFFECT]
    if ignored:
        rows = [row[:2] for row in _rules(ignored)]
        parts.append(f"Without effect:\n\n{_table(('field', 'why'), rows)}")
    return "\n".join(parts)


def _meaning(schema: Mapping[str, Any]) -> str:
    """A description may stand at one of several values."""
    told = [schema, *schema.get("anyOf", ())]
    return next((one["description"] for one in told if "description" in one), "")


def _rules(rules: Iterable[FieldRule]) -> list[tuple[str, ...]]:
    """Fields with the same reason share a row."""
    shared: dict[tuple[str, str], list[str]] = {}
    for rule in rules:
        neutral = ", ".join(f"`{_json(value)}`" for value in rule.neutral)
        shared.setdefault((rule.why, neutral), []).append(f"`{rule.name}`")
    return [(", ".join(names), why, neutral) for (why, neutral), names in shared.items()]


def _json(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def _kind(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """A JSON Schema in a few words."""
    if "$ref" in schema:
        return _kind(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        kinds = dict.fromkeys(_kind(choice, schemas) for choice in choices if choice.get("type") != "null")
        return " or ".join(kinds)
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    match schema.get("type"):
        case "array":
            most = f"up to {schema['maxItems']:,} " if "maxItems" in schema else ""
            return f"{most}[{_kind(schema.get('items', {}), schemas)}]"
        case "boolean":
            return "`true`, `false`"
        case "number" | "integer" as kind:
            return kind + _range(schema)
        case "string":
            most = f", up to {schema['maxLength']:,} characters" if "maxLength" in schema else ""
            return ("file" if schema.get("format") == "binary" else "string") + most
        case "object":
            names = [f"`{name}`" for name in schema.get("properties", {})]
            return f"object of {', '.join(names)}" if names else "object"
        case _:
            return f"`{schema['const']}`" if "const" in schema else "any"


def _range(schema: Mapping[str, Any]) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None:
        return ""
    above = "above" if "exclusiveMinimum" in schema else "from"
    return f" {above} {low:,}" + (f" to {high:,}" if high is not None and high < 2**31 else "")


def _errors() -> str:
    rows = [(str(problem.status), f"`{problem.code}`", f"`{problem.type}`", problem.meaning) for problem in known_problems()]
    shape = 'Every error is `{"error": {"message", "type", "param", "code"}}`; `param` and `code` are strings or null.'
    return f"## Errors\n\n{shape}\n\n{_table(('status', 'code', 'type', 'means'), rows)}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"{PAGE} written")
