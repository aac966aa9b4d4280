from __future__ import annotations

import pytest

from app.domain.origins import host_name, web_origin


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("https://chat.example.org", "https://chat.example.org"),
        (" HTTPS://Chat.Example.org/ ", "https://chat.example.org"),
        ("https://chat.example.org:443", "https://chat.example.org"),
        ("http://chat.example.org:8080", "http://chat.example.org:8080"),
        ("http://[2001:DB8::1]:80", "http://[2001:db8::1]"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(given: str, meant: str) -> None:
    assert web_origin(given) == meant


@pytest.mark.parametrize(
    "given",
    [
        *(
            "",
            "*",
            "null",
            "chat.example.org",
            "https://",
            "https://*.example.org",
            "https://a/b",
            "https://a?b",
            "https://u@a",
        ),
        *("https://a:x", "https://a:99999", "//a", "https://a b", "https://[bad", "https://a\n.example"),
    ],
)
def test_what_is_no_origin_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        web_origin(given)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("Workbench.Local", "workbench.local"),
        ("workbench.:8642", "workbench"),
        ("192.168.1.5:80", "192.168.1.5"),
        ("[::1]:80", "::1"),
        ("::1", "::1"),
        ("my_host", "my_host"),
    ],
)
def test_a_host_is_told_without_port_and_brackets(given: str, meant: str) -> None:
    assert host_name(given) == meant


@pytest.mark.parametrize(
    "given", ["", " ", "a b", "a/b", "u@a", "a:x", "a:99999", "*.a", "-a", "a..b", "a" * 300, "[::1", "a?b"]
)
def test_what_is_no_host_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        host_name(given)
