"""The benchmarks measure what they say: their models are real ones, their client reads what servers send, and a run works."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from app.domain.generation import FinishReason, SamplingParams
from app.domain.prompt import PlainText
from app.engine.loading import load_engine
from app.engine.protocol import Done, EngineConfig, GenerateJob
from tests.benchmarks import bench_http
from tests.benchmarks.__main__ import main
from tests.benchmarks.client import EventLines, HttpReader
from tests.benchmarks.models import SHAPES, Shape, write_model
from tests.benchmarks.prompts import Texts
from tests.benchmarks.results import Results
from tests.benchmarks.scenarios import Metric
from tests.benchmarks.targets import verdicts
from tests.benchmarks.vocabulary import Vocabulary
from tests.benchmarks.weights import BLOCK_WRITERS, random_tensor

_ROOT = Path(__file__).parents[1]


# -------------------------------------------------------------------------------------------------------------- the models
def _small(architecture: str) -> Shape:
    heads_kv = (0, 2) if architecture == "lfm2" else 2
    window = 32 if architecture == "gemma3" else 0
    return Shape(architecture, "", 2, 256, 512, 4, heads_kv, 64, Kind.Q4_0, Kind.Q6_K, window=window)


@pytest.mark.parametrize("kind", BLOCK_WRITERS)
def test_random_blocks_have_the_spread_asked_for(kind: Kind) -> None:
    values = gguf.quants.dequantize(random_tensor((64, 1024), kind, 0.05, np.random.default_rng(1)), kind)
    assert values.size == 64 * 1024
    assert float(values.std()) == pytest.approx(0.05, rel=0.05)
    assert abs(float(values.mean())) < 0.002


def test_rows_that_fill_no_whole_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 256 weights, not 576"):
        random_tensor((2, 576), Kind.Q6_K, 1.0, np.random.default_rng(1))


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_fits_its_block_formats(name: str) -> None:
    shape = SHAPES[name]
    for columns in (shape.width, shape.ff, shape.heads * shape.head):
        assert columns % BLOCK_WRITERS[shape.body].n_weights == 0
    assert shape.width % BLOCK_WRITERS[shape.embedding].n_weights == 0
    assert isinstance(shape.heads_kv, int) or len(shape.heads_kv) == shape.layers


def test_the_same_shape_gives_the_same_file(tmp_path: Path, ember_path: Path) -> None:
    vocabulary = Vocabulary(ember_path)
    for name in ("one", "two"):
        write_model(tmp_path / name, _small("llama"), vocabulary, name="Small")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_only_whole_text_can_be_said(tmp_path: Path, ember_path: Path) -> None:
    vocabulary = Vocabulary(ember_path)
    write_model(tmp_path / "model.gguf", _small("llama"), vocabulary, name="Small")
    (embedding,) = [t for t in gguf.GGUFReader(tmp_path / "model.gguf").tensors if t.name == "token_embd.weight"]
    rows = gguf.quants.dequantize(embedding.data, embedding.tensor_type)
    assert np.array_equal(rows.any(axis=1), vocabulary.speakable)
    assert 0 < vocabulary.speakable.sum() < vocabulary.n_tokens


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "lfm2"])
def test_a_random_model_writes_to_the_limit(tmp_path: Path, ember_path: Path, architecture: str) -> None:
    path = tmp_path / "model.gguf"
    write_model(path, _small(architecture), Vocabulary(ember_path), name="Small")
    engine = load_engine(EngineConfig(path, n_ctx=512, n_threads=1), on_progress=lambda _fraction: True)
    job = GenerateJob("a", (PlainText("hello there"),), SamplingParams(temperature=0.8, seed=1), max_tokens=24)
    engine.submit(engine.prepare(job))
    events = [event for _ in iter(lambda: engine.busy, False) for event in engine.step()]
    engine.close()
    done = events[-1]
    assert isinstance(done, Done)
    assert (done.reason, done.usage.completion_tokens) == (FinishReason.LENGTH, 24)


def test_texts_differ_from_their_first_words_on() -> None:
    texts = Texts("seed")
    starts = {texts.words(50, "prompt", i)[:30] for i in range(20)}
    assert len(starts) == 20
    assert texts.words(50, "prompt", 1) == Texts("seed").words(50, "prompt", 1) != Texts("other").words(50, "prompt", 1)


# --------------------------------------------------------------------------------------------------------------- the client
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_stream_is_read_wherever_its_packets_break(size: int) -> None:
    frames = [
        b'data: {"choices":[{"text":"a"}]}\r\n\r\n',
        b": ping\n\n",
        b'data: {"usage":{"total_tokens":3}}\n\ndata: [DONE]\n\n',
    ]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(frame), frame) for frame in frames)
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    reader, lines = HttpReader(), EventLines()
    bodies = [reader.read(raw[at : at + size]) for at in range(0, len(raw), size)]
    events = [event for body in bodies for event in lines.events(body)]
    assert reader.status == 200
    assert events == [{"choices": [{"text": "a"}]}, {"usage": {"total_tokens": 3}}]


# -------------------------------------------------------------------------------------------------------------- the verdicts
def test_a_target_is_judged_against_the_best_of_a_family() -> None:
    results = Results("model")
    rate = Metric("8 streams", "tokens/s", more_is_better=True)
    for server, values in {"hearth": (99, 101, 500), "llama-server": (20,), "llama-server/passive": (110,)}.items():
        for value in values:
            results.add("streams", (rate,), server, {"8 streams": value})
    verdict = next(v for v in verdicts(results) if v.what == "8 streams, against llama-server")
    assert (verdict.measured, verdict.met) == ("0.92x", False)
    assert math.isclose(results.find("streams", "8 streams").gain("llama-server") or 0, 101 / 20)  # type: ignore[union-attr]
    unmeasured = next(v for v in verdicts(results) if v.what.startswith("longest gap"))
    assert unmeasured.met is None


# -------------------------------------------------------------------------------------------------------------------- a run
def test_a_quick_run_measures_hearth_beside_another_server(
    tmp_path: Path, ember_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other server is a second Hearth."""
    twin = (
        f"twin=PYTHONPATH='{_ROOT}' '{sys.executable}' -m app serve --port {{port}} --profile '{tmp_path / 'twin'}'"
        " --model '{model}' --parallel {parallel} --ctx-size {ctx} --threads {threads}"
    )
    sizes = ("--quick", "--ctx-size", "1024", "--parallel", "4", "--threads", "1")
    file = tmp_path / "figures.json"
    main(["--models", str(ember_path), "--scenarios", "first", "--start", twin, "--json", str(file), *sizes])
    shown = capsys.readouterr().out
    (row,) = [line for line in shown.splitlines() if line.startswith("short chat")]
    name, unit, ours, theirs, gain = row.rsplit(maxsplit=4)
    assert (name, unit) == ("short chat", "ms")
    assert float(gain.rstrip("x")) == pytest.approx(float(theirs) / float(ours), abs=0.02)
    assert "failed" not in shown
    (result,) = json.loads(file.read_text())
    assert {"hearth", "twin"} == {server for figure in result["figures"] for server in figure["values"]}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--models", "7b"], "--models: '7b' is neither one of"),
        (["--scenarios", "speed"], "--scenarios: 'speed' is none of"),
        (["--peer", "http://127.0.0.1:1"], "should be NAME=URL"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], reason: str) -> None:
    with pytest.raises(SystemExit, match=reason):
        main(arguments)


def test_the_cost_of_the_http_layer_is_measured(tmp_path: Path) -> None:
    costs = asyncio.run(bench_http.measured(tmp_path, n_tokens=200, n_streams=2, n_first=3))
    assert len(costs.first_s) == 3
    assert len(costs.token_s) == 2
    assert min(*costs.first_s, *costs.token_s) > 0
