"""The grammar of the words of an answer, in whichever way they were asked for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import llguidance

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
from app.domain.prompt import Constraint
from app.formats.gbnf import BadGbnf, lark_of_gbnf
from app.formats.schemas import enforced_schema, problem_of

__all__ = ["OutputGrammar", "output_grammar"]

_MAX_CHARS = 200_000
_MAX_CHOICES = 1_000
_LARK = re.compile(r"^\s*(%llguidance\b|\??start\s*(\[[^\]]*\]\s*)?:(?!:=))", re.MULTILINE)
# Unlimited white space between JSON tokens lets a weak model write blanks until its answer is cut.
_WHITESPACE = {"whitespace_pattern": r"[ \n\t]{1,24}"}


@dataclass(frozen=True, slots=True)
class OutputGrammar:
    """`body` is the right side of a rule of Lark. `json_schema` says the same, where it can."""

    body: str
    param: str
    json_schema: str | None = None

    @property
    def constraint(self) -> Constraint:
        """For an answer that is nothing but these words."""
        if self.json_schema is not None:
            return Constraint(json_schema=self.json_schema, param=self.param)
        return Constraint(lark=_alone(self.body), param=self.param)


def output_grammar(output: OutputFormat) -> OutputGrammar | None:
    """None for free text. Raises InvalidRequest for what no grammar can be made of."""
    match output:
        case TextFormat():
            return None
        case JsonObjectFormat():
            return _json('{"type":"object"}', "response_format")
        case JsonSchemaFormat(schema=schema, strict=strict, param=param):
            return _json(enforced_schema(schema, strict=strict, what="The schema", param=param).text, param)
        case RegexFormat(pattern=pattern, param=param):
            return OutputGrammar(_regex(pattern, param), param)
        case ChoiceFormat(choices=choices, param=param):
            return OutputGrammar(_choices(choices, param), param)
        case GrammarFormat(grammar=grammar, param=param):
            return OutputGrammar(_nested(grammar, param), param)


def _json(schema: str, param: str) -> OutputGrammar:
    return OutputGrammar(f"%json {json.dumps({**json.loads(schema), 'x-guidance': _WHITESPACE})}", param, schema)


def _regex(pattern: str, param: str) -> str:
    _require_size(pattern, "A regular expression", param)
    if not pattern:
        raise InvalidRequest("The regular expression is empty.", param=param)
    _require(llguidance.LLMatcher.grammar_from_regex(pattern), "The regular expression", param)
    return f"/{llguidance.regex_to_lark(pattern)}/"


def _choices(choices: tuple[str, ...], param: str) -> str:
    if not 0 < len(choices) <= _MAX_CHOICES:
        raise InvalidRequest(f"There must be between 1 and {_MAX_CHOICES} choices; there are {len(choices)}.", param=param)
    if not all(choices):
        raise InvalidRequest("A choice is empty.", param=param)
    _require_size("".join(choices), "All choices together", param)
    return " | ".join(json.dumps(choice, ensure_ascii=False) for choice in dict.fromkeys(choices))


def _nested(grammar: str, param: str) -> str:
    _require_size(grammar, "A grammar", param)
    try:
        lark = grammar if _LARK.search(grammar) else lark_of_gbnf(grammar)
    except BadGbnf as error:
        raise InvalidRequest(f"The grammar can't be used: {error}.", param=param) from error
    _require(llguidance.LLMatcher.grammar_from_lark(lark), "The grammar", param)
    body = f"%lark {{\n{lark}\n}}"
    _require(llguidance.LLMatcher.grammar_from_lark(_alone(body)), "The grammar", param)
    return body


def _alone(body: str) -> str:
    return f"%llguidance {{}}\nstart: answer\nanswer: {body}\n"


def _require(grammar: str, what: str, param: str) -> None:
    problem = problem_of(grammar)
    if problem:
        raise InvalidRequest(f"{what} can't be used: {_in_one_line(problem)}", param=param)


def _require_size(text: str, what: str, param: str) -> None:
    if len(text) > _MAX_CHARS:
        raise InvalidRequest(f"{what} may have at most {_MAX_CHARS} characters; this has {len(text)}.", param=param)


def _in_one_line(problem: str) -> str:
    """The explanation without the lines of the grammar that are shown below it."""
    said = [line.strip() for line in problem.strip().splitlines() if not re.match(r"\s*(\d+ \||\^)", line)]
    return " ".join(line for line in said if line)[:300]
