from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from app.domain import errors
from app.gui.errors import sentence

_EXAMPLES: list[errors.AppError] = [
    errors.InvalidRequest("The temperature is too high."),
    errors.UnsupportedContent("This model can't see pictures."),
    errors.ContextOverflow(n_prompt=5000, n_ctx=4096),
    errors.ModelNotFound("lama", near=("llama",)),
    errors.ModelLoadFailed("Llama", "the file is damaged"),
    errors.EngineBusy(),
    errors.EngineStopped(),
    errors.EngineCrashed(exit_code=-11),
    errors.GenerationFailed("decode returned 1"),
    errors.NotAModel(Path("a.gguf"), "the file is empty"),
    errors.NotRemovable("Ember is built in."),
    errors.HubUnreachable("huggingface.co can't be reached."),
    errors.RepositoryNotFound("There is no repository a/b."),
    errors.AccessDenied("a/b is gated.", repository="a/b", license_url="https://huggingface.co/a/b"),
    errors.NotEnoughSpace(needed_bytes=9_000_000_000, free_bytes=1_000_000_000, folder=Path("/models")),
    errors.ChecksumMismatch("sha256 differs"),
    errors.StoreError("disk I/O error"),
    errors.SettingsError("port: too large."),
    errors.AddressInUse(host="127.0.0.1", port=8642, free_port=8643),
    errors.NotEnoughMemory("Llama", "it needs 9.1 GiB of memory, but 4.0 GiB are free. Close other programs."),
    errors.ModelNotFound("llama", near=("llama-a", "llama-b"), ambiguous=True),
    errors.ModelNotFound("llama3.2", pull="llama3.2"),
    errors.PreviousResponseNotFound("resp_1"),
    errors.AnswerOverflow(),
    errors.NotRestorable("What was removed is deleted for good."),
    errors.NotMovable("The models folder can't be moved into itself."),
    errors.AlreadyDownloading("Another Hearth downloads it."),
    errors.FolderMoving("The models folder is being moved."),
    errors.HubOffline(),
    errors.HubOffline(variable="HF_HUB_OFFLINE"),
    errors.HubBusy("huggingface.co", retry_after_s=55.0),
    errors.NotAHub("huggingface.co"),
    errors.AccessDenied("huggingface.co refuses the access token."),
]


@pytest.mark.parametrize("error", _EXAMPLES, ids=lambda error: type(error).__name__)
def test_each_error_is_told_in_whole_sentences(error: errors.AppError) -> None:
    text = sentence(error)
    assert text[0].isupper() or text[0].isalpha()
    assert text.endswith((".", "!", "?", "…"))
    assert "{" not in text
    assert ".." not in text


def test_every_kind_of_error_has_an_example_here() -> None:
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.AppError)}
    leaves = {kind for kind in kinds if not kind.__subclasses__()}
    told = {type(error) for error in _EXAMPLES}
    assert leaves - told <= {errors.UnsupportedParameter}


def test_what_to_do_next_is_said() -> None:
    assert "try again" in sentence(errors.EngineCrashed(exit_code=1))
    assert "8643" in sentence(errors.AddressInUse(host="127.0.0.1", port=8642, free_port=8643))
    assert "Did you mean llama?" in sentence(errors.ModelNotFound("lama", near=("llama",)))
    assert "9.0 GB" in sentence(_EXAMPLES[14])
    assert "4096" in sentence(errors.ContextOverflow(n_prompt=5000, n_ctx=4096))


def test_a_bug_is_named_and_points_to_the_log() -> None:
    text = sentence(ZeroDivisionError("division by zero"))
    assert "ZeroDivisionError" in text
    assert "log" in text
