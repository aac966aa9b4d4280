from __future__ import annotations

import json
from collections.abc import Sequence

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
    return ConstraintCompiler(vocabulary, lambda: make_tokenizer(vocabulary))


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
    allowed = set(constraint.allowed().tolist())
    assert allowed == {token for token in range(vocabulary.n_tokens) if constraint.allows(token)}
    assert _end(vocabulary) not in allowed


def test_what_is_forced_needs_no_sampling(compiler: ConstraintCompiler, vocabulary: LlamaVocabulary) -> None:
    constraint = compiler.compile(Constraint(lark='start: "only this text" /[0-9]/'))
    forced = constraint.forced()
    text = b"".join(map(vocabulary.piece, forced))
    assert text
    assert b"only this text".startswith(text)
    for token in forced:
        assert constraint.allows(token)
        constraint.accept(token)


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


def test_a_schema_nested_without_end_is_refused(compiler: ConstraintCompiler) -> None:
    with pytest.raises(InvalidRequest):
        compiler.compile(Constraint(json_schema='{"items":' * 20_000 + "{}" + "}" * 20_000))


def test_a_pattern_made_to_explode_ends_the_answer_instead_of_the_engine(
    compiler: ConstraintCompiler, vocabulary: LlamaVocabulary
) -> None:
    pattern = "(" * 12 + "a" + "{1,90})" * 12
    constraint = compiler.compile(Constraint(json_schema=json.dumps({"type": "string", "pattern": pattern})))
    with pytest.raises(GenerationFailed, match="too complex"):
        _feed(constraint, vocabulary, '"' + "a" * 40)
