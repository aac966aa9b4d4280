"""Rows of logits as models make them, and sampling parameters that differ from no truncation at all."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from app.domain.generation import SamplingParams
from app.engine.decoder import FloatArray

__all__ = ["OPEN", "params_of", "random_row", "told"]

OPEN = SamplingParams(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)


def random_row(seed: int, n: int = 5000) -> FloatArray:
    """A few dozen likely tokens and a long tail."""
    rng = np.random.default_rng(seed)
    row = (rng.standard_normal(n) * 2 - 4).astype(np.float32)
    hot = rng.integers(0, n, 60)
    row[hot] += rng.uniform(4, 18, 60).astype(np.float32)
    return row


def params_of(**changes: object) -> SamplingParams:
    return replace(OPEN, **changes)  # type: ignore[arg-type]


def told(value: object) -> str:
    """What a case changes, as its name."""
    if not isinstance(value, SamplingParams):
        return str(value)
    names = [field.name for field in fields(value) if getattr(value, field.name) != getattr(OPEN, field.name)]
    return ",".join(f"{name}={getattr(value, name)}" for name in names) or "open"
