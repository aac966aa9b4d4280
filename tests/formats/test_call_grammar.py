"""The grammar of every family's calls: what the model writes is taken, and nothing else that it would take is wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import jsonschema
import llguidance
import llguidance.numpy
import numpy as np
import pytest

from app.domain.errors import InvalidRequest
from app.domain.generation import AutoToolChoice, NamedToolChoice, Tool
from app.domain.prompt import Constraint
from app.domain.schema import GRAMMAR_LIMITS
from app.formats.constraint import constraint_for
from app.formats.thinking import Thinking
from tests.formats.families import FAMILIES, Family
from tests.formats.talks import ask
from tests.formats.test_families import TOOLS, each_family, expected, read

WILD = {
    "type": "object",
    "$defs": {"size": {"enum": ["s", "m"]}, "tree": {"type": "object", "properties": {"next": {"$ref": "#/$defs/tree"}}}},
    "properties": {
        "a": {"type": "string", "maxLength": 5},
        "b": {"type": "integer", "minimum": 0, "maximum": 99},
        "c": {"$ref": "#/$defs/size"},
        "d": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
        "e": {"type": ["null", "number"]},
        "f": {"anyOf": [{"type": "integer"}, {"const": "none"}]},
        "g": {"$ref": "#/$defs/tree"},
    },
    "required": ["b", "d"],
    "additionalProperties": False,
}
ROUNDS = 6
# One of each way of writing arguments, and of each way of marking calls.
KINDS = tuple(
    family
    for family in FAMILIES
    if family.name
    in {"hermes", "llama-3", "lfm2", "gemma-4", "qwen3-coder", "minimax-m3", "deepseek-dsml", "kimi-k3", "gpt-oss"}
)
each_kind = pytest.mark.parametrize("family", KINDS, ids=lambda family: family.name)


class Vocabulary:
    """Single bytes, and those markers of a format that are special tokens."""

    def __init__(self, special: Sequence[str]) -> None:
        self.eos_token_id = 256
        self.bos_token_id = None
        named = (b"\xff" + marker.encode() for marker in special)
        self.tokens: Sequence[bytes] = (*(bytes([byte]) for byte in range(256)), b"\xff<eos>", *named)
        self.special_token_ids = tuple(range(256, len(self.tokens)))
        self._ids = {marker: 257 + index for index, marker in enumerate(special)}

    def __call__(self, text: str) -> list[int]:
        return list(text.encode())

    def id_of(self, marker: str) -> int | None:
        return self._ids.get(marker)

    def encoded(self, text: str) -> list[int]:
        """`text` with its special tokens, longest first."""
        for marker in sorted(self._ids, key=len, reverse=True):
            if marker in text:
                before, after = text.split(marker, 1)
                return [*self.encoded(before), self._ids[marker], *self.encoded(after)]
        return list(text.encode())

    def text(self, ids: Sequence[int]) -> str:
        return b"".join(self.tokens[number].removeprefix(b"\xff") for number in ids).decode("utf-8", "replace")


class Matching:
    """One grammar with one vocabulary."""

    def __init__(self, constraint: Constraint, *, special: bool) -> None:
        self.vocabulary = Vocabulary(constraint.markers if special else ())
        lark = constraint.lark_for(self.vocabulary.id_of)
        tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(self.vocabulary))
        grammar = llguidance.LLMatcher.grammar_from_lark(lark)
        limits = llguidance.LLParserLimits(**GRAMMAR_LIMITS)
        self._matcher = llguidance.LLMatcher(tokenizer, grammar, log_level=0, limits=limits)
        self._matcher.compute_bitmask()
        assert not self._matcher.is_error(), self._matcher.get_error() + lark

    def takes(self, text: str) -> bool:
        self._matcher.reset()
        ids = self.vocabulary.encoded(text)
        return bool(
            self._matcher.validate_tokens(ids) == len(ids)
            and self._matcher.consume_tokens(ids)
            and self._matcher.is_accepting()
        )

    def written(self, rng: random.Random, most: int = 3000) -> str | None:
        """What a model with no idea would write; None if it comes to no end."""
        self._matcher.reset()
        ids: list[int] = []
        n_tokens = len(self.vocabulary.tokens)
        mask = np.zeros((1, (n_tokens + 31) // 32), np.int32)
        while len(ids) < most:
            if self._matcher.is_stopped():
                break
            llguidance.numpy.fill_next_token_bitmask(self._matcher, mask)
            bits = np.unpackbits(mask.view(np.uint8), bitorder="little")[:n_tokens]
            allowed = [int(token) for token in np.flatnonzero(bits)]
            ends = self._matcher.is_accepting()
            if ends and (rng.random() < 0.3 or allowed == [256]):
                break
            plain = [token for token in allowed if token < 127 or token > 256] or [token for token in allowed if token != 256]
            token = rng.choice(plain)
            assert self._matcher.consume_token(token), self._matcher.get_error()
            ids.append(token)
        return self.vocabulary.text(ids) if self._matcher.is_accepting() or self._matcher.is_stopped() else None


def required(family: Family, *tools: Tool, several: bool = True) -> Constraint:
    request = ask("Hi", tools=tools, tool_choice=AutoToolChoice.REQUIRED, parallel_tool_calls=several)
    constraint = constraint_for(request, family.spec, thinking=Thinking.OFF)
    assert constraint is not None
    return constraint


def one(family: Family) -> str:
    """A family's text with both calls, or the first where the grammar writes one an answer."""
    text = family.text
    if family.spec.channels is not None:
        text = text[: text.index(family.spec.channels.start)].removesuffix("<|call|>").removesuffix("<|eom|>")
    return text


@each_family
@pytest.mark.parametrize("special", [False, True])
def test_calls_as_the_model_writes_them_are_taken(family: Family, special: bool) -> None:
    matching = Matching(required(family, *TOOLS), special=special)
    text = one(family)
    assert matching.takes(text)
    assert not matching.takes(text.replace("find", "fond"))
    assert not matching.takes(text.replace("count", "cuont"))
    assert not matching.takes("words " + text)
    assert not matching.takes(text.replace("7", "seven"))


@each_family
def test_one_call_alone_where_they_may_not_be_parallel(family: Family) -> None:
    matching = Matching(required(family, *TOOLS, several=False), special=False)
    assert matching.takes(one(family)) == (len(expected(family)) == 1 or family.spec.channels is not None)


@each_family
@pytest.mark.parametrize("special", [False, True])
def test_whatever_the_grammar_lets_through_is_a_call_with_arguments_of_the_schema(family: Family, special: bool) -> None:
    tool = Tool("do_it", "", json.dumps(WILD))
    matching = Matching(required(family, tool, several=False), special=special)
    rng = random.Random(f"{family.name} {special}")
    texts = [text for _ in range(ROUNDS) if (text := matching.written(rng)) is not None]
    assert texts
    for text in texts:
        answer, called = read(family, text, tools=(tool,))
        assert called, text
        assert answer.names == ["do_it"]
        assert answer.content.strip() == "", text
        check(json.loads(answer.arguments[0]), text)


def check(arguments: dict[str, Any], text: str) -> None:
    """By hand what `WILD` says."""
    assert arguments.keys() <= WILD["properties"].keys(), text  # type: ignore[attr-defined]
    assert isinstance(arguments["b"], int) and 0 <= arguments["b"] <= 99, text  # noqa: PT018
    assert 1 <= len(arguments["d"]) <= 3, text
    assert all(isinstance(item, bool) for item in arguments["d"]), text
    assert len(arguments.get("a", "")) <= 5, text
    assert arguments.get("c", "s") in ("s", "m"), text
    assert arguments.get("e") is None or isinstance(arguments["e"], int | float), text
    assert arguments.get("f", 1) == "none" or isinstance(arguments.get("f", 1), int), text
    assert isinstance(arguments.get("g", {}), dict), text


@each_family
def test_a_call_that_may_be_made_is_held_to_the_schema_behind_its_trigger(family: Family) -> None:
    constraint = constraint_for(ask("Hi", tools=TOOLS), family.spec, thinking=Thinking.OFF)
    assert constraint is not None
    if family.spec.tools is not None and family.spec.tools.at_start:
        # What the whole answer is, its first words say.
        assert constraint.triggers == ()
        return
    (trigger,) = constraint.triggers
    matching = Matching(constraint, special=False)
    behind = one(family).split(trigger, 1)[1]
    is_section = family.spec.tools is not None and bool(family.spec.tools.open.strip())
    if not is_section and len(expected(family)) > 1 and family.spec.channels is None:
        # The second call has a trigger of its own.
        behind = behind.split(trigger, 1)[0].rstrip("\n")
    assert matching.takes(behind)
    assert not matching.takes(behind.replace("find", "fond"))


@pytest.mark.parametrize("name", ["llama-3", "llama-4"])
def test_where_calls_stand_at_the_start_an_answer_is_calls_or_any_other_text(name: str) -> None:
    (family,) = (family for family in FAMILIES if family.name == name)
    constraint = constraint_for(ask("Hi", tools=TOOLS), family.spec, thinking=Thinking.OFF)
    assert constraint is not None
    matching = Matching(constraint, special=False)
    assert matching.takes(family.text)
    for wrong in (family.text.replace("count", "cuont"), family.text[:-1], family.text.replace("7", "seven")):
        assert not matching.takes(wrong)
    for text in ("Hello!", "", f"It is {family.text}", '{"name": "John"}', "[1, 2]", "[finder(", "{"):
        assert matching.takes(text)


def test_json_arguments_are_those_that_the_schema_lists() -> None:
    (family,) = (family for family in FAMILIES if family.name == "hermes")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    listed = Matching(required(family, Tool("do_it", "", json.dumps(schema))), special=True)
    open_ended = Matching(
        required(family, Tool("do_it", "", json.dumps({**schema, "additionalProperties": True}))), special=True
    )
    call = '<tool_call>\n{"name": "do_it", "arguments": {"a": 1%s}}\n</tool_call>'
    assert listed.takes(call % "")
    assert not listed.takes(call % ', "b": 2')
    assert open_ended.takes(call % ', "b": 2')


SCHEMAS: dict[str, dict[str, Any]] = {
    "pattern": {"properties": {"a": {"type": "string", "pattern": "^[a-c]{2,4}$"}}, "required": ["a"]},
    "listed": {"properties": {"a": {"enum": ["x y", "<b>", "it's", 'q"t', "", 1, None, True, [1, "q"]]}}, "required": ["a"]},
    "all of": {"properties": {"a": {"allOf": [{"type": "integer"}, {"minimum": 3}]}}, "required": ["a"]},
    "not described": {"properties": {"a": {"type": "integer"}}, "required": ["b"], "additionalProperties": {"type": "null"}},
    "referred to": {
        "$ref": "#/$defs/T",
        "$defs": {
            "T": {"properties": {"a": {"type": "integer"}, "n": {"$ref": "#/$defs/N"}}, "required": ["a"]},
            "N": {"const": 1},
        },
    },
    "in a choice": {
        "anyOf": [
            {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string", "maxLength": 3}}, "required": ["b"]},
        ]
    },
    "in parts": {"properties": {"a": {"type": "null"}}, "allOf": [{"properties": {"c": {"const": 2}}, "required": ["c"]}]},
    "other names": {"properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "integer"}},
    "other keys": {"properties": {"a": {"type": "object", "additionalProperties": {"type": "integer"}}}, "required": ["a"]},
    "names alike": {
        "$defs": {"Size": {"const": 1}, "size": {"const": "s"}},
        "properties": {"a": {"$ref": "#/$defs/Size"}, "b": {"$ref": "#/$defs/size"}},
        "required": ["a", "b"],
    },
    "itself": {"properties": {"a": {"type": "null"}, "more": {"type": "array", "items": {"$ref": "#"}, "maxItems": 1}}},
    "part of itself": {"properties": {"a": {"type": "boolean"}, "b": {"type": "array", "items": {"$ref": "#/properties/a"}}}},
    "odd names": {
        "properties": {"a b": {"type": "integer"}, "é-x.y": {"type": "string", "maxLength": 2}},
        "required": ["a b", "é-x.y"],
    },
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_arguments_conform_to_every_kind_of_schema(name: str) -> None:
    schema = {"type": "object", **SCHEMAS[name]}
    tool = Tool("do_it", "", json.dumps(schema))
    rng = random.Random(name)
    for family in KINDS:
        matching = Matching(required(family, tool, several=False), special=True)
        for text in (text for _ in range(ROUNDS) if (text := matching.written(rng)) is not None):
            answer, called = read(family, text, tools=(tool,))
            assert called, text
            jsonschema.validate(json.loads(answer.arguments[0]), schema)


def test_only_allowed_tools_may_be_called() -> None:
    hermes = FAMILIES[0]
    for must in (True, False):
        request = ask("Hi", tools=TOOLS, tool_choice=NamedToolChoice(("now",), required=must))
        constraint = constraint_for(request, hermes.spec, thinking=Thinking.OFF)
        assert constraint is not None
        assert bool(constraint.triggers) != must
        text = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
        text = text if must else text.removeprefix("<tool_call>")
        assert Matching(constraint, special=False).takes(text)
        assert not Matching(constraint, special=False).takes(text.replace("now", "find"))


def many(n_properties: int, *, strict: bool = False) -> tuple[Tool, ...]:
    properties = {f"p{index}": {"type": ["integer", "array"][index % 2]} for index in range(n_properties)}
    schema = json.dumps({"type": "object", "properties": properties})
    return tuple(Tool(f"tool_{index}", "", schema, strict=strict) for index in range(128))


@each_kind
def test_many_tools_compile_in_the_limits(family: Family) -> None:
    for choice in (AutoToolChoice.REQUIRED, AutoToolChoice.AUTO):
        constraint = constraint_for(ask("Hi", tools=many(20), tool_choice=choice), family.spec, thinking=Thinking.OFF)
        assert constraint is not None
        assert "p19" in (constraint.lark or "")
        Matching(constraint, special=True)


def test_too_many_arguments_in_all_are_refused_where_they_must_be_kept_and_else_left_free() -> None:
    hermes = FAMILIES[0].spec
    for request in (
        ask("Hi", tools=many(50), tool_choice=AutoToolChoice.REQUIRED),
        ask("Hi", tools=many(50, strict=True)),
    ):
        with pytest.raises(InvalidRequest, match="6400 properties in all") as caught:
            constraint_for(request, hermes, thinking=Thinking.OFF)
        assert caught.value.param == "tools"
    constraint = constraint_for(ask("Hi", tools=many(50)), hermes, thinking=Thinking.OFF)
    assert constraint is not None
    matching = Matching(constraint, special=False)
    assert matching.takes('\n{"name": "tool_7", "arguments": {"anything": 1}}\n</tool_call>')
    assert not matching.takes('\n{"name": "tool_x", "arguments": {}}\n</tool_call>')


@each_kind
def test_long_texts_are_no_reason_to_refuse_a_tool(family: Family) -> None:
    texts = {f"t{index}": {"type": "string", "maxLength": 900 * index} for index in range(1, 12)}
    tool = Tool("write", "", json.dumps({"type": "object", "properties": texts}))
    constraint = constraint_for(ask("Hi", tools=(tool,)), family.spec, thinking=Thinking.OFF)
    assert constraint is not None
    assert "t11" in (constraint.lark or "")
    Matching(constraint, special=False)
