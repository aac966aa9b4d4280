"""What a person means by a name to get, and which of a repository's files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.domain.errors import InvalidRequest, RepositoryNotFound
from app.domain.models import RemoteFile, RemoteRepository
from app.library.catalogue import Catalogue
from app.library.hub_address import parse_address

__all__ = ["Wanted", "choose", "wanted_files"]

# A good size for its quality on most machines, then what most repositories have.
_PREFERRED: Final = ("Q4_K_M", "Q4_K_S", "Q5_K_M", "Q8_0")


@dataclass(frozen=True, slots=True)
class Wanted:
    """`repository` as `Hub.repository` takes it; the quantization or file that was asked for, and the quantization that is
    taken first if none was."""

    repository: str
    quantization: str = ""
    file: str = ""
    usual: str = _PREFERRED[0]


def wanted_files(catalogue: Catalogue, text: str, *, endpoint: str) -> Wanted:
    """What to download for a name of the catalogue, a repository's name, or an address on the hub. Raises InvalidRequest."""
    meaning = catalogue.meaning(text)
    if meaning is not None:
        return Wanted(meaning.model.repository, meaning.quantization, usual=meaning.model.quantization)
    if "/" not in text and (near := catalogue.near(text)):
        raise InvalidRequest(f"No model is known as '{text}'. Did you mean {' or '.join(near)}?", param="repository")
    address = parse_address(text, endpoint=endpoint)
    return Wanted(text, address.quantization, address.file)


def choose(listing: RemoteRepository, wanted: Wanted) -> RemoteFile:
    """Raises InvalidRequest where there is no such file, RepositoryNotFound where there is none at all."""
    if not listing.models:
        raise RepositoryNotFound(f"{listing.id} holds no GGUF files. Look for a repository whose name ends in GGUF.")
    if wanted.file or wanted.quantization:
        for candidate in listing.models:
            if wanted.file in candidate.names or candidate.quantization.casefold() == wanted.quantization.casefold() != "":
                return candidate
        offered = ", ".join(candidate.label for candidate in listing.models)
        raise InvalidRequest(f"{listing.id} has no {wanted.file or wanted.quantization}. It has: {offered}.", param="file")
    for quantization in (wanted.usual, *_PREFERRED):
        for candidate in listing.models:
            if candidate.quantization == quantization:
                return candidate
    return min(listing.models, key=lambda candidate: candidate.size_bytes)
