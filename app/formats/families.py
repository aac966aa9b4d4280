"""What is known of families whose templates do not show, or show otherwise, how their models answer: `families.json`.

An entry is for templates that contain all texts of `contains` and none of `lacks`; the first that fits counts. The parts of its
`spec` take the place of what was derived; a part that is null is no part of the format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

from app.formats.spec import FormatSpec
from app.formats.spec_json import spec_from_json

__all__ = ["Family", "families", "family_of"]


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    contains: tuple[str, ...]
    lacks: tuple[str, ...]
    spec: FormatSpec
    parts: tuple[str, ...]

    def fits(self, source: str) -> bool:
        return all(text in source for text in self.contains) and not any(text in source for text in self.lacks)

    def over(self, derived: FormatSpec) -> FormatSpec:
        """The derived spec with the parts that this family knows better."""
        return replace(derived, **{name: getattr(self.spec, name) for name in self.parts})


def family_of(source: str) -> Family | None:
    """The family of a template's source, if it is one of these."""
    return next((family for family in families() if family.fits(source)), None)


@lru_cache(maxsize=1)
def families() -> tuple[Family, ...]:
    text = files("app.formats").joinpath("families.json").read_text("utf-8")
    return tuple(map(_family, json.loads(text)))


def _family(entry: Mapping[str, object]) -> Family:
    spec = entry["spec"]
    assert isinstance(spec, Mapping)
    contains, lacks = (tuple(map(str, _list(entry.get(key)))) for key in ("contains", "lacks"))
    return Family(str(entry["name"]), contains, lacks, spec_from_json(spec), tuple(spec))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
