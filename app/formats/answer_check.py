"""Whether a finished answer conforms to a schema, where no grammar could see to it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import regex

from app.domain.errors import InvalidRequest
from app.domain.generation import JsonSchemaFormat, OutputFormat
from app.domain.schema import load_schema
from app.formats.schemas import enforced_schema
from app.formats.subschemas import pointer

__all__ = ["AnswerCheck", "answer_check"]

_TIME_S = 2.0
_LONGEST = 300
# Of schemas whose checks are kept: clients send the same one again and again.
_LONGEST_KEPT = 50_000
_TOO_DEEP = "The answer is nested too deeply to be checked against the schema."

Keyword = Callable[[Any, Any, Any, Any], Any]


def answer_check(output: OutputFormat) -> AnswerCheck | None:
    """None where the grammar sees to everything. Raises InvalidRequest for a schema that no answer can be checked against."""
    if not isinstance(output, JsonSchemaFormat):
        return None
    found = enforced_schema(output.schema, strict=output.strict, what="The schema", param=output.param)
    if not found.left_out:
        return None
    make = _made_before if len(output.schema) <= _LONGEST_KEPT else _made
    return make(output.schema, output.param)


class AnswerCheck:
    """Immutable. Never fetches what a schema refers to, and gives up after a while: patterns and references of a schema can
    make a check as long as they like."""

    def __init__(self, schema: str, param: str, *, time_s: float = _TIME_S) -> None:
        """Raises InvalidRequest for a schema that is none by its own metaschema."""
        # A tenth of a second, which only those pay who need it.
        from jsonschema import validators
        from jsonschema.exceptions import SchemaError

        loaded = load_schema(schema, what="The schema", param=param)
        self._schema = loaded if isinstance(loaded, dict) else {} if loaded else {"not": {}}
        self._time_s = time_s
        self._class = validators.validator_for(self._schema, default=validators.Draft202012Validator)
        try:
            self._class.check_schema(self._schema)
        except (SchemaError, RecursionError) as error:
            place = pointer(tuple(error.absolute_path)) if isinstance(error, SchemaError) else ""
            said = error.message if isinstance(error, SchemaError) else "it is nested too deeply"
            raise InvalidRequest(f"The schema can't be used: {said[:_LONGEST]} (at '{place}')", param=param) from error

    def problem_of(self, answer: str) -> str | None:
        """What is wrong with the answer, as a sentence. Takes up to about `time_s`; not for a thread that others wait for."""
        try:
            instance = json.loads(answer)
        except ValueError as error:
            return f"The answer is not valid JSON: {error}."
        except RecursionError:
            return _TOO_DEEP
        return self._problem(instance, time.monotonic() + self._time_s)

    def _problem(self, instance: object, deadline: float) -> str | None:
        from jsonschema import validators
        from referencing import Registry
        from referencing.exceptions import Unresolvable

        patterns = _Patterns(deadline)
        keywords = {name: _timed(keyword, deadline) for name, keyword in self._class.VALIDATORS.items()}
        extend: Any = validators.extend
        timed = extend(self._class, {**keywords, "pattern": patterns.keyword})
        try:
            schema = patterns.resolved(self._schema, set(_property_names(instance)))
            error = next(timed(schema, registry=Registry()).iter_errors(instance), None)
        except TimeoutError:
            return f"The answer could not be checked against the schema within {self._time_s:g} seconds."
        except RecursionError:
            return _TOO_DEEP
        except (Unresolvable, regex.error) as problem:
            return f"The answer could not be checked against the schema: {str(problem)[:_LONGEST]}."
        if error is None:
            return None
        place = pointer(tuple(patterns.given.get(step, step) for step in error.absolute_schema_path))
        return f"At {error.json_path} the answer does not conform to '{place}' of the schema: {error.message[:_LONGEST]}."


class _Patterns:
    """The patterns of a schema, by an engine that can be stopped: Python's own holds up the whole program on a bad one.

    `given` are the patterns by what stands for them.
    """

    def __init__(self, deadline: float) -> None:
        self.given: dict[str | int, str] = {}
        self._deadline = deadline

    def keyword(self, validator: Any, pattern: str, instance: object, _schema: object) -> Iterator[Any]:
        from jsonschema.exceptions import ValidationError

        if validator.is_type(instance, "string") and not self._matches(pattern, str(instance)):
            yield ValidationError(f"{instance!r} does not match {pattern!r}")

    def resolved(self, value: Any, names: set[str]) -> Any:
        """A schema in which patterns of property names stand for those of `names` that they match, word for word.

        Wherever a reference could lead: each object may be a schema. And all of them are schemas of one draft.
        """
        if isinstance(value, list):
            return [self.resolved(one, names) for one in value]
        if not isinstance(value, dict):
            return value
        resolved = {key: one if key in ("const", "enum") else self.resolved(one, names) for key, one in value.items()}
        if isinstance(value.get("$schema"), str):
            del resolved["$schema"]
        if isinstance(named := value.get("patternProperties"), dict):
            resolved["patternProperties"] = {
                self._words(pattern, index, names): self.resolved(one, names)
                for index, (pattern, one) in enumerate(named.items())
            }
        return resolved

    def _words(self, pattern: str, index: int, names: set[str]) -> str:
        """No word at all where none matches. The number tells patterns apart that match the same ones."""
        words = "|".join(re.escape(name) for name in sorted(names) if self._matches(pattern, name))
        written = rf"\A(?:{words})\Z(?#{index})" if words else f"(?!)(?#{index})"
        self.given[written] = pattern
        return written

    def _matches(self, pattern: str, text: str) -> bool:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return regex.search(pattern, text, timeout=left_s, concurrent=True) is not None


def _timed(keyword: Keyword, deadline: float) -> Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if time.monotonic() > deadline:
            raise TimeoutError
        yield from keyword(validator, value, instance, schema) or ()

    return check


def _property_names(instance: object) -> Iterator[str]:
    ahead = [instance]
    while ahead:
        value = ahead.pop()
        if isinstance(value, dict):
            yield from value
            ahead += value.values()
        elif isinstance(value, list):
            ahead += value


def _made(schema: str, param: str) -> AnswerCheck:
    return AnswerCheck(schema, param)


_made_before = lru_cache(maxsize=32)(_made)
