"""What a Modelfile says of sampling, as Ollama keeps it: JSON with its own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.domain.generation import SamplingChoice

__all__ = ["sampling_of"]

# Its name, which is ours too, and the range that makes sense.
_RANGES: Final = {
    "temperature": (0.0, 100.0),
    "top_k": (0, 1_000_000),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "repeat_penalty": (0.01, 100.0),
    "repeat_last_n": (-1, 1_000_000),
    "presence_penalty": (-100.0, 100.0),
    "frequency_penalty": (-100.0, 100.0),
    "mirostat": (0, 2),
    "mirostat_tau": (0.0, 100.0),
    "mirostat_eta": (0.0, 1.0),
}


def sampling_of(params: Mapping[str, Any]) -> SamplingChoice:
    """Without what no request may ask for."""
    given: dict[str, Any] = {}
    for name, (least, most) in _RANGES.items():
        value = params.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most:
            given[name] = int(value) if isinstance(most, int) else float(value)
    return SamplingChoice(**given)
