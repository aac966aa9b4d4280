"""A plugin for openai-python's tests of Responses, which were written against a mock: they send requests with nothing in them,
and ask for responses that nobody made. Here they get a model and something to say, and a response that was made for them.
"""

from __future__ import annotations

import os
import re
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI
from openai._models import FinalRequestOptions

ADDRESS = os.environ["TEST_API_BASE_URL"]
REQUEST = {"model": "gpt-5.5", "input": "Say this is a test"}
MADE_UP = re.compile(r"(?<=/responses/)(resp_677efb5139a88190b512bc3fef8e535d|response_id)(?=/|$)")


def filled(options: FinalRequestOptions) -> FinalRequestOptions:
    options.url = MADE_UP.sub(lambda _: made(), options.url)
    if options.method == "post" and not options.url.endswith("/cancel"):
        options.json_data = {**REQUEST, **_as_dict(options.json_data)}
    return options


def made() -> str:
    """A response made in the background, with its events: it can also be cancelled, and streamed again."""
    wanted = {**REQUEST, "background": True, "stream": True}
    events = httpx2.post(f"{ADDRESS}/responses", json=wanted, timeout=60).raise_for_status().text
    found = re.search(r'"id": ?"(resp_\w+)"', events)
    assert found is not None, events
    return found[1]


@pytest.fixture(autouse=True)
def requests_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, prepare_async = OpenAI._prepare_options, AsyncOpenAI._prepare_options

    def prepared(self: OpenAI, options: FinalRequestOptions) -> FinalRequestOptions:
        return filled(prepare(self, options))

    async def prepared_async(self: AsyncOpenAI, options: FinalRequestOptions) -> FinalRequestOptions:
        return filled(await prepare_async(self, options))

    monkeypatch.setattr(OpenAI, "_prepare_options", prepared)
    monkeypatch.setattr(AsyncOpenAI, "_prepare_options", prepared_async)


def _as_dict(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}
