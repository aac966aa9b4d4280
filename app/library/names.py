"""Reading names: what a file's name says, and which model a person or a client means by one.

A model's id is its file's stem without the shard number, such as `Qwen3-8B-Q4_K_M`. Where two files have the same stem, one
keeps it (see `app.library.listing`) and the other is called by its place as well: `org/repo/Qwen3-8B-Q4_K_M`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from app.domain.errors import ModelNotFound
from app.domain.models import InstalledModel

__all__ = ["ModelNames", "Shard", "base_name", "quantization_in", "shard_of"]

_QUANTIZATION: Final = re.compile(
    r"""(?<![A-Za-z0-9])
    ( (?:UD-)?
      (?: IQ[1-4]_(?:XXS|XS|S|M|NL)
        | T?Q[1-8]_(?:K(?:_[A-Z]{1,3})?|[01])
        | MXFP4 (?:_MOE)? | NVFP4 | BF16 | FP?16 | FP?32
      ) (?:_(?:XXL|XL|L|M|S|XS|NL))?
    )(?![A-Za-z0-9])""",
    re.VERBOSE | re.IGNORECASE,
)
_SHARD: Final = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})$", re.IGNORECASE)
_REPOSITORY_SUFFIX: Final = re.compile(r"[-_.]gguf$", re.IGNORECASE)
_NEAR: Final = 3


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a model in several files; `number` counts from 1."""

    stem: str
    number: int
    count: int


def shard_of(stem: str) -> Shard | None:
    """Whether a file's stem says that it is one of several parts."""
    found = _SHARD.match(stem)
    return Shard(found["stem"], int(found["number"]), int(found["count"])) if found else None


def quantization_in(name: str) -> str:
    """The quantization a file's name ends with, in capitals, such as "Q4_K_M" or "UD-Q4_K_XL"; "" if it has none."""
    found = _QUANTIZATION.findall(name)
    return re.sub("^FP", "F", found[-1].upper()) if found else ""


def base_name(stem: str) -> str:
    """A stem without its quantization: `Qwen3-8B-Q4_K_M` gives `Qwen3-8B`."""
    return re.sub(r"[-._\s]+$", "", re.sub(r"[-._]{2,}", "-", _QUANTIZATION.sub("", stem)))


class ModelNames:
    """Finds a model by what it is called. Immutable; made anew when the list changes."""

    def __init__(self, models: Iterable[tuple[InstalledModel, str]]) -> None:
        """`models` come with their place: folders within a models folder and the stem, joined by "/"."""
        self._models = tuple(models)

    def find(self, name: str) -> InstalledModel:
        """By id, id in another case, then the longer and shorter forms, where only one model fits. Raises ModelNotFound."""
        wanted = name.strip()
        for model, _ in self._models:
            if model.id == wanted:
                return model
        wanted = wanted.casefold().removesuffix(".gguf")
        for forms in (_id_forms, _place_forms, _short_forms):
            fitting = [model for model, place in self._models if wanted in forms(model, place)]
            usable = [model for model in fitting if model.problem is None] or fitting
            if len(usable) == 1:
                return usable[0]
            if usable:
                raise ModelNotFound(name, near=tuple(model.id for model in usable[:_NEAR]))
        raise ModelNotFound(name, near=self._near(wanted))

    def _near(self, wanted: str) -> tuple[str, ...]:
        by_form = {
            form: model.id for model, place in self._models for form in (*_id_forms(model, place), *_short_forms(model, place))
        }
        close = difflib.get_close_matches(wanted, by_form, n=2 * _NEAR, cutoff=0.5)
        return tuple(dict.fromkeys(by_form[form] for form in close))[:_NEAR]


def _id_forms(model: InstalledModel, _place: str) -> Sequence[str]:
    return (model.id.casefold(),)


def _place_forms(_model: InstalledModel, place: str) -> Sequence[str]:
    return (place.casefold(), place.rpartition("/")[2].casefold())


def _short_forms(model: InstalledModel, place: str) -> Sequence[str]:
    """`Qwen3-8B`, `Qwen3-8B:Q4_K_M`, `org/repo`, `org/repo:Q4_K_M`; a repository also without its "-GGUF"."""
    folder, _, stem = place.rpartition("/")
    quantization = model.quantization.casefold()
    names = [base_name(stem).casefold()]
    if folder:
        names += [folder.casefold(), _REPOSITORY_SUFFIX.sub("", folder).casefold()]
    return tuple(names) + tuple(f"{name}:{quantization}" for name in names)
