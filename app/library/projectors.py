"""Which projector (the part that turns pictures or sound into embeddings) belongs to which model."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

from app.library.gguf import GgufHeader
from app.library.headers import GgufFile
from app.library.names import base_name, quantization_in

__all__ = ["PROJECTOR_PREFERENCE", "best_projector", "core_name"]

# F16 is what models are published with; F32 doubles the size for nothing.
PROJECTOR_PREFERENCE: Final = ("F16", "BF16", "Q8_0", "F32")
# Projector types that name the family of the models they were made for.
_FAMILIES: Final = ("gemma", "qwen", "llama4", "lfm2")


def best_projector(model: GgufFile, candidates: Iterable[GgufFile]) -> GgufFile | None:
    """The candidate whose output fits the model; the closest name, then the usual precision, decide between several."""
    header = model.header
    if header is None:
        return None
    fitting = [file for file in candidates if file.problem is None and file.header is not None and _fits(file.header, header)]
    return max(fitting, key=lambda file: _rank(file, model), default=None)


def core_name(stem: str) -> str:
    """What is left of a name without "mmproj", "vision" and the quantization, to compare names by."""
    return re.sub(r"[-._]*(mmproj|vision|model)[-._]*", "-", base_name(stem), flags=re.IGNORECASE).strip("-._").casefold()


def _fits(projector: GgufHeader, model: GgufHeader) -> bool:
    # Old ones, as Ollama has some, do not say of which type they are, and llama.cpp does not guess it.
    if model.n_embd not in projector.widths or not projector.projector_type:
        return False
    family = next((name for name in _FAMILIES if projector.projector_type.startswith(name)), None)
    return family is None or model.architecture.startswith(family)


def _rank(projector: GgufFile, model: GgufFile) -> tuple[bool, float, int, str]:
    assert projector.header is not None
    assert model.header is not None
    likeliest = projector.header.widths[0] == model.header.n_embd
    closeness = difflib.SequenceMatcher(None, core_name(projector.path.stem), core_name(model.path.stem)).ratio()
    precision = quantization_in(projector.path.stem) or projector.header.quantization
    order = PROJECTOR_PREFERENCE.index(precision) if precision in PROJECTOR_PREFERENCE else len(PROJECTOR_PREFERENCE)
    return (likeliest, round(closeness, 3), -order, projector.path.name)
