"""A walker on Ember's vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.formats.json_schema.walker import Walker, walking


@pytest.fixture(scope="session")
def walker(ember_path: Path) -> Iterator[Walker]:
    with walking(ember_path) as walker:
        yield walker
