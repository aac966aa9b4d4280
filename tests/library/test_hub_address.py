"""What people type and paste to name a repository."""

from __future__ import annotations

import pytest

from app.domain.errors import InvalidRequest
from app.library.hub_address import HubAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("org/repo", HubAddress("org/repo")),
        ("  org/repo-GGUF/ ", HubAddress("org/repo-GGUF")),
        ("org/repo:Q4_K_M", HubAddress("org/repo", quantization="Q4_K_M")),
        ("https://huggingface.co/org/repo", HubAddress("org/repo")),
        ("https://huggingface.co/org/repo?library=gguf#top", HubAddress("org/repo")),
        ("huggingface.co/org/repo", HubAddress("org/repo")),
        ("hf.co/org/repo:Q8_0", HubAddress("org/repo", quantization="Q8_0")),
        ("hf://org/repo", HubAddress("org/repo")),
        ("<https://www.huggingface.co/org/repo/tree/main>", HubAddress("org/repo", revision="main")),
        (
            "https://huggingface.co/org/repo/resolve/main/sub/m%20x.gguf?download=true",
            HubAddress("org/repo", revision="main", file="sub/m x.gguf"),
        ),
        ("https://huggingface.co/org/repo/blob/v1/m.gguf", HubAddress("org/repo", revision="v1", file="m.gguf")),
        ("https://mirror.example/org/repo", HubAddress("org/repo")),
        ("mirror.example/org/repo/tree/main", HubAddress("org/repo", revision="main")),
    ],
)
def test_names_and_addresses_are_understood(text: str, address: HubAddress) -> None:
    assert parse_address(text, endpoint="https://mirror.example") == address


@pytest.mark.parametrize("text", ["http://[x", "https://[x]/a/b", "https://huggingface.co:99999/org/repo"])
def test_an_address_that_can_be_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="host or its port"):
        parse_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "repo",
        "a/b/c",
        "../../etc",
        "org/..",
        "org/re po",
        "org/.hidden",
        "https://huggingface.co/",
        "https://huggingface.co/datasets/org/name",
        "https://huggingface.co/spaces/org/name",
        "https://example.com/org/repo",
        "file:///etc/passwd",
        "ünï/repo",
    ],
)
def test_anything_else_is_refused_and_says_what_to_enter(text: str) -> None:
    with pytest.raises(InvalidRequest, match="owner/name") as caught:
        parse_address(text)
    assert caught.value.param == "repository"
