"""The JSON-Schema-Test-Suite, as the source package of jsonschema carries it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.source_packages import SourcePackage

__all__ = ["DRAFTS", "FORMAT", "Case", "cases"]

DRAFTS = ("draft2020-12", "draft7")
FORMAT = "format "
"""What the names of formats begin with among the keywords."""

_VERSION = "4.26.0"
# Draft 7's schemas of the suite don't say which draft they are of.
_DIALECTS = {"draft7": "http://json-schema.org/draft-07/schema#"}


@dataclass(frozen=True, slots=True)
class Case:
    """One schema of a keyword, and instances with whether they conform to it."""

    keyword: str
    what: str
    schema: Any
    instances: tuple[tuple[Any, bool], ...]


def cases(draft: str) -> Iterator[Case]:
    """Of every keyword. Formats have an instance for a schema only where the suite asserts them, in its optional part."""
    folder = SourcePackage("jsonschema", _VERSION).folder("json") / "tests" / draft
    for path in sorted(folder.glob("*.json")):
        if path.stem != "format":
            yield from _cases(path, path.stem, draft)
    for path in sorted((folder / "optional" / "format").glob("*.json")):
        yield from _cases(path, f"{FORMAT}{path.stem}", draft)


def _cases(path: Path, keyword: str, draft: str) -> Iterator[Case]:
    for one in json.loads(path.read_text("utf-8")):
        schema = one["schema"]
        if isinstance(schema, dict) and draft in _DIALECTS:
            schema = {"$schema": _DIALECTS[draft], **schema}
        yield Case(keyword, one["description"], schema, tuple((test["data"], test["valid"]) for test in one["tests"]))
