from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from app.domain.generation import FinishReason
from app.domain.prompt import Constraint, Piece, PlainText, ReasoningLimit
from app.engine.constraint import ConstraintCompiler
from app.engine.decoder import FloatArray
from app.engine.generation import Generation, PreparedGeneration
from app.engine.llama.grammar import make_tokenizer
from app.engine.llama.model import LlamaModel, LlamaVocabulary
from app.engine.protocol import GenerateJob
from app.engine.sampling import SamplingPlanner
from app.engine.sequences import Sequence
from app.engine.tokens import TokenizedPrompt
from tests.engine.fakes import FakeDecoder, say


@pytest.fixture(scope="module")
def vocabulary(ember_model: LlamaModel) -> LlamaVocabulary:
    return ember_model.vocabulary


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


class _Writer:
    """A generation whose model always wants what it is told."""

    def __init__(self, vocabulary: LlamaVocabulary, job: GenerateJob, *, limit: int = 500) -> None:
        prompt = TokenizedPrompt(np.array(vocabulary.tokenize("Hi", parse_special=False), np.int32))
        compiler = ConstraintCompiler(vocabulary, partial(make_tokenizer, vocabulary))
        constraint = compiler.compile(job.constraint) if job.constraint else None
        prepared = PreparedGeneration(job, prompt, constraint, limit, SamplingPlanner(vocabulary).plan(job.sampling))
        self.generation = Generation(prepared, FakeDecoder(), vocabulary, clock=_Clock())
        self.generation.start(Sequence(0, self.generation.row, prompt))
        self._vocabulary = vocabulary

    def want(self, text: str) -> None:
        for token in self._vocabulary.tokenize(text, parse_special=True):
            if self.generation.finished is None:
                self.generation.advance(self._row(token))

    def _row(self, token: int) -> FloatArray:
        row = np.linspace(-1, 0, self._vocabulary.n_tokens, dtype=np.float32)
        row[token] = 9
        return row

    def pieces(self) -> tuple[Piece, ...]:
        return self.generation.take_pieces()

    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces())


def test_an_answer_ends_where_the_model_ends_it(vocabulary: LlamaVocabulary) -> None:
    writer = _Writer(vocabulary, say("a", "", max_tokens=None))
    writer.want("Hello you<|im_end|>")
    assert writer.text() == "Hello you"
    assert writer.generation.done().reason is FinishReason.STOP


def test_control_tokens_are_given_as_text_and_marked(vocabulary: LlamaVocabulary) -> None:
    writer = _Writer(vocabulary, say("a", "", max_tokens=None))
    writer.want("a<tool_call>b")
    assert [(piece.text, piece.control) for piece in writer.pieces()] == [("a", False), ("<tool_call>", True), ("b", False)]


def test_an_answer_that_would_outgrow_the_limit_ends_there(vocabulary: LlamaVocabulary) -> None:
    writer = _Writer(vocabulary, say("a", "", max_tokens=None), limit=8)
    writer.want("one two three four five six seven eight")
    assert len(writer.generation.row) == 8
    assert writer.generation.done().reason is FinishReason.LENGTH


def test_the_grammar_has_the_last_word(vocabulary: LlamaVocabulary) -> None:
    job = replace(say("a", "", max_tokens=None), constraint=Constraint(lark='start: "yes" | "no"'))
    writer = _Writer(vocabulary, job)
    writer.want("maybe not, who knows")
    assert writer.text() in ("yes", "no")
    assert writer.generation.done().reason is FinishReason.STOP


def test_forced_tokens_are_not_sampled_unless_probabilities_are_wanted(vocabulary: LlamaVocabulary) -> None:
    job = replace(say("a", "", max_tokens=None), constraint=Constraint(lark='start: "the only possible answer"'))
    assert _Writer(vocabulary, job).text().startswith("the only")
    asking = _Writer(vocabulary, replace(job, top_logprobs=0))
    assert not asking.pieces()
    asking.want("the only possible answer")
    pieces = asking.pieces()
    assert "".join(piece.text for piece in pieces) == "the only possible answer"
    assert all(piece.logprob is not None for piece in pieces)


def test_thinking_that_ends_the_answer_is_closed_and_the_grammar_follows(vocabulary: LlamaVocabulary) -> None:
    job = replace(say("a", "", max_tokens=None), constraint=Constraint(lark='start: "yes" | "no"', after="</think>"))
    writer = _Writer(vocabulary, job)
    writer.want("<think>well<|im_end|>")
    writer.want("no")
    assert writer.text() == "<think>well</think>no"


CALL = Constraint(
    lark='start: "\\n{\\"day\\": " /[0-9]{1,2}/ "}\\n" marker_0\nmarker_0: "</tool_call>"\n',
    markers=("</tool_call>",),
    triggers=("<tool_call>",),
    aside=("<think>", "</think>"),
)


def test_a_call_the_model_begins_is_held_to_its_schema_and_the_text_is_free_again(vocabulary: LlamaVocabulary) -> None:
    writer = _Writer(vocabulary, replace(say("a", "", max_tokens=None), constraint=CALL))
    writer.want("Well. <tool_call>")
    writer.want("7 days!!")
    written = writer.text()
    assert written.startswith('Well. <tool_call>\n{"day": 7')
    assert not writer.generation.finished
    writer.want("x}\n</tool_call>")
    writer.want(" and so on<tool_call>")
    writer.want("12}</tool_call>")
    assert writer.generation.finished is None
    writer.want("<|im_end|>")
    assert writer.generation.done().reason is FinishReason.STOP
    assert '</tool_call> and so on<tool_call>\n{"day": ' in written + writer.text()


def test_a_trigger_in_the_reasoning_binds_nothing(vocabulary: LlamaVocabulary) -> None:
    writer = _Writer(vocabulary, replace(say("a", "", max_tokens=None), constraint=CALL))
    writer.want("<think>a <tool_call> would be</think>No.<|im_end|>")
    assert writer.text() == "<think>a <tool_call> would be</think>No."


def test_an_answer_that_the_prompt_holds_whole_is_at_its_end(vocabulary: LlamaVocabulary) -> None:
    constraint = Constraint(lark='%llguidance {}\nstart: "yes" | "no"\n', begun="yes")
    writer = _Writer(vocabulary, replace(say("a", "", max_tokens=100), constraint=constraint))
    writer.want("no")
    assert (writer.text(), writer.generation.finished) == ("", FinishReason.STOP)


def thinking(n_tokens: int, *, begun: bool = False) -> ReasoningLimit:
    return ReasoningLimit(n_tokens, "<think>", "</think>", "\n</think>\n\n", begun=begun)


def test_reasoning_that_becomes_too_long_is_closed_and_the_answer_goes_on(vocabulary: LlamaVocabulary) -> None:
    writer = _Writer(vocabulary, replace(say("a", "", max_tokens=100), reasoning_limit=thinking(3)))
    writer.want("<think>a b c d e f")
    text = "".join(piece.text for piece in writer.pieces())
    assert text.startswith("<think>")
    assert text.count("</think>") == 1
    thought, _, answer = text.removeprefix("<think>").partition("\n</think>\n\n")
    assert len(vocabulary.tokenize(thought, parse_special=False)) == 3
    assert (thought + answer).replace(" ", "") == "abcdef"
    writer.generation.stop()
    assert writer.generation.done().usage.completion_tokens == len(writer.generation.row) - writer.generation.n_prompt


def test_no_reasoning_is_wanted_where_the_prompt_has_opened_it(vocabulary: LlamaVocabulary) -> None:
    writer = _Writer(vocabulary, replace(say("a", "", max_tokens=100), reasoning_limit=thinking(0, begun=True)))
    writer.want("yes")
    assert "".join(piece.text for piece in writer.pieces()) == "\n</think>\n\nyes"


def test_reasoning_that_was_cut_is_not_closed_a_second_time(vocabulary: LlamaVocabulary) -> None:
    job = say("a", "", max_tokens=100)
    writer = _Writer(vocabulary, replace(job, reasoning_limit=thinking(2)))
    writer.want("<think>a b c</think>d")
    assert writer.text().count("</think>") == 1
    writer = _Writer(vocabulary, replace(job, reasoning_limit=thinking(9)))
    writer.want("<think>a b c</think>d</think>")
    assert writer.text() == "<think>a b c</think>d</think>"


def test_the_end_of_a_message_may_come_again(vocabulary: LlamaVocabulary) -> None:
    channel = ReasoningLimit(1, "<think>", "</think>", "</think>answer:")
    writer = _Writer(vocabulary, replace(say("a", "", max_tokens=100), reasoning_limit=channel))
    writer.want("<think>a b</think>")
    assert writer.text().count("</think>") == 2


def test_the_grammar_binds_behind_reasoning_that_was_cut(vocabulary: LlamaVocabulary) -> None:
    constraint = Constraint(lark='%llguidance {}\nstart: "yes" | "no"\n', after="</think>")
    job = replace(say("a", "", max_tokens=100), reasoning_limit=thinking(2, begun=True), constraint=constraint)
    writer = _Writer(vocabulary, job)
    writer.want("a b c d")
    text = "".join(piece.text for piece in writer.pieces())
    assert text.split("</think>")[1].strip() in ("yes", "no")
    assert writer.generation.finished is FinishReason.STOP


def test_times_are_those_of_waiting_reading_and_writing(vocabulary: LlamaVocabulary) -> None:
    writer = _Writer(vocabulary, say("a", "", max_tokens=2))
    writer.want("a b c d")
    timings = writer.generation.done().timings
    assert (timings.queue_s, timings.prompt_s, timings.generation_s) == (1, 1, 1)


def test_usage_counts_what_was_written(vocabulary: LlamaVocabulary) -> None:
    writer = _Writer(vocabulary, GenerateJob("a", (PlainText("Hi"),), say("a", "").sampling, max_tokens=3))
    writer.want("a b c d e f")
    usage = writer.generation.done().usage
    assert usage.completion_tokens == 3 == len(writer.pieces())
    assert usage.prompt_tokens == writer.generation.n_prompt
