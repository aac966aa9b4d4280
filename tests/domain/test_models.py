from __future__ import annotations

from app.domain.models import Capability, RemoteFile, RemoteRepository
from tests.fakes import installed_model

MODEL = RemoteFile(("a-00001-of-00002.gguf", "a-00002-of-00002.gguf"), 9, "Q8_0", (None, None), sizes=(4, 5))
PROJECTOR = RemoteFile(("mmproj.gguf",), 3, "F16", (None,), is_projector=True)


def test_projectors_are_not_among_the_models_to_choose_from() -> None:
    repository = RemoteRepository("org/repo", "main", (PROJECTOR, MODEL))
    assert repository.models == (MODEL,)
    assert repository.projectors == (PROJECTOR,)
    assert MODEL.label == "a-00001-of-00002.gguf"


def test_a_model_can_what_it_lists_and_nothing_else() -> None:
    model = installed_model(capabilities=frozenset({Capability.CHAT}))
    assert model.can(Capability.CHAT)
    assert not model.can(Capability.EMBEDDING)
