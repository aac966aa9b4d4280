from __future__ import annotations

from dataclasses import replace

import pytest
from anthropic.types import ModelInfo

from app.domain.errors import InvalidRequest
from app.domain.models import Capability, InstalledModel, LoadedModel, ModelState
from app.server.wire.anthropic.models import PageQuery, model_info, model_page
from app.service.descriptions import ModelDescription
from tests.fakes import installed_model

MODELS = [{"id": str(number)} for number in range(5)]


@pytest.mark.parametrize(
    ("query", "ids", "has_more"),
    [
        (PageQuery(), "01234", False),
        (PageQuery(limit=2), "01", True),
        (PageQuery(limit=2, after_id="1"), "23", True),
        (PageQuery(limit=2, after_id="2"), "34", False),
        (PageQuery(after_id="4"), "", False),
        (PageQuery(limit=2, before_id="4"), "23", True),
        (PageQuery(limit=9, before_id="1"), "0", False),
        (PageQuery(before_id="0"), "", False),
    ],
)
def test_the_list_is_told_in_pages(query: PageQuery, ids: str, has_more: bool) -> None:
    page = model_page(MODELS, query)
    assert "".join(model["id"] for model in page["data"]) == ids
    assert page["has_more"] is has_more
    assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


@pytest.mark.parametrize(
    ("query", "param"),
    [
        (PageQuery(after_id="9"), "after_id"),
        (PageQuery(before_id="9"), "before_id"),
        (PageQuery(after_id="1", before_id="2"), "before_id"),
    ],
)
def test_a_page_that_does_not_exist_is_a_mistake(query: PageQuery, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        model_page(MODELS, query)
    assert caught.value.param == param


def described(model: InstalledModel, loaded: LoadedModel | None = None) -> ModelDescription:
    loaded = loaded or LoadedModel(model.id, ModelState.UNLOADED)
    return ModelDescription(model=model, loaded=loaded, capabilities=model.capabilities, aliases=(), warning=None)


def test_a_model_is_what_the_official_client_expects() -> None:
    model = replace(installed_model(), capabilities=frozenset({Capability.CHAT, Capability.VISION}))
    info = ModelInfo.model_validate(model_info(described(model)))
    assert (info.id, info.display_name, info.lifecycle, info.created_at) == (model.id, model.name, "active", model.modified)
    assert info.max_input_tokens == info.max_tokens == model.n_ctx_train
    assert info.capabilities is not None
    assert info.capabilities.image_input.supported
    assert info.capabilities.structured_outputs.supported
    assert not info.capabilities.thinking.supported
    assert not info.capabilities.pdf_input.supported


def test_the_context_that_a_model_was_loaded_with_is_what_fits() -> None:
    loaded = replace(LoadedModel("ember", ModelState.UNLOADED), state=ModelState.READY, n_ctx=512)
    assert model_info(described(installed_model(), loaded))["max_input_tokens"] == 512
    unknown = model_info(described(installed_model(n_ctx_train=0)))
    assert unknown["max_input_tokens"] is None
