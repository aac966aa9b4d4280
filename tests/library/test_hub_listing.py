"""Files of a repository, told by their names."""

from __future__ import annotations

import pytest

from app.domain.models import RemoteFile, RemoteRepository
from app.library.hub_listing import ListedFile, group_files, projector_for


def group(*names: str) -> tuple[RemoteFile, ...]:
    return group_files(ListedFile(name, 1000 + number, f"{number:064x}") for number, name in enumerate(names))


def repository(*names: str) -> RemoteRepository:
    return RemoteRepository("org/repo", "main", group(*names))


def chosen(repo: RemoteRepository, label: str) -> str | None:
    file = next(file for file in repo.models if file.label == label)
    projector = projector_for(repo, file)
    return projector.label if projector else None


@pytest.mark.parametrize(
    ("name", "quantization", "is_projector"),
    [
        ("Qwen3.5-4B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL", False),
        ("BF16/model.gguf", "BF16", False),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4", False),
        ("mmproj-F16.gguf", "F16", True),
        ("Ministral-3-3B-Instruct-2512-BF16-mmproj.gguf", "BF16", True),
        ("vision/MiniCPM-o-4_5-vision-F16.gguf", "F16", True),
        ("tiny.GGUF", "", False),
        ("Mistral-imatrix-Q4_K_M.gguf", "Q4_K_M", False),
    ],
)
def test_a_name_tells_quantization_and_projector(name: str, quantization: str, is_projector: bool) -> None:
    (file,) = group(name)

    assert file.names == (name,)
    assert file.quantization == quantization
    assert file.is_projector is is_projector


def test_shards_are_one_file_in_order() -> None:
    (file,) = group("Q8_0/big-00003-of-00003.gguf", "Q8_0/big-00001-of-00003.gguf", "Q8_0/big-00002-of-00003.gguf")

    assert [name[-20:] for name in file.names] == [f"-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert file.size_bytes == sum(file.sizes) == 3003
    assert file.sizes == (1001, 1002, 1000)
    assert file.sha256 == tuple(f"{number:064x}" for number in (1, 2, 0))
    assert file.quantization == "Q8_0"


def test_models_without_all_their_shards_and_files_that_are_no_models_are_left_out() -> None:
    assert (
        group(
            "big-00001-of-00003.gguf",
            "README.md",
            "config.json",
            "model.imatrix.gguf",
            "imatrix_unsloth.gguf",
            "mtp-gemma-4-12b-it.gguf",
            "model.safetensors",
        )
        == ()
    )


def test_the_smallest_comes_first() -> None:
    assert [file.label for file in group_files([ListedFile("b.gguf", 9, None), ListedFile("a.gguf", 5, None)])] == [
        "a.gguf",
        "b.gguf",
    ]


def test_f16_is_the_projector_to_download() -> None:
    repo = repository("m-Q4_K_M.gguf", "mmproj-F32.gguf", "mmproj-BF16.gguf", "mmproj-F16.gguf")

    assert chosen(repo, "m-Q4_K_M.gguf") == "mmproj-F16.gguf"


def test_a_projector_beside_or_above_the_model_is_taken_the_nearest_first() -> None:
    repo = repository("Q8_0/m-Q8_0.gguf", "BF16/m.gguf", "mmproj-F16.gguf", "BF16/mmproj-BF16.gguf")

    assert chosen(repo, "Q8_0/m-Q8_0.gguf") == "mmproj-F16.gguf"
    assert chosen(repo, "BF16/m.gguf") == "BF16/mmproj-BF16.gguf"


def test_of_several_models_each_gets_the_projector_named_like_it() -> None:
    repo = repository("gemma-4b-Q8_0.gguf", "gemma-12b-Q8_0.gguf", "mmproj-gemma-12b-F16.gguf", "mmproj-gemma-4b-BF16.gguf")

    assert chosen(repo, "gemma-4b-Q8_0.gguf") == "mmproj-gemma-4b-BF16.gguf"
    assert chosen(repo, "gemma-12b-Q8_0.gguf") == "mmproj-gemma-12b-F16.gguf"


def test_a_folder_of_projectors_serves_the_models_above_it() -> None:
    assert chosen(repository("m.gguf", "vision/m-vision-F16.gguf"), "m.gguf") == "vision/m-vision-F16.gguf"


def test_a_repository_without_projectors_gives_none() -> None:
    assert chosen(repository("m.gguf"), "m.gguf") is None
