"""What sampling parameters may be, and how an order of steps is written."""

from __future__ import annotations

import math

from app.domain.errors import InvalidRequest
from app.domain.generation import SamplerStep, SamplingParams

__all__ = ["check_sampling", "sampler_order"]

_MAX_TOKENS = 2**31 - 1
# Least and most; both are allowed.
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("temperature", 0, math.inf),
    ("dynatemp_range", 0, math.inf),
    ("dynatemp_exponent", 0, math.inf),
    ("top_k", 0, _MAX_TOKENS),
    ("top_p", 0, 1),
    ("min_p", 0, 1),
    ("typical_p", 0, 1),
    ("top_n_sigma", -math.inf, math.inf),
    ("xtc_probability", 0, 1),
    ("xtc_threshold", 0, 1),
    ("mirostat", 0, 2),
    ("mirostat_tau", 0, math.inf),
    ("mirostat_eta", 0, 1),
    ("adaptive_target", -math.inf, 1),
    ("adaptive_decay", 0, 0.99),
    ("dry_multiplier", -math.inf, math.inf),
    ("dry_base", 1, math.inf),
    ("dry_allowed_length", 0, _MAX_TOKENS),
    ("dry_penalty_last_n", -1, _MAX_TOKENS),
    # The reciprocal has to be a number, too.
    ("repeat_penalty", 1e-30, math.inf),
    ("frequency_penalty", -math.inf, math.inf),
    ("presence_penalty", -math.inf, math.inf),
    ("repeat_last_n", -1, _MAX_TOKENS),
    ("min_tokens", 0, _MAX_TOKENS),
)
_MAX_BREAKERS = 16


def check_sampling(params: SamplingParams, *, max_tokens: int | None) -> None:
    """Raises InvalidRequest that names the parameter."""
    for name, least, most in _RANGES:
        value = getattr(params, name)
        if not math.isfinite(value) or not least <= value <= most:
            raise InvalidRequest(f"{name} can't be {value}.{_bounds(least, most)}", param=name)
    if not all(bias < math.inf for _, bias in params.logit_bias):
        raise InvalidRequest("A bias must be a number below infinity.", param="logit_bias")
    if max_tokens is not None and params.min_tokens > max_tokens:
        raise InvalidRequest(
            f"min_tokens ({params.min_tokens}) can't be more than max_tokens ({max_tokens}).", param="min_tokens"
        )
    breakers = params.dry_sequence_breakers
    if len(breakers) > _MAX_BREAKERS or not all(breakers):
        message = f"dry_sequence_breakers takes up to {_MAX_BREAKERS} strings, none of them empty."
        raise InvalidRequest(message, param="dry_sequence_breakers")
    if not SamplerStep.is_order(params.samplers):
        raise InvalidRequest("samplers: each step once, 'penalties' and 'dry' before all others.", param="samplers")


def sampler_order(sequence: str) -> tuple[SamplerStep, ...] | None:
    """The order a model's file recommends, names joined by ";"; None for none, or one that can't be followed."""
    try:
        steps = tuple(SamplerStep.named(name) for name in sequence.split(";") if name.strip())
    except ValueError:
        return None
    return steps if steps and SamplerStep.is_order(steps) else None


def _bounds(least: float, most: float) -> str:
    if least > -math.inf and most < math.inf:
        return f" It goes from {least:g} to {most:g}."
    return f" It must be at least {least:g}." if least > -math.inf else ""
