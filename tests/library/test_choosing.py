from __future__ import annotations

import pytest

from app.domain.errors import InvalidRequest, RepositoryNotFound
from app.domain.models import RemoteFile, RemoteRepository
from app.library.catalogue import Catalogue
from app.library.choosing import Wanted, choose, wanted_files
from app.paths import resource

HUB = "https://huggingface.co"
ANY = Wanted("org/name")


def repository(*quantizations: str) -> RemoteRepository:
    files = (RemoteFile((f"model-{one}.gguf",), 10 + at, one, (None,)) for at, one in enumerate(quantizations))
    return RemoteRepository("org/name", "main", tuple(files))


def test_a_good_size_is_chosen_where_none_is_named() -> None:
    assert choose(repository("Q2_K", "F16", "Q4_K_M"), ANY).quantization == "Q4_K_M"
    assert choose(repository("IQ3_XS", "F16"), ANY).quantization == "IQ3_XS"
    assert choose(repository("Q8_0", "Q4_K_M"), Wanted("org/name", usual="Q8_0")).quantization == "Q8_0"


def test_a_file_or_a_quantization_can_be_named() -> None:
    listing = repository("Q2_K", "F16", "")
    assert choose(listing, Wanted("org/name", "f16")).quantization == "F16"
    assert choose(listing, Wanted("org/name", file="model-Q2_K.gguf")).quantization == "Q2_K"
    with pytest.raises(InvalidRequest, match="Q5_K"):
        choose(listing, Wanted("org/name", "Q5_K"))
    with pytest.raises(InvalidRequest, match=r"other.gguf. It has: model-Q2_K.gguf"):
        choose(listing, Wanted("org/name", file="other.gguf"))
    with pytest.raises(RepositoryNotFound, match="no GGUF"):
        choose(repository(), ANY)


def test_a_name_of_the_catalogue_means_a_repository_and_a_quantization() -> None:
    catalogue = Catalogue.read(resource("catalogue.json"))
    llama = "bartowski/Llama-3.2-3B-Instruct-GGUF"
    assert wanted_files(catalogue, "llama3.2", endpoint=HUB) == Wanted(llama, usual="Q4_K_M")
    assert wanted_files(catalogue, "llama3.2:3b-instruct-q8_0", endpoint=HUB) == Wanted(llama, "Q8_0", usual="Q4_K_M")
    with pytest.raises(InvalidRequest, match=r"llama3\.2"):
        wanted_files(catalogue, "lama3.2", endpoint=HUB)


@pytest.mark.parametrize(
    ("text", "quantization", "file"),
    [
        ("org/name", "", ""),
        ("org/name:Q5_K_M", "Q5_K_M", ""),
        (f"{HUB}/org/name", "", ""),
        (f"{HUB}/org/name/resolve/main/sub/m-Q8_0.gguf", "", "sub/m-Q8_0.gguf"),
        ("http://127.0.0.1:8080/org/name", "", ""),
    ],
)
def test_repositories_and_addresses_keep_their_text_for_the_hub(text: str, quantization: str, file: str) -> None:
    wanted = wanted_files(Catalogue.read(resource("catalogue.json")), text, endpoint="http://127.0.0.1:8080")
    assert wanted == Wanted(text, quantization, file)
