from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from PySide6.QtCore import QLocale

from app.domain.models import Capability, ModelSource
from app.gui.figures import (
    age_text,
    capability_text,
    context_text,
    count_text,
    duration_text,
    name_among,
    parameters_text,
    size_text,
    source_text,
    speed_text,
)
from tests.gui.stand_ins import a_model


@pytest.fixture(autouse=True)
def english() -> None:
    QLocale.setDefault(QLocale.c())


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "2 kB"), (12_800_000, "12.8 MB"), (650_000_000, "650 MB"), (4_368_439_584, "4.4 GB")],
)
def test_sizes_are_decimal(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.84, "0.8 s"), (45, "45 s"), (180, "3 min"), (4800, "1 h 20 min")])
def test_durations_are_rounded_to_what_matters(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(("n_ctx", "text"), [(0, "not stated"), (131072, "128K tokens"), (1000, "1000 tokens")])
def test_context_lengths(n_ctx: int, text: str) -> None:
    assert context_text(n_ctx) == text


def test_speed_and_parameters() -> None:
    assert speed_text(23_000_000) == "23.0 MB/s"
    assert parameters_text(7_241_732_096) == "7.2 billion"
    assert parameters_text(5_000_000) == "5.0 million"
    assert parameters_text(0) == "not stated"


def test_every_capability_and_source_has_a_word() -> None:
    assert len({capability_text(one) for one in Capability}) == len(Capability)
    assert len({source_text(one) for one in ModelSource}) == len(ModelSource)


def test_two_models_of_one_name_are_told_apart() -> None:
    built_in, downloaded = a_model("ember", name="Ember"), a_model("Ember-F16", name="Ember")
    other = a_model("second-model")
    models = (built_in, downloaded, other)
    assert [name_among(models, model) for model in models] == ["Ember", "Ember (Ember-F16)", "Second Model"]
    assert name_among((downloaded,), downloaded) == "Ember"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (950, "950"), (999, "999"), (1234, "1.2 k"), (735_000, "735 k"), (1_234_567, "1.2 M")]
)
def test_counts_are_rounded(count: int, text: str) -> None:
    assert count_text(count) == text


@pytest.mark.parametrize(
    ("days", "text"), [(0, "today"), (1, "yesterday"), (12, "12 days ago"), (90, "3 months ago"), (1000, "3 years ago")]
)
def test_ages_are_told_in_whole_days_months_and_years(days: int, text: str) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert age_text(now - timedelta(days=days, hours=1), now) == text
