from __future__ import annotations

import io

import pytest
from PIL import Image

from app.domain.errors import ContextOverflow, InvalidRequest, UnsupportedContent
from app.domain.generation import SamplingParams
from app.domain.prompt import ControlText, Picture, PlainText, PromptSegment, Sound, TokenIds
from app.engine.prompt import PromptTokenizer
from app.engine.protocol import GenerateJob
from tests.engine.fakes import BOS, END, TOOL, FakeDecoder, FakeProjector, FakeVocabulary, fake_engine, run, say
from tests.engine.tiny_sounds import wav


def _picture(rows: int, color: str = "red") -> Picture:
    buffer = io.BytesIO()
    Image.new("RGB", (8, rows), color).save(buffer, "PNG")
    return Picture(buffer.getvalue())


def _ids(*segments: PromptSegment, adds_bos: bool = False, add_special: bool = False) -> list[int]:
    prompts = PromptTokenizer(FakeVocabulary(adds_bos=adds_bos), FakeProjector(), model_name="Fake")
    return prompts.tokenize(segments, add_special=add_special).ids.tolist()


def test_control_tokens_come_from_the_template_alone() -> None:
    assert _ids(ControlText("<s>"), PlainText("hi <end>"), ControlText("<end>")) == [BOS, *b"hi <end>", END]


def test_a_control_token_can_not_be_put_together_across_a_border() -> None:
    assert _ids(ControlText("a<e"), PlainText("nd>b")) == [*b"a<end>b"]


def test_token_ids_stand_for_themselves() -> None:
    assert _ids(PlainText("a"), TokenIds((END, 65))) == [97, END, 65]


@pytest.mark.parametrize("bad", [-1, 259])
def test_token_ids_the_model_does_not_have_are_refused(bad: int) -> None:
    with pytest.raises(InvalidRequest, match="not a token"):
        _ids(TokenIds((bad,)))


def test_the_first_token_is_added_once() -> None:
    assert _ids(PlainText("a"), adds_bos=True, add_special=True) == [BOS, 97]
    assert _ids(ControlText("<s>a"), adds_bos=True, add_special=True) == [BOS, 97]
    assert _ids(TokenIds((BOS, BOS, 97)), adds_bos=True, add_special=True) == [BOS, 97]
    assert _ids(PlainText("a"), adds_bos=True) == [97]
    assert _ids(PlainText("a"), add_special=True) == [97]


def test_a_picture_is_a_run_of_negative_ids_at_its_place() -> None:
    prompts = PromptTokenizer(FakeVocabulary(adds_bos=True), FakeProjector(), model_name="Fake")
    prompt = prompts.tokenize((PlainText("a"), _picture(5), PlainText("b")), add_special=True)
    assert prompt.ids[:3].tolist() == [BOS, 97, TOOL]
    assert (prompt.ids[3:8] < 0).all()
    assert prompt.ids[8:].tolist() == [TOOL, 98]
    assert [picture.start for picture in prompt.pictures] == [3]


def test_a_picture_that_was_read_before_is_not_read_again() -> None:
    projector = FakeProjector()
    prompts = PromptTokenizer(FakeVocabulary(), projector, model_name="Fake", tokens_kept=400)
    for _ in range(3):
        prompts.tokenize((_picture(5),), add_special=False)
    assert projector.read == 1
    for rows in range(10, 40):
        prompts.tokenize((_picture(rows),), add_special=False)
    prompts.tokenize((_picture(5),), add_special=False)
    assert projector.read == 32


def test_a_sound_is_a_run_of_negative_ids_at_its_place() -> None:
    prompts = PromptTokenizer(FakeVocabulary(), FakeProjector(), model_name="Fake")
    prompt = prompts.tokenize((PlainText("a"), Sound(wav(0.4)), PlainText("b")), add_special=False)
    assert [token if token >= 0 else None for token in prompt.ids.tolist()] == [97, None, None, None, None, 98]
    assert [sound.start for sound in prompt.pictures] == [1]


def test_each_picture_knows_which_ones_follow_it() -> None:
    prompts = PromptTokenizer(FakeVocabulary(), FakeProjector(), model_name="Fake")
    prompt = prompts.tokenize((_picture(5), PlainText("a"), _picture(6), Sound(wav(0.4))), add_special=False)
    assert [[run.n_tokens for run in picture.tokens.following] for picture in prompt.pictures] == [[6, 4], [4], []]


@pytest.mark.parametrize("projector", [None, FakeProjector(sees_pictures=False), FakeProjector(hears=False)])
def test_a_model_refuses_by_name_what_it_can_not_perceive(projector: FakeProjector | None) -> None:
    prompts = PromptTokenizer(FakeVocabulary(), projector, model_name="Fake")
    if not (projector and projector.sees_pictures):
        with pytest.raises(UnsupportedContent, match="Fake can't see"):
            prompts.tokenize((_picture(5),), add_special=False)
    if not (projector and projector.hears):
        with pytest.raises(UnsupportedContent, match="Fake can't hear"):
            prompts.tokenize((Sound(wav(1)),), add_special=False)


def test_a_prompt_can_not_end_with_a_sound() -> None:
    engine = fake_engine(FakeDecoder(), projector=FakeProjector())
    with pytest.raises(InvalidRequest, match="must not end with a picture or sound"):
        engine.prepare(GenerateJob("a", (PlainText("a"), Sound(wav(1))), SamplingParams()))


def test_a_follow_up_about_a_picture_computes_neither_it_nor_what_stood_before() -> None:
    decoder = FakeDecoder()
    engine = fake_engine(decoder, projector=FakeProjector())
    greedy = SamplingParams(temperature=0)
    first = GenerateJob("1", (PlainText("look"), _picture(9), PlainText("what?")), greedy, max_tokens=3)
    text = run(engine, first).texts["1"]
    follow = run(engine, GenerateJob("2", (*first.prompt, PlainText(text + "and?")), greedy, max_tokens=3))
    assert follow.done("2").usage.cached_tokens == len("look") + 11 + len("what?") + 2
    other = run(engine, GenerateJob("3", (PlainText("look"), _picture(9, "blue"), PlainText("what?")), greedy, max_tokens=3))
    # Nothing inside a picture is shared.
    assert other.done("3").usage.cached_tokens == len("look") + 1
    assert other.texts["3"] != text
    fresh = fake_engine(FakeDecoder(), projector=FakeProjector())
    again = GenerateJob("2", (*first.prompt, PlainText(text + "and?")), greedy, max_tokens=3)
    assert run(fresh, again).texts["2"] == follow.texts["2"]


def test_tokenizing_shows_pictures_as_minus_one() -> None:
    engine = fake_engine(FakeDecoder(), projector=FakeProjector())
    assert engine.tokenize((PlainText("a"), _picture(4)), add_special=False) == (97, TOOL, -1, -1, -1, -1, TOOL)
    assert engine.detokenize((97, TOOL)) == "a<tool>"
    with pytest.raises(InvalidRequest):
        engine.detokenize((-1,))


def test_jobs_that_can_not_be_are_refused_with_the_field_to_change() -> None:
    engine = fake_engine(FakeDecoder(), projector=FakeProjector(), limit=10)
    with pytest.raises(ContextOverflow) as overflow:
        engine.prepare(say("a", "0123456789"))
    assert (overflow.value.n_prompt, overflow.value.n_ctx) == (10, 10)
    for job, param in (
        (say("a", ""), "prompt"),
        (say("a", "x", max_tokens=-1), "max_tokens"),
        (say("a", "x", sampling=SamplingParams(temperature=-1)), "temperature"),
        (say("a", "x", sampling=SamplingParams(temperature=float("nan"))), "temperature"),
        (say("a", "x", sampling=SamplingParams(top_p=2)), "top_p"),
        (say("a", "x", sampling=SamplingParams(logit_bias=((999, 1.0),))), "logit_bias"),
        (say("a", "x", stop=("s",) * 65), "stop"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            engine.prepare(job)
        assert caught.value.param == param


def test_the_space_a_tokenizer_adds_is_taken_off_the_answer() -> None:
    def writes(_tokens: object) -> int:
        return ord(" ")

    greedy = SamplingParams(temperature=0)
    vocabulary = FakeVocabulary(adds_space=True)
    after_control = GenerateJob("a", (ControlText("<s>"),), greedy, max_tokens=2)
    assert run(fake_engine(FakeDecoder(answer=writes), vocabulary=vocabulary), after_control).texts["a"] == " "
    assert run(fake_engine(FakeDecoder(answer=writes), vocabulary=vocabulary), say("b", "x", max_tokens=2)).texts["b"] == "  "
