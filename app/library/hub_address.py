"""Reading what a person typed or pasted to name a repository on the hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from app.domain.errors import InvalidRequest

__all__ = ["HubAddress", "named_address", "parse_address", "split_address"]

_PART: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?"
_REPOSITORY: Final = re.compile(rf"^({_PART})/({_PART})$")
_HOSTS: Final = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_VIEWS: Final = frozenset({"resolve", "blob", "tree", "raw"})
_OTHER_KINDS: Final = frozenset({"datasets", "spaces", "collections", "papers", "docs", "kernels"})


@dataclass(frozen=True, slots=True)
class HubAddress:
    """A repository, and what else the address named: a revision, a file, a quantization; "" where it did not."""

    repository: str
    revision: str = ""
    file: str = ""
    quantization: str = ""


def parse_address(text: str, *, endpoint: str = "https://huggingface.co") -> HubAddress:
    """Understand `org/name`, `org/name:Q4_K_M`, and addresses of pages and files of the hub. Raises InvalidRequest."""
    text = text.strip().strip("<>\"'")
    host = urlsplit(endpoint).netloc.casefold()
    bare = re.sub(r"^hf://(models/)?", "", text)
    if not _is_address(bare, host):
        name, _, quantization = bare.partition(":")
        return HubAddress(_repository(name.strip("/"), text), quantization=quantization.strip())
    url = split_address(bare if "://" in bare else f"https://{bare}")
    if not url.netloc:
        raise InvalidRequest(f"'{_shown(text)}' leads to no hub. Enter a repository as owner/name.", param="repository")
    if url.netloc.casefold() not in _HOSTS | {host}:
        raise InvalidRequest(f"{url.netloc} is not the model hub. Enter a repository as owner/name.", param="repository")
    parts = [unquote(part) for part in url.path.split("/") if part]
    if parts and parts[0] in _OTHER_KINDS:
        raise InvalidRequest(
            f"This address leads to {parts[0]}, not to a model. Enter a repository as owner/name.", param="repository"
        )
    name, _, quantization = "/".join(parts[:2]).partition(":")
    repository = _repository(name, text)
    if len(parts) > 3 and parts[2] in _VIEWS:
        return HubAddress(repository, revision=parts[3], file="/".join(parts[4:]))
    return HubAddress(repository, quantization=quantization)


def named_address(text: str, *, endpoint: str) -> HubAddress | None:
    """The repository that an address in a search field leads to; None for words to look for. Raises InvalidRequest."""
    bare = text.strip().strip("<>\"'")
    return parse_address(text, endpoint=endpoint) if _is_address(bare, urlsplit(endpoint).netloc.casefold()) else None


def split_address(text: str) -> SplitResult:
    """The parts of a web address. Raises InvalidRequest where its host or its port can be none."""
    try:
        url = urlsplit(text)
        # Looking at the port checks it.
        if url.port is None or url.port >= 0:
            return url
    except ValueError:
        pass
    raise InvalidRequest(f"'{_shown(text)}' is no address: its host or its port is wrong. Copy it again.", param="url")


def _shown(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"


def _is_address(bare: str, host: str) -> bool:
    return "://" in bare or bare.casefold().split("/")[0] in _HOSTS | {host}


def _repository(name: str, given: str) -> str:
    if not _REPOSITORY.match(name) or ".." in name or "--" in name:
        raise InvalidRequest(
            f"'{_shown(given)}' does not name a repository. Enter it as owner/name, such as ggml-org/gemma-3-4b-it-GGUF.",
            param="repository",
        )
    return name
