from __future__ import annotations

import pytest

from app.domain.endpoints import OFFICIAL_HUB, hub_endpoint, proxy_address, without_password


@pytest.mark.parametrize(
    "text", ["", "  ", "huggingface.co", "https://huggingface.co/", "http://huggingface.co", "hf.co", "HF.co"]
)
def test_the_official_hub_is_known_however_it_is_written(text: str) -> None:
    assert hub_endpoint(text) == OFFICIAL_HUB


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        (" https://Mirror.example/ ", "https://mirror.example"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://proxy.example/Hugging/face/", "https://proxy.example/Hugging/face"),
        ("http://[::1]:9", "http://[::1]:9"),
        ("https://huggingface.co.example", "https://huggingface.co.example"),
    ],
)
def test_a_mirror_may_have_a_port_and_a_path(text: str, endpoint: str) -> None:
    assert hub_endpoint(text) == endpoint


@pytest.mark.parametrize(
    "text", ["mirror", "ftp://mirror.example", "https://", "https://mirror.example/?x=1", "https://a b.example", "http://m:x"]
)
def test_what_is_no_hub_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no address of a hub"):
        hub_endpoint(text)


def test_a_password_has_no_place_in_the_hubs_address() -> None:
    with pytest.raises(ValueError, match="token instead"):
        hub_endpoint("https://ada:secret@mirror.example")


@pytest.mark.parametrize(
    "text", ["", "http://proxy.example:3128", "socks5://127.0.0.1:1080", "http://ada:secret@proxy.example:1"]
)
def test_a_proxy_may_have_a_password(text: str) -> None:
    assert proxy_address(text) == text


@pytest.mark.parametrize(
    "text", ["proxy.example:3128", "ftp://proxy.example", "http://", "http://proxy.example/path", "http://p:0x1"]
)
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no address of a proxy"):
        proxy_address(text)


def test_a_refused_proxys_password_is_not_shown() -> None:
    with pytest.raises(ValueError, match="no address of a proxy") as refused:
        proxy_address("http://ada:secret@proxy.example/path")
    assert "secret" not in str(refused.value)


def test_an_address_is_shown_without_its_password() -> None:
    assert without_password("http://ada:secret@proxy.example:1") == "http://…@proxy.example:1"
    assert without_password("http://proxy.example:1") == "http://proxy.example:1"
