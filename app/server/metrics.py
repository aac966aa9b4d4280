"""What the server has done and what models hold, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from app.domain.generation import Timings, Usage
from app.domain.models import LoadedModel, ModelState
from app.domain.stats import EngineStats
from app.engine.host_memory import resident_bytes

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
# Requests for what is no endpoint share one name, so that nobody can make up new ones.
_OTHER = "other"


class Metrics:
    """Owned by the service loop. Nothing in it says what anybody wrote, and only installed models are named."""

    def __init__(self, loaded: Callable[[], Sequence[LoadedModel]]) -> None:
        """`loaded` tells which models are in memory when somebody asks."""
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "hearth_requests", "Answered requests, 499 where the client left.", ["endpoint", "status"], registry=registry
        )
        self._durations = Histogram(
            "hearth_request_duration_seconds",
            "From the first byte of a request to the last of its answer.",
            ["endpoint"],
            registry=registry,
            buckets=_SECONDS,
        )
        self._running = Gauge("hearth_requests_in_progress", "Requests that are being answered.", registry=registry)
        self._tokens = {
            name: Counter(f"hearth_{name}_tokens", help, registry=registry)
            for name, help in (
                ("prompt", "Tokens of prompts and inputs."),
                ("cached_prompt", "Tokens of prompts that had been computed before."),
                ("completion", "Tokens of answers, reasoning included."),
                ("reasoning", "Tokens of reasoning."),
            )
        }
        self._first_token = Histogram(
            "hearth_time_to_first_token_seconds",
            "From the arrival at a loaded model to the first token, the wait for a place included.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._token = Histogram(
            "hearth_time_per_output_token_seconds",
            "Between the tokens of one answer, on average.",
            registry=registry,
            buckets=_TOKEN_SECONDS,
        )
        registry.register(_Models(loaded))
        ProcessCollector(registry=registry)

    def begun(self) -> None:
        self._running.inc()

    def ended(self, endpoint: str | None, status: int | None, seconds: float) -> None:
        """Count a request that has been answered. `endpoint` is None where there is none at its path."""
        self._running.dec()
        name = endpoint or _OTHER
        self._requests.labels(name, str(status)).inc()
        self._durations.labels(name).observe(seconds)

    def generated(self, usage: Usage, timings: Timings | None) -> None:
        """Count what has been read and written for a request, which may have been answered before."""
        self._tokens["prompt"].inc(usage.prompt_tokens)
        self._tokens["cached_prompt"].inc(usage.cached_tokens)
        self._tokens["completion"].inc(usage.completion_tokens)
        self._tokens["reasoning"].inc(usage.reasoning_tokens)
        if timings is None or not usage.completion_tokens:
            return
        self._first_token.observe(timings.queue_s + timings.prompt_s)
        if usage.completion_tokens > 1:
            self._token.observe(timings.generation_s / (usage.completion_tokens - 1))

    def text(self, accept: str) -> tuple[bytes, str]:
        """All of it in one of Prometheus' formats, and the content type of that."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Models(Collector):
    """Reads off the loaded models what they are when somebody asks. Counters begin at 0 again with each load."""

    def __init__(self, loaded: Callable[[], Sequence[LoadedModel]]) -> None:
        self._loaded = loaded

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        models = self._loaded()
        states = GaugeMetricFamily("hearth_model_state", "1 for the state a model is in.", labels=["model", "state"])
        for model in models:
            states.add_metric([model.id, model.state.value], 1)
        yield states
        ready = [model for model in models if model.state is ModelState.READY]
        for name, help, read in _STANDING:
            gauge = GaugeMetricFamily(f"hearth_model_{name}", help, labels=["model"])
            for model in ready:
                gauge.add_metric([model.id], read(model))
            yield gauge
        yield from _engines([(model.id, model.stats) for model in ready if model.stats is not None])


_STANDING: tuple[tuple[str, str, Callable[[LoadedModel], float]], ...] = (
    ("memory_bytes", "What it takes of all devices, as planned.", lambda model: model.memory_bytes),
    (
        "process_resident_bytes",
        "What of its process is in RAM.",
        lambda model: resident_bytes(model.pid) if model.pid is not None else 0,
    ),
    ("context_tokens", "The context it is loaded with.", lambda model: model.n_ctx),
    ("gpu_layers", "Its layers on GPUs.", lambda model: model.n_gpu_layers),
    ("users", "Requests that hold it.", lambda model: model.active_requests),
)

_ENGINE_GAUGES = (
    ("active", "requests_running", "Answers that are being computed."),
    ("waiting", "requests_waiting", "Answers that wait for a place."),
    ("parked", "parked_sequences", "Finished sequences that are kept for prompts to come."),
    ("cells", "cells", "Tokens that fit into its memory."),
    ("cells_used", "cells_used", "Tokens in its memory."),
    ("saved_bytes", "saved_bytes", "Copies of sequences in the host's memory."),
)
_ENGINE_COUNTERS = (
    ("steps", "steps", "Batches computed."),
    ("prompt_tokens", "prompt_tokens", "Tokens of prompts."),
    ("cached_tokens", "cached_prompt_tokens", "Tokens of prompts that had been computed before."),
    ("written_tokens", "completion_tokens", "Tokens of answers."),
    ("drafted", "draft_tokens", "Tokens guessed ahead."),
    ("accepted", "draft_tokens_accepted", "Tokens guessed right."),
    ("preempted", "preempted_requests", "Answers that had to give way for a while."),
)
_PHASES = ("fill", "decode", "sample", "post", "send")


def _engines(engines: Sequence[tuple[str, EngineStats]]) -> Iterator[Metric]:
    for field, name, help in _ENGINE_GAUGES:
        gauge = GaugeMetricFamily(f"hearth_engine_{name}", help, labels=["model"])
        for model, stats in engines:
            gauge.add_metric([model], getattr(stats, field))
        yield gauge
    for field, name, help in _ENGINE_COUNTERS:
        counter = CounterMetricFamily(f"hearth_engine_{name}", help, labels=["model"])
        for model, stats in engines:
            counter.add_metric([model], getattr(stats, field))
        yield counter
    seconds = CounterMetricFamily("hearth_engine_seconds", "Where its time goes.", labels=["model", "phase"])
    for model, stats in engines:
        for phase in _PHASES:
            seconds.add_metric([model, phase], getattr(stats, f"{phase}_s"))
    yield seconds
