"""What Hearth is meant to reach, and whether a run did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.benchmarks.results import OURS, Results, Series

__all__ = ["Verdict", "verdicts"]

_NATIVE, _PYTHON = "llama-server", "llama_cpp.server"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`met` None: something was not measured."""

    what: str
    wanted: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class _Peer:
    """A comparison of medians with the best of a family of servers, such as `llama-server` and `llama-server/passive`."""

    what: str
    scenario: str
    metric: str
    family: str
    wanted: str
    compare: Callable[[float, float], float]
    limit: float
    at_least: bool = True


def _share(ours: float, theirs: float) -> float:
    return ours / theirs


def _sooner(ours: float, theirs: float) -> float:
    return theirs / ours


def _later(ours: float, theirs: float) -> float:
    return ours - theirs


# A metric that ends in * is the last of the series whose names begin so: the longest prompt.
_PEERS = (
    _Peer("one stream", "streams", "1 stream", _NATIVE, ">= 0.98x", _share, 0.98),
    _Peer("8 streams", "streams", "8 streams", _NATIVE, ">= 1.00x", _share, 1.0),
    _Peer("reading prompts", "prompt", "prompt of *", _NATIVE, ">= 0.98x", _share, 0.98),
    _Peer("first token, short prompt", "first", "short prompt", _NATIVE, "<= +5 ms", _later, 5, at_least=False),
    _Peer("first token, short chat", "first", "short chat", _NATIVE, "<= +5 ms", _later, 5, at_least=False),
    _Peer("first token, cached prompt", "first", "* cached", _NATIVE, "<= +5 ms", _later, 5, at_least=False),
    _Peer("8 clients, one system prompt", "shared", "first token, median of 8", _NATIVE, ">= 3x sooner", _sooner, 3),
    _Peer("longest gap of a stream", "gaps", "longest gap", _NATIVE, "<= 0.50x", _share, 0.5, at_least=False),
    _Peer("JSON schema", "json", "schema", _NATIVE, ">= 1.00x", _share, 1.0),
    _Peer("8 streams, Python's server", "streams", "8 streams", _PYTHON, ">= 3x", _share, 3),
)


def verdicts(results: Results) -> list[Verdict]:
    return [*(_against_peer(results, target) for target in _PEERS), *_by_itself(results)]


def _against_peer(results: Results, target: _Peer) -> Verdict:
    what = f"{target.what}, against {target.family}"
    series = _find(results, target.scenario, target.metric)
    if series is None:
        return Verdict(what, target.wanted, "-", None)
    ours = series.median(OURS)
    theirs = series.best(name for name in series.values if name.partition("/")[0] == target.family)
    if not ours or not theirs:
        return Verdict(what, target.wanted, "-", None)
    value = target.compare(ours, theirs)
    shown = f"{value:+.1f} ms" if target.compare is _later else f"{value:.2f}x"
    return Verdict(what, target.wanted, shown, value >= target.limit if target.at_least else value <= target.limit)


def _find(results: Results, scenario: str, metric: str) -> Series | None:
    start, star, end = metric.partition("*")
    found = [
        series
        for series in results.of(scenario)
        if (series.metric.name.startswith(start) and series.metric.name.endswith(end) if star else series.metric.name == metric)
    ]
    return found[-1] if found else None


def _by_itself(results: Results) -> Iterator[Verdict]:
    bound, free = (_ours(results, "json", name) for name in ("schema", "free"))
    share = bound / free if bound and free else None
    yield _verdict("JSON schema, against the same without", ">= 0.95x", share, "{:.2f}x", lambda value: value >= 0.95)
    sooner = _ours(results, "reopen", "times sooner")
    yield _verdict("reopening after a restart", ">= 20x sooner", sooner, "{:.1f}x", lambda value: value >= 20)
    python = _ours(results, "steps", "Python outside sampling, 8 streams")
    yield _verdict("Python outside sampling, 8 streams", "< 150 us a step", python, "{:.0f} us", lambda value: value < 150)
    memory = _ours(results, "memory", "worker above the model's own")
    yield _verdict("worker's memory above the model's own", "< 150 MB", memory, "{:.0f} MB", lambda value: value < 150)


def _ours(results: Results, scenario: str, metric: str) -> float | None:
    series = results.find(scenario, metric)
    return None if series is None else series.median(OURS)


def _verdict(what: str, wanted: str, value: float | None, form: str, is_met: Callable[[float], bool]) -> Verdict:
    if value is None:
        return Verdict(what, wanted, "-", None)
    return Verdict(what, wanted, form.format(value), is_met(value))
