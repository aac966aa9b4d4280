"""One thing that goes wrong, under the names that different requests give it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.errors import RequestError

__all__ = ["param_called"]


@contextmanager
def param_called(name: str, *, instead_of: str = "messages") -> Iterator[None]:
    """What is wrong with `instead_of`, as those below know it, is wrong with what the request calls `name`."""
    try:
        yield
    except RequestError as error:
        if error.param == instead_of:
            error.param = name
        raise
