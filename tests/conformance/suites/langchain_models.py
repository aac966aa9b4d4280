"""What LangChain's standard tests are told of Hearth and of Ember. They are run by `langchain.py`, not with our own tests."""

from __future__ import annotations

import io
import os
from typing import Any

import httpx
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests
from PIL import Image

ADDRESS = {"base_url": os.environ["HEARTH_ADDRESS"], "api_key": "any", "max_retries": 0}
# Ember, left to itself, seldom ends a string or an object that it has no words for. The ids of `"`, `",`, `"}`, `}` and `}}`.
CLOSERS = {"1": 5, "271": 5, "386": 5, "92": 6, "290": 6}


@pytest.fixture(autouse=True)
def picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests fetch the picture that they send from the web. Here it is made."""
    file = io.BytesIO()
    Image.new("RGB", (84, 84), "red").save(file, "PNG")
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(200, content=file.getvalue()))


class TestChat(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        ember = {"model": "ember", "temperature": 0, "max_tokens": 300, "logit_bias": CLOSERS, "frequency_penalty": 1}
        return {**ADDRESS, **ember, "stream_usage": True, "model_kwargs": {"parallel_tool_calls": False}}

    @property
    def model_override_value(self) -> str:
        return "gpt-6-astra"

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @pytest.mark.xfail(reason="Ember does not know jokes, or which keys they have; nothing but the prompt tells", strict=True)
    def test_json_mode(self, model: BaseChatModel) -> None:
        super().test_json_mode(model)

    @pytest.mark.xfail(reason="Ember can't copy Japanese names", strict=True)
    def test_unicode_tool_call_integration(self, model: BaseChatModel) -> None:
        super().test_unicode_tool_call_integration(model)


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        # LangChain would cut texts into OpenAI's tokens, whose table it fetches from the web.
        return {**ADDRESS, "model": "text-embedding-3-small", "check_embedding_ctx_length": False}
