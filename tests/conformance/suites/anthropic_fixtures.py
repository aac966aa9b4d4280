"""The clients for the tests of `anthropic_python`, as their own conftest makes them but for what only recorded answers need."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from anthropic import Anthropic, AsyncAnthropic, DefaultAioHttpClient

__all__ = ["async_client", "client"]

_ADDRESS = os.environ.get("TEST_API_BASE_URL")


@pytest.fixture(scope="session")
def client(request: pytest.FixtureRequest) -> Iterator[Anthropic]:
    """The parameter says whether answers are checked strictly."""
    strict: bool = getattr(request, "param", True)
    with Anthropic(base_url=_ADDRESS, api_key="any", max_retries=0, _strict_response_validation=strict) as client:
        yield client


@pytest.fixture(scope="session")
async def async_client(request: pytest.FixtureRequest) -> AsyncIterator[AsyncAnthropic]:
    """The parameter is the same, or names the kind of connection."""
    given = getattr(request, "param", True)
    strict, kind = (given, "") if isinstance(given, bool) else (given.get("strict", True), given.get("http_client", ""))
    http_client = DefaultAioHttpClient() if kind == "aiohttp" else None
    async with AsyncAnthropic(
        base_url=_ADDRESS, api_key="any", max_retries=0, _strict_response_validation=strict, http_client=http_client
    ) as client:
        yield client
