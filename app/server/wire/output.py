"""What the words of an answer have to be, as OpenAI and the local servers write it, and the way to the domain's formats."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from app.domain.errors import InvalidRequest
from app.domain.generation import (
    ChoiceFormat,
    GrammarFormat,
    JsonObjectFormat,
    JsonSchemaFormat,
    OutputFormat,
    RegexFormat,
    TextFormat,
)
from app.server.wire.base import Items, Part, SamplingFields

__all__ = ["OutputFields", "ResponseFormat", "StructuredOutputs", "schema_text"]

_MAX_SCHEMA_CHARS = 256 * 1024

Schema = dict[str, Any] | bool


class _JsonSchema(Part):
    name: str = "response"
    description: str | None = None
    json_schema: Annotated[Schema | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(Part):
    """`schema` beside `type` is an extension."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None
    own_schema: Annotated[Schema | None, Field(alias="schema")] = None


class StructuredOutputs(Part):
    """vLLM's. One of them may be set."""

    own_json: Annotated[Schema | str | None, Field(alias="json")] = None
    regex: str | None = None
    choice: Items[str] | None = None
    grammar: str | None = None
    json_object: bool | None = None
    structural_tag: str | dict[str, Any] | None = None


class OutputFields(SamplingFields):
    """`response_format` is OpenAI's; `grammar` and `json_schema` are llama-server's, the others vLLM's."""

    response_format: ResponseFormat | None = None
    grammar: Annotated[str, Field(description="GBNF, or llguidance's dialect of Lark.")] | None = None
    json_schema: Schema | None = None
    guided_json: Schema | str | None = None
    guided_regex: str | None = None
    guided_choice: Items[str] | None = None
    guided_grammar: str | None = None
    structured_outputs: StructuredOutputs | None = None

    @property
    def output(self) -> OutputFormat:
        """Raises InvalidRequest, also where two fields are set."""
        return _only_one(self.formats) or TextFormat()

    @property
    def formats(self) -> dict[str, OutputFormat | None]:
        """What each field asks for."""
        return {
            "response_format": _response_format(self.response_format) if self.response_format else None,
            "grammar": GrammarFormat(self.grammar, "grammar") if self.grammar else None,
            "json_schema": _schema(self.json_schema, "json_schema"),
            "guided_json": _schema(self.guided_json, "guided_json"),
            "guided_regex": None if self.guided_regex is None else RegexFormat(self.guided_regex, "guided_regex"),
            "guided_choice": None if self.guided_choice is None else ChoiceFormat(tuple(self.guided_choice), "guided_choice"),
            "guided_grammar": None if self.guided_grammar is None else GrammarFormat(self.guided_grammar, "guided_grammar"),
            "structured_outputs": _structured(self.structured_outputs) if self.structured_outputs else None,
        }


def schema_text(schema: Schema, param: str) -> str:
    """As the domain keeps it. Raises InvalidRequest for one that is too long."""
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    if len(text) > _MAX_SCHEMA_CHARS:
        raise InvalidRequest(f"The JSON Schema is longer than {_MAX_SCHEMA_CHARS // 1024} KiB.", param=param)
    return text


def _only_one(wanted: dict[str, OutputFormat | None], within: str = "") -> OutputFormat | None:
    given = {name: output for name, output in wanted.items() if output is not None}
    if len(given) > 1:
        names = " and ".join(f"'{within}{name}'" for name in given)
        second = f"{within}{list(given)[1]}"
        raise InvalidRequest(f"Only one field can say what the answer has to be; {names} do.", param=second)
    return next(iter(given.values()), None)


def _response_format(wanted: ResponseFormat) -> OutputFormat | None:
    match wanted.type:
        case "text":
            return None
        case "json_object":
            return JsonObjectFormat() if wanted.own_schema is None else _schema(wanted.own_schema, "response_format.schema")
        case "json_schema":
            return _named_schema(wanted)


def _named_schema(wanted: ResponseFormat) -> OutputFormat:
    named, place = wanted.json_schema, "response_format.json_schema"
    if named is None:
        if wanted.own_schema is None:
            raise InvalidRequest("A response_format of type json_schema needs 'json_schema'.", param=place)
        return JsonSchemaFormat(schema_text(wanted.own_schema, "response_format.schema"), param="response_format.schema")
    if named.json_schema is None:
        raise InvalidRequest("The response_format's json_schema needs 'schema', a JSON Schema.", param=f"{place}.schema")
    text = schema_text(named.json_schema, f"{place}.schema")
    return JsonSchemaFormat(text, named.name, strict=bool(named.strict))


def _schema(schema: Schema | str | None, param: str) -> OutputFormat | None:
    """A schema, or the JSON text of one, which is looked at with all others."""
    if schema is None:
        return None
    return JsonSchemaFormat(schema if isinstance(schema, str) else schema_text(schema, param), param=param)


def _structured(wanted: StructuredOutputs) -> OutputFormat | None:
    within = "structured_outputs."
    if wanted.structural_tag is not None:
        raise InvalidRequest("Structural tags are not supported; use 'grammar'.", param=f"{within}structural_tag")
    return _only_one(
        {
            "json": _schema(wanted.own_json, f"{within}json"),
            "regex": None if wanted.regex is None else RegexFormat(wanted.regex, f"{within}regex"),
            "choice": None if wanted.choice is None else ChoiceFormat(tuple(wanted.choice), f"{within}choice"),
            "grammar": None if wanted.grammar is None else GrammarFormat(wanted.grammar, f"{within}grammar"),
            "json_object": JsonObjectFormat() if wanted.json_object else None,
        },
        within,
    )
