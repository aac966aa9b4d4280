"""How a model's file recommends to sample: `general.sampling.*` of its header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.domain.generation import SamplingChoice
from app.engine.sampling_checks import sampler_order

__all__ = ["recommended_sampling"]

# Key in the file, our name, and the range that makes sense: every key of `general.sampling` that llama.cpp knows.
_RECOMMENDED = (
    ("temp", "temperature", 0.0, 100.0),
    ("top_k", "top_k", 0, 1_000_000),
    ("top_p", "top_p", 0.0, 1.0),
    ("min_p", "min_p", 0.0, 1.0),
    ("xtc_probability", "xtc_probability", 0.0, 1.0),
    ("xtc_threshold", "xtc_threshold", 0.0, 1.0),
    ("penalty_repeat", "repeat_penalty", 0.01, 100.0),
    ("penalty_last_n", "repeat_last_n", -1, 1_000_000),
    ("mirostat", "mirostat", 0, 2),
    ("mirostat_tau", "mirostat_tau", 0.0, 100.0),
    ("mirostat_eta", "mirostat_eta", 0.0, 1.0),
)
_WHOLE = ("top_k", "repeat_last_n", "mirostat")


def recommended_sampling(metadata: Callable[[str], object]) -> SamplingChoice:
    """`metadata` gives the value of a key, as a number or a text; anything else if there is none.

    What no request may ask for is left out.
    """
    given: dict[str, Any] = {
        name: _number(metadata(f"general.sampling.{key}"), least, most) for key, name, least, most in _RECOMMENDED
    }
    given |= {name: int(given[name]) for name in _WHOLE if given[name] is not None}
    sequence = metadata("general.sampling.sequence")
    return SamplingChoice(**given, samplers=sampler_order(sequence if isinstance(sequence, str) else ""))


def _number(told: object, least: float, most: float) -> float | None:
    try:
        value = float(told) if isinstance(told, (int, float, str)) else None
    except ValueError:
        return None
    return value if value is not None and least <= value <= most else None
