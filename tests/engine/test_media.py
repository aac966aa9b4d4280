"""Pictures and sound on tiny random models, one per way of reading them, compared with fresh computations."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.domain.errors import InvalidRequest, UnsupportedContent
from app.domain.generation import SamplingParams
from app.domain.prompt import Picture, PlainText, PromptSegment, Sound
from app.engine.engine import Engine
from app.engine.llama.projector import LlamaProjector
from app.engine.loading import load_engine
from app.engine.protocol import EngineConfig, GenerateJob, Tokens
from tests.engine import tiny_projectors
from tests.engine.fakes import Run, run
from tests.engine.tiny_models import write_gemma3, write_llama, write_qwen2vl
from tests.engine.tiny_sounds import flac, mp3, wav

Write = Callable[[Path, Path], Path]


@dataclass(frozen=True, slots=True)
class Kind:
    model: Write
    projector: Callable[[Path], Path]


SEEING = {
    "grid": Kind(write_qwen2vl, tiny_projectors.write_qwen2vl_projector),
    "whole": Kind(write_gemma3, tiny_projectors.write_gemma3_projector),
    "tiles": Kind(write_llama, tiny_projectors.write_internvl_projector),
}
HEARING = {
    "sound": Kind(write_llama, tiny_projectors.write_qwen2a_projector),
    "both": Kind(write_qwen2vl, tiny_projectors.write_omni_projector),
}
TILES = SEEING["tiles"]


class Maker:
    """Loads engines and closes them at the end."""

    def __init__(self, folder: Path, tokenizer: Path) -> None:
        self._folder = folder
        self._tokenizer = tokenizer
        self._engines: list[Engine] = []

    def __call__(self, kind: Kind, **options: Any) -> Engine:
        model, projector = self._folder / "model.gguf", self._folder / "projector.gguf"
        config = EngineConfig(kind.model(model, self._tokenizer), kind.projector(projector), n_threads=1, **options)
        self._engines.append(load_engine(config, on_progress=lambda _fraction: True))
        return self._engines[-1]

    def close(self) -> None:
        for engine in self._engines:
            engine.close()


@pytest.fixture
def make(tmp_path: Path, ember_path: Path) -> Iterator[Maker]:
    maker = Maker(tmp_path, ember_path)
    yield maker
    maker.close()


def picture(seed: int, size: tuple[int, int] = (40, 30)) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 5, size[0] // 5, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).save(file, "PNG")
    return Picture(file.getvalue())


def ask(*segments: PromptSegment | str) -> GenerateJob:
    prompt = tuple(PlainText(part) if isinstance(part, str) else part for part in segments)
    return GenerateJob("a", prompt, SamplingParams(temperature=0), max_tokens=4, top_logprobs=20)


def projector_of(engine: Engine) -> LlamaProjector:
    projector = engine._prompts._projector
    assert isinstance(projector, LlamaProjector)
    return projector


def tops(result: Run) -> list[dict[int, float]]:
    """The likeliest tokens of each step."""
    pieces = [piece for event in result.events if isinstance(event, Tokens) for piece in event.pieces]
    return [{one.token_id: one.logprob for one in piece.logprob.top} for piece in pieces if piece.logprob]


def assert_alike(one: Run, other: Run) -> None:
    """The same tokens, from the same distributions: reading a prompt in other chunks moves them by up to 0.01."""
    assert one.ids == other.ids
    assert tops(one)
    for ours, theirs in zip(tops(one), tops(other), strict=True):
        shared = ours.keys() & theirs.keys()
        assert len(shared) >= 18
        assert max(abs(ours[token] - theirs[token]) for token in shared) < 2e-2


@pytest.mark.parametrize("kind", SEEING.values(), ids=SEEING)
def test_a_follow_up_encodes_nothing_and_is_as_if_computed_anew(make: Maker, kind: Kind) -> None:
    engine = make(kind)
    first = run(engine, ask("Look: ", picture(1), " What is it?"))
    encoded = projector_of(engine).n_encodings
    follow = ask("Look: ", picture(1), " What is it?", first.texts["a"], " And?")
    result = run(engine, follow)
    assert projector_of(engine).n_encodings == encoded > 0
    assert result.done("a").usage.cached_tokens >= first.done("a").usage.prompt_tokens
    assert_alike(result, run(make(kind), follow))


@pytest.mark.parametrize("kind", SEEING.values(), ids=SEEING)
def test_a_prompt_that_differs_after_a_picture_goes_on_from_there(make: Maker, kind: Kind) -> None:
    engine = make(kind)
    run(engine, ask("Look: ", picture(1), " one", picture(2), " end"))
    other = ask("Look: ", picture(1), " one", picture(3), " end")
    result = run(engine, other)
    if kind.model is not write_gemma3:
        # Up to where the second picture begins; a sliding window does not reach back there.
        shared = len(engine.tokenize(ask("Look: ", picture(1), " one").prompt, add_special=True))
        assert result.done("a").usage.cached_tokens >= shared
    assert_alike(result, run(make(kind), other))


@pytest.mark.parametrize("kind", SEEING.values(), ids=SEEING)
def test_pictures_of_several_requests_do_not_mix(make: Maker, kind: Kind) -> None:
    jobs = [GenerateJob(str(i), ask("See ", picture(i), " and say").prompt, SamplingParams(temperature=0), 4) for i in range(3)]
    together = run(make(kind), *jobs)
    for job in jobs:
        assert run(make(kind), job).ids[job.id] == together.ids[job.id]


def test_a_picture_that_does_not_fit_into_a_batch_is_refused_with_what_to_change(make: Maker) -> None:
    engine = make(SEEING["whole"], n_batch=48, n_ubatch=48)
    with pytest.raises(InvalidRequest, match="takes 64 tokens, but a batch has room for 48"):
        engine.prepare(ask("a", picture(1), "b"))
    assert run(engine, ask("still there?")).ids["a"]


@pytest.mark.parametrize("kind", HEARING.values(), ids=HEARING)
@pytest.mark.parametrize("data", [wav(1), wav(0.5, rate=44100, channels=2, kind="<f4"), mp3(1), flac(1.024)])
def test_a_follow_up_about_a_sound_encodes_nothing(make: Maker, kind: Kind, data: bytes) -> None:
    engine = make(kind)
    assert engine.info.hears
    first = run(engine, ask("Listen: ", Sound(data), " What was it?"))
    assert first.done("a").usage.prompt_tokens > 750
    follow = ask("Listen: ", Sound(data), " What was it?", first.texts["a"], " And?")
    result = run(engine, follow)
    assert projector_of(engine).n_encodings == 1
    assert result.done("a").usage.cached_tokens >= first.done("a").usage.prompt_tokens
    assert_alike(result, run(make(kind), follow))


def test_a_long_sound_takes_several_stretches(make: Maker) -> None:
    engine = make(HEARING["sound"])
    ids = engine.tokenize((Sound(wav(31)),), add_special=False)
    assert sum(token < 0 for token in ids) == 2 * 750


def test_sound_matters(make: Maker) -> None:
    engine = make(HEARING["sound"])
    low, high = (tops(run(engine, ask("Listen: ", Sound(wav(2, pitch=pitch)), " What was it?")))[0] for pitch in (200, 3000))
    assert max(abs(low[token] - high[token]) for token in low.keys() & high.keys()) > 0.01


def test_one_model_reads_pictures_and_sound_in_one_prompt(make: Maker) -> None:
    engine = make(HEARING["both"])
    job = ask("See ", picture(1), " and hear ", Sound(wav(1)), ".")
    assert_alike(run(engine, job), run(make(HEARING["both"]), job))
    assert projector_of(engine).n_encodings == 2


def test_a_sound_that_is_no_number_is_refused(make: Maker) -> None:
    data = bytearray(wav(1, kind="<f4"))
    data[-4:] = b"\0\0\xc0\x7f"
    with pytest.raises(InvalidRequest, match="no usable samples"):
        make(HEARING["sound"]).prepare(ask("a", Sound(bytes(data)), "b"))


def test_what_a_model_can_not_perceive_is_refused_by_name(make: Maker) -> None:
    with pytest.raises(UnsupportedContent, match="can't see"):
        make(HEARING["sound"]).prepare(ask("a", picture(1), "b"))
    with pytest.raises(UnsupportedContent, match="can't hear"):
        make(TILES).prepare(ask("a", Sound(wav(1)), "b"))


@pytest.mark.parametrize("kind", SEEING.values(), ids=SEEING)
def test_many_pictures_in_a_small_context_are_answered_as_each_alone(make: Maker, kind: Kind) -> None:
    """Cells run short within and between pictures: sequences are put off, saved, and go on where they were."""
    jobs = [
        GenerateJob(
            str(i),
            ask(f"Number {i}: ", picture(i, (64, 40)), " and ", picture(i + 1, (64, 40)), " are?" + " Why?" * i).prompt,
            SamplingParams(temperature=0),
            max_tokens=60,
        )
        for i in range(6)
    ]
    together = run(make(kind, n_ctx=512, n_parallel=4), *jobs)
    roomy = make(kind, n_ctx=2048, n_parallel=1)
    for job in jobs:
        alone = run(roomy, replace(job, top_logprobs=2))
        pairs = zip(together.ids[job.id], alone.ids[job.id], strict=True)
        differs = next((at for at, (ours, theirs) in enumerate(pairs) if ours != theirs), None)
        if differs is not None:
            # Rounding may tip a choice between two that are as likely.
            first, second = sorted(tops(alone)[differs].values(), reverse=True)[:2]
            assert first - second < 0.05


@pytest.mark.parametrize("kind", SEEING.values(), ids=SEEING)
def test_a_conversation_about_a_picture_goes_on_after_a_restart(make: Maker, kind: Kind, tmp_path: Path) -> None:
    options: dict[str, Any] = {"cache_folder": tmp_path / "cache", "cache_disk_bytes": 10**8}
    before = make(kind, **options)
    first = replace(ask("Look: ", picture(1), " What is it?" + " Look well." * 30), owner="c")
    text = run(before, first).texts["a"]
    before.keep()
    before.close()
    after = make(kind, **options)
    follow = replace(first, prompt=(*first.prompt, PlainText(text + " And?")))
    result = run(after, follow)
    assert projector_of(after).n_encodings == 0
    assert result.done("a").usage.cached_tokens > 100
    assert_alike(result, run(make(kind), follow))
