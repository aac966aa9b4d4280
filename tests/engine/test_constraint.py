from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from app.domain.errors import GenerationFailed, InvalidRequest
from app.domain.prompt import Constraint
from app.engine.constraint import AnswerConstraint, ConstraintCompiler
from app.engine.llama.grammar import make_tokenizer
from app.engine.llama.model import LlamaModel, LlamaVocabulary

PERSON = json.dumps(
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
)


@pytest.fixture(scope="module")
def vocabulary(ember_model: LlamaModel) -> LlamaVocabulary:
    return ember_model.vocabulary


@pytest.fixture(scope="module")
def compiler(vocabulary: LlamaVocabulary) -> ConstraintCompiler:
    return ConstraintCompiler(vocabulary, partial(make_tokenizer, vocabulary))


def _feed(constraint: AnswerConstraint, vocabulary: LlamaVocabulary, text: str) -> bool:
    """Whether the constraint takes a text, token by token."""
    for token in vocabulary.tokenize(text, parse_special=True):
        if not constraint.allows(token):
            return False
        constraint.accept(token)
    return True


def _end(vocabulary: LlamaVocabulary) -> int:
    return vocabulary.eog_tokens[0]


def test_json_that_conforms_is_taken_and_then_the_answer_may_end(
    compiler: ConstraintCompiler, vocabulary: LlamaVocabulary
) -> None:
    constraint = compiler.compile(Constraint(json_schema=PERSON))
    assert not constraint.allows(_end(vocabulary))
    assert _feed(constraint, vocabulary, '{"name": "Anna", "age": 30}')
    assert constraint.finished or constraint.allows(_end(vocabulary))


@pytest.mark.parametrize("text", ['{"age": "x"', '{"name": 3', "Sure", '{"name": "A", "age": 1, "x"'])
def test_other_text_is_refused_at_its_first_wrong_token(
    compiler: ConstraintCompiler, vocabulary: LlamaVocabulary, text: str
) -> None:
    assert not _feed(compiler.compile(Constraint(json_schema=PERSON)), vocabulary, text)


def test_every_allowed_token_is_one_that_is_taken(compiler: ConstraintCompiler, vocabulary: LlamaVocabulary) -> None:
    constraint = compiler.compile(Constraint(json_schema=PERSON))
    _feed(constraint, vocabulary, '{"name": "A')
    inside = constraint.allowed(but=0)
    assert inside.ruled_out
    takes = {token for token in range(vocabulary.n_tokens) if constraint.allows(token)}
    assert set(inside.ids.tolist()) == set(range(vocabulary.n_tokens)) - takes
    assert _feed(constraint, vocabulary, '", ')
    between = constraint.allowed(but=0)
    assert not between.ruled_out
    assert set(between.ids.tolist()) == {token for token in range(vocabulary.n_tokens) if constraint.allows(token)}
    assert _end(vocabulary) not in between.ids


def test_what_is_forced_needs_no_sampling(compiler: ConstraintCompiler, vocabulary: LlamaVocabulary) -> None:
    constraint = compiler.compile(Constraint(lark='start: "only this text" /[0-9]/'))
    forced = constraint.forced()
    text = b"".join(map(vocabulary.piece, forced))
    assert text
    assert b"only this text".startswith(text)
    for token in forced:
        assert constraint.allows(token)
        constraint.accept(token)


def test_an_answer_goes_on_where_the_prompt_has_begun_it(compiler: ConstraintCompiler, vocabulary: LlamaVocabulary) -> None:
    begun = compiler.compile(Constraint(json_schema=PERSON, begun='{"name": "An'))
    assert not begun.allows(_end(vocabulary))
    assert _feed(begun, vocabulary, 'na", "age": 30}')
    assert begun.finished or begun.allows(_end(vocabulary))


def test_behind_other_words_the_grammar_begins_by_itself(compiler: ConstraintCompiler, vocabulary: LlamaVocabulary) -> None:
    constraint = compiler.compile(Constraint(json_schema=PERSON, begun="Here it is: "))
    assert _feed(constraint, vocabulary, '{"name": "Anna", "age": 30}')


def test_blanks_between_json_tokens_are_bounded(compiler: ConstraintCompiler, vocabulary: LlamaVocabulary) -> None:
    constraint = compiler.compile(Constraint(json_schema=PERSON))
    assert _feed(constraint, vocabulary, "{")
    assert not _feed(constraint, vocabulary, " " * 60)


def _spelled(vocabulary: LlamaVocabulary, *texts: str) -> Sequence[int]:
    return [token for text in texts for token in vocabulary.tokenize(text, parse_special=True)]


@pytest.mark.parametrize("border", ["</think>", "DONE:"])
def test_text_is_free_until_the_border_and_bound_behind_it(
    compiler: ConstraintCompiler, vocabulary: LlamaVocabulary, border: str
) -> None:
    constraint = compiler.compile(Constraint(json_schema=PERSON, after=border))
    for token in _spelled(vocabulary, "anything { goes ", border, "\n", '{"name": "A"'):
        assert constraint.allows(token)
        constraint.accept(token)
    assert not constraint.allows(vocabulary.tokenize("hello", parse_special=False)[0])


def test_where_the_model_would_end_unbound_the_border_is_put_in(
    compiler: ConstraintCompiler, vocabulary: LlamaVocabulary
) -> None:
    constraint = compiler.compile(Constraint(json_schema=PERSON, after="</think>"))
    assert constraint.instead_of_ending() == vocabulary.tokenize("</think>", parse_special=True)
    for token in constraint.instead_of_ending():
        constraint.accept(token)
    assert constraint.instead_of_ending() == []
    assert _feed(constraint, vocabulary, '{"name"')


def test_markers_of_a_grammar_are_the_vocabularys_special_tokens(
    compiler: ConstraintCompiler, vocabulary: LlamaVocabulary
) -> None:
    lark = 'start: marker_0 "x" marker_1\nmarker_0: "<tool_call>"\nmarker_1: "</tool_call>"\n'
    constraint = compiler.compile(Constraint(lark=lark, markers=("<tool_call>", "</tool_call>")))
    assert _feed(constraint, vocabulary, "<tool_call>x</tool_call>")
    assert constraint.finished


@pytest.mark.parametrize(
    "constraint",
    [
        Constraint(json_schema="{not json"),
        Constraint(json_schema='{"type": "nonsense"}'),
        Constraint(json_schema='{"type": "string", "pattern": "("}'),
        Constraint(lark="start: ("),
        Constraint(),
        Constraint(json_schema='"' + "x" * 2_000_000 + '"'),
    ],
)
def test_a_schema_that_is_wrong_is_refused_by_the_name_of_its_field(
    compiler: ConstraintCompiler, constraint: Constraint
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        compiler.compile(constraint)
    assert caught.value.param == "response_format"


def _properties(n: int, *, required: bool) -> dict[str, object]:
    names = [f"property_{i}" for i in range(n)]
    schema: dict[str, object] = {"type": "object", "properties": {name: {"type": "integer"} for name in names}}
    return schema | ({"required": names} if required else {})


REFERENCES = {
    "$defs": {"0": {"type": "string"}}
    | {str(i): {"type": "array", "prefixItems": [{"$ref": f"#/$defs/{i - 1}"}] * 10} for i in range(1, 30)},
    "$ref": "#/$defs/29",
}
LOOP = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
CHOICES = {"allOf": [{"anyOf": [{"properties": {f"{i}_{j}": {"type": "integer"}}} for j in range(10)]} for i in range(12)]}
HOSTILE = {
    "nested text": '{"items":' * 20_000 + "{}" + "}" * 20_000,
    "nested values": json.dumps({"enum": [json.loads("[" * 200 + "]" * 200)]}),
    "enum": json.dumps({"enum": [f"value number {i}" for i in range(40_000)]}),
    "enum of alike": json.dumps({"enum": ["x" * i for i in range(1, 1300)]}),
    "many required properties": json.dumps(_properties(10_000, required=True)),
    "many optional properties": json.dumps(_properties(10_000, required=False)),
    "as many properties as may be": json.dumps(_properties(1_000, required=False)),
    "pattern of repetitions": json.dumps({"type": "string", "pattern": "(" * 12 + "a" + "{1,90})" * 12}),
    "pattern that backtracks": json.dumps({"type": "string", "pattern": "^(a+)+$"}),
    "pattern with a long memory": json.dumps({"type": "string", "pattern": ".*a.{5000}b"}),
    "pattern of options": json.dumps({"type": "string", "pattern": "(a|b)?" * 20_000}),
    "pattern that looks ahead": json.dumps({"type": "string", "pattern": "^(?=.*[A-Z]).{8,}$"}),
    "long text": json.dumps({"type": "string", "minLength": 10**9}),
    "long list": json.dumps({"type": "array", "items": {"type": "integer"}, "minItems": 10**9}),
    "huge numbers": json.dumps({"type": "integer", "minimum": -(10**30), "maximum": 10**300}),
    "itself": json.dumps({"$ref": "#"}),
    "loop": json.dumps(LOOP),
    "loop in allOf": json.dumps({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}, {"type": "object"}]}}, "$ref": "#/$defs/a"}),
    "references that multiply": json.dumps(REFERENCES),
    "choices that multiply": json.dumps(CHOICES),
    "another machine": json.dumps({"$ref": "http://127.0.0.1:1/x"}),
    "nothing conforms": json.dumps({"allOf": [{"type": "string"}, {"type": "integer"}]}),
    "unknown keyword": json.dumps({"not": {"type": "string"}}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_is_refused_or_kept_within_bounds(
    compiler: ConstraintCompiler, vocabulary: LlamaVocabulary, name: str
) -> None:
    started = time.thread_time()
    outcome = _outcome(compiler, vocabulary, HOSTILE[name])
    assert time.thread_time() - started < 5
    assert len(str(outcome)) < 400
    if isinstance(outcome, InvalidRequest):
        assert outcome.param == "response_format"
    elif outcome is not None:
        assert "too complex" in str(outcome)


def _outcome(compiler: ConstraintCompiler, vocabulary: LlamaVocabulary, schema: str) -> Exception | None:
    try:
        _write(compiler.compile(Constraint(json_schema=schema)), vocabulary, 100)
    except (InvalidRequest, GenerationFailed) as error:
        return error
    return None


def _write(constraint: AnswerConstraint, vocabulary: LlamaVocabulary, n: int) -> None:
    """Write an answer as a model would that wants something else each time."""
    refused = 0
    for i in range(n):
        if constraint.finished:
            return
        forced = constraint.forced()
        if forced:
            token = forced[0]
        else:
            allowed = constraint.allowed(but=refused)
            ids = np.setdiff1d(np.arange(vocabulary.n_tokens), allowed.ids) if allowed.ruled_out else allowed.ids
            token = int(ids[(i * 7919) % len(ids)])
        if vocabulary.is_eog(token):
            return
        assert constraint.allows(token)
        constraint.accept(token)


@pytest.mark.parametrize(
    "name", ["many optional properties", "nested text", "nothing conforms", "itself", "loop", "huge numbers"]
)
def test_a_schema_that_can_not_be_kept_is_refused_before_anything_runs(compiler: ConstraintCompiler, name: str) -> None:
    with pytest.raises(InvalidRequest):
        compiler.compile(Constraint(json_schema=HOSTILE[name]))


@pytest.mark.parametrize("keyword", [{"not": {}}, {"uniqueItems": True}, {"if": {}}, {"format": "no such"}])
def test_an_unsupported_keyword_is_named(compiler: ConstraintCompiler, keyword: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match=next(iter(keyword))):
        compiler.compile(Constraint(json_schema=json.dumps({"type": "string", **keyword})))


def test_a_pattern_made_to_explode_ends_the_answer_instead_of_the_engine(
    compiler: ConstraintCompiler, vocabulary: LlamaVocabulary
) -> None:
    constraint = compiler.compile(Constraint(json_schema=HOSTILE["pattern of repetitions"]))
    with pytest.raises(GenerationFailed, match="too complex"):
        _feed(constraint, vocabulary, '"' + "a" * 40)


def test_a_grammar_used_again_starts_afresh(compiler: ConstraintCompiler, vocabulary: LlamaVocabulary) -> None:
    first, second = (compiler.compile(Constraint(json_schema=PERSON)) for _ in range(2))
    assert _feed(first, vocabulary, '{"name": "Anna", "age": 30}')
    assert _feed(second, vocabulary, '{"name": "B')
    assert _feed(compiler.compile(Constraint(json_schema=PERSON)), vocabulary, '{"name": "Anna", "age": 30}')


CALL = 'start: "{" /[a-z]{1,5}/ "}" marker_0\nmarker_0: "</tool_call>"\n'


@pytest.mark.parametrize("trigger", ["<tool_call>", "CALL:", "<|sep|>call"])
def test_the_text_is_free_but_for_what_follows_a_trigger_again_and_again(
    compiler: ConstraintCompiler, vocabulary: LlamaVocabulary, trigger: str
) -> None:
    constraint = compiler.compile(Constraint(lark=CALL, markers=("</tool_call>",), triggers=(trigger, "never said")))
    for _ in range(3):
        assert _feed(constraint, vocabulary, "Any text {1} </tool_call> goes. " + trigger)
        assert not constraint.allows(_end(vocabulary))
        assert not _feed(constraint, vocabulary, "no")
        assert _feed(constraint, vocabulary, "{ok}</tool_call>")
        assert constraint.allows(_end(vocabulary))
        assert not constraint.finished


def test_what_follows_a_trigger_in_the_same_token_is_bound_too(
    compiler: ConstraintCompiler, vocabulary: LlamaVocabulary
) -> None:
    (token,) = vocabulary.tokenize(" the", parse_special=False)
    bound = compiler.compile(Constraint(lark='start: "he end"', triggers=(" t",)))
    assert bound.allows(token)
    bound.accept(token)
    assert _feed(bound, vocabulary, " end")
    refused = compiler.compile(Constraint(lark='start: "x"', triggers=(" t",)))
    assert not refused.allows(token)
    assert refused.allowed(but=token).ids.tolist() == [token]
    assert refused.allowed(but=token).ruled_out


def test_triggers_wait_for_the_end_of_the_reasoning_and_of_asides(
    compiler: ConstraintCompiler, vocabulary: LlamaVocabulary
) -> None:
    lazy = Constraint(lark='start: "x"', triggers=("CALL:",), after="</think>", aside=("<think>", "</think>"))
    constraint = compiler.compile(lazy)
    assert _feed(constraint, vocabulary, "hm CALL: y</think> so <think> CALL: y</think>")
    assert constraint.instead_of_ending() == []
    assert _feed(constraint, vocabulary, "CALL:")
    assert not _feed(constraint, vocabulary, "y")
    assert _feed(constraint, vocabulary, "x")


def test_what_a_trigger_binds_is_forced_without_sampling(compiler: ConstraintCompiler, vocabulary: LlamaVocabulary) -> None:
    constraint = compiler.compile(Constraint(lark='start: "one way only" /[0-9]/', triggers=("<tool_call>",)))
    assert constraint.forced() == []
    assert _feed(constraint, vocabulary, "<tool_call>")
    assert b"one way only".startswith(b"".join(map(vocabulary.piece, constraint.forced())))
    assert constraint.forced()
