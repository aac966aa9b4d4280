"""Which draft model (a small one that guesses ahead) belongs to which model."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from app.library.gguf import GgufHeader, GgufKind
from app.library.headers import GgufFile
from app.library.names import base_name

__all__ = ["best_draft", "is_draft_by_name"]

_WORDS: Final = re.compile(r"(?<![a-z])(draft|drafter|mtp|eagle3|dflash|dspark|assistant)(?![a-z])", re.IGNORECASE)
# A whole model guesses for another only if it is a good deal smaller.
_SMALLER: Final = 3


def is_draft_by_name(path: Path) -> bool:
    """Whether a whole model is published as the draft of another: its header does not say so."""
    name = path.name.casefold()
    return "draft" in name and re.search(r"(?<![a-z])draft(?![a-z])", name) is not None


def best_draft(model: GgufFile, candidates: Iterable[GgufFile]) -> GgufFile | None:
    """The candidate that was made for the model; the closest name decides between several."""
    header = model.header
    if header is None:
        return None
    fitting = [file for file in candidates if file.problem is None and file.header is not None and _fits(file.header, header)]
    return max(fitting, key=lambda file: (_closeness(file, model), file.path.name), default=None)


def _fits(draft: GgufHeader, model: GgufHeader) -> bool:
    if draft.kind is GgufKind.DRAFT:
        same_words = not draft.tokenizer or not model.tokenizer or draft.tokenizer == model.tokenizer
        return draft.draft_width == model.n_embd > 0 and same_words and _same_family(draft, model)
    return (
        draft.n_vocab == model.n_vocab > 0
        and draft.tokenizer == model.tokenizer
        and 0 < draft.parameters * _SMALLER <= model.parameters
    )


def _same_family(draft: GgufHeader, model: GgufHeader) -> bool:
    """Heads that are cut from a model keep its architecture; the other kinds are made for any."""
    match draft.architecture:
        case "eagle3" | "dflash":
            return True
        case "gemma4-assistant":
            return model.architecture.startswith("gemma4")
        case architecture:
            return architecture == model.architecture


def _closeness(draft: GgufFile, model: GgufFile) -> float:
    return difflib.SequenceMatcher(None, _core(draft), _core(model)).ratio()


def _core(file: GgufFile) -> str:
    return _WORDS.sub("", base_name(file.path.stem)).strip("-._").casefold()
