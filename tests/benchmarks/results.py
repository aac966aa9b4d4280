"""What has been measured, and how it compares."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.benchmarks.scenarios import Metric

__all__ = ["OURS", "Key", "Results", "Series"]

OURS = "hearth"


@dataclass(frozen=True, slots=True)
class Key:
    scenario: str
    metric: str


@dataclass(slots=True)
class Series:
    """One figure of every server, one value per repetition."""

    metric: Metric
    values: dict[str, list[float]] = field(default_factory=dict)

    def median(self, server: str) -> float | None:
        values = self.values.get(server)
        return statistics.median(values) if values else None

    def best(self, servers: Iterable[str]) -> float | None:
        """The best median of several servers, such as one program with different settings."""
        medians = [median for server in servers if (median := self.median(server)) is not None]
        if not medians:
            return None
        return max(medians) if self.metric.more_is_better else min(medians)

    def gain(self, server: str) -> float | None:
        """How many times better Hearth's median is than a server's; above 1 is better whatever the figure means."""
        ours, theirs = self.median(OURS), self.median(server)
        if not ours or not theirs:
            return None
        return ours / theirs if self.metric.more_is_better else theirs / ours


@dataclass(slots=True)
class Results:
    """All figures of one model, and why some are missing."""

    model: str
    series: dict[Key, Series] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, scenario: str, metrics: Iterable[Metric], server: str, figures: Mapping[str, float]) -> None:
        for metric in metrics:
            if metric.name in figures:
                series = self.series.setdefault(Key(scenario, metric.name), Series(metric))
                series.values.setdefault(server, []).append(figures[metric.name])

    def fail(self, scenario: str, server: str, why: str) -> None:
        """Remember the first reason why a server has no figures for a scenario."""
        self.failures.setdefault((scenario, server), why)

    def of(self, scenario: str) -> Iterator[Series]:
        return (series for key, series in self.series.items() if key.scenario == scenario)

    def find(self, scenario: str, metric: str) -> Series | None:
        return self.series.get(Key(scenario, metric))

    def as_json(self) -> dict[str, Any]:
        figures = [{**asdict(key), "unit": series.metric.unit, "values": series.values} for key, series in self.series.items()]
        failures = [{"scenario": name, "server": server, "why": why} for (name, server), why in self.failures.items()]
        return {"model": self.model, "figures": figures, "failures": failures}
