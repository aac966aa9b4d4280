from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from app.domain import errors
from app.domain.memory import MemoryPlan

ONE_OF_EACH: tuple[errors.AppError, ...] = (
    errors.InvalidRequest("Too hot.", param="temperature"),
    errors.UnsupportedContent("No pictures."),
    errors.ContextOverflow(n_prompt=9, n_ctx=4),
    errors.AnswerOverflow(param="file"),
    errors.ModelNotFound("embr", near=("ember",)),
    errors.ModelLoadFailed("x", "it is truncated.", log_tail=("a", "b")),
    errors.NotEnoughMemory("x", "it is too large.", plan=MemoryPlan(512, 0, 3, ())),
    errors.EngineBusy(retry_after_s=2.0),
    errors.EngineStopped(),
    errors.EngineCrashed(exit_code=-6, log_tail=("assert",)),
    errors.GenerationFailed("decode failed"),
    errors.NotAModel(Path("x.txt"), "it is text."),
    errors.NotEnoughSpace(needed_bytes=5, free_bytes=1, folder=Path("models")),
    errors.AddressInUse(host="127.0.0.1", port=1, free_port=2),
)


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=lambda error: type(error).__name__)
def test_an_error_crosses_the_process_border_whole(error: errors.AppError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_every_error_is_drawn_in_the_tree_and_exported() -> None:
    drawn = errors.__doc__ or ""
    for name in errors.__all__:
        assert name in drawn
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.AppError)}
    assert defined == set(errors.__all__)


def test_a_near_name_is_offered() -> None:
    assert "Did you mean ember?" in str(errors.ModelNotFound("embr", near=("ember",)))


def test_what_is_too_large_keeps_its_plan_under_another_name() -> None:
    plan = MemoryPlan(512, 0, 3, ())
    error = errors.NotEnoughMemory("x.gguf", "it is too large.", plan=plan).of("x")
    assert (error.model, error.plan) == ("x", plan)
