"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.results import OURS, Results, Series
from tests.benchmarks.targets import Verdict

__all__ = ["print_scenario", "print_table", "print_verdicts"]


def print_scenario(results: Results, scenario: str, about: str, servers: Sequence[str]) -> None:
    """One row per figure: median and range of each server, and how many times better Hearth is than each other."""
    others = [name for name in servers if name != OURS]
    head = [f"{scenario}: {about}", "unit", *servers, *(f"vs {name}" for name in others)]
    rows = [
        [
            series.metric.name,
            series.metric.unit,
            *(_cell(series, name) for name in servers),
            *(_gain(series, name) for name in others),
        ]
        for series in results.of(scenario)
    ]
    print()
    print_table(head, rows)
    for (failed, server), why in results.failures.items():
        if failed == scenario:
            print(f"  {server} failed: {why}")


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    print()
    rows = [[verdict.what, verdict.wanted, verdict.measured, _word(verdict.met)] for verdict in verdicts]
    print_table(["target", "wanted", "measured", ""], rows)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, ["-" * width for width in widths], *rows):
        first, *rest = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join((first, *rest)).rstrip(), flush=True)


def _cell(series: Series, server: str) -> str:
    values, median, digits = series.values.get(server), series.median(server), series.metric.digits
    if not values or median is None:
        return "-"
    if len(values) == 1:
        return f"{median:.{digits}f}"
    return f"{median:.{digits}f} [{min(values):.{digits}f}..{max(values):.{digits}f}]"


def _gain(series: Series, server: str) -> str:
    gain = series.gain(server)
    return "-" if gain is None else f"{gain:.2f}x"


def _word(met: bool | None) -> str:
    if met is None:
        return "not measured"
    return "met" if met else "NOT MET"
