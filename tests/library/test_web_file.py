"""Models by the address of their file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.domain.errors import AppError, HubUnreachable, InvalidRequest, NotAModel, RepositoryNotFound
from app.library.hub import Hub
from app.library.web_file import is_web_file, web_file
from tests.fake_hub import FakeHub

pytestmark = pytest.mark.anyio

MODEL = b"GGUF" + bytes(5000)


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        hub.add("org/repo", {"m-Q8_0.gguf": MODEL, "page.gguf": b"<html>" + bytes(3000)})
        hub.add("org/split", {f"big-Q4_0-0000{number}-of-00003.gguf": MODEL + bytes(number) for number in (1, 2, 3)})
        yield hub


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("https://example.org/models/m.gguf?x=1", True),
        ("http://192.168.0.2:8000/m.GGUF", True),
        ("https://huggingface.co/org/repo/resolve/main/m.gguf", False),
        ("https://mirror.example/org/repo/resolve/main/m.gguf", False),
        ("https://example.org/m.zip", False),
        ("file:///m.gguf", False),
        ("https:///m.gguf", False),
        ("m.gguf", False),
    ],
)
def test_addresses_of_files_elsewhere_are_known_from_others(text: str, yes: bool) -> None:
    assert is_web_file(text, endpoint="https://mirror.example") is yes


@pytest.mark.parametrize("text", ["http://[x.gguf", "https://[x]/a/b.gguf", "https://h:99999/x.gguf", "https://h:x/m.gguf"])
def test_an_address_that_can_be_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="host or its port"):
        is_web_file(text)


async def test_the_server_says_how_large_the_file_is(fake: FakeHub) -> None:
    url = f"{fake.endpoint}/org/repo/resolve/main/m-Q8_0.gguf"
    repository, file = await web_file(Hub(endpoint=fake.endpoint).access, f" {url}#x ")

    assert repository.id == f"127.0.0.1:{fake.port}/org/repo/resolve/main"
    assert repository.revision
    assert (file.names, file.sizes, file.urls) == (("m-Q8_0.gguf",), (len(MODEL),), (url,))
    assert (file.quantization, file.sha256) == ("Q8_0", (None,))


async def test_of_a_split_model_all_files_are_meant(fake: FakeHub) -> None:
    url = f"{fake.endpoint}/org/split/resolve/main/big-Q4_0-00002-of-00003.gguf"
    _, file = await web_file(Hub(endpoint=fake.endpoint).access, url)

    assert file.label == "big-Q4_0-00001-of-00003.gguf"
    assert file.size_bytes == 3 * len(MODEL) + 6
    assert [address.rpartition("/")[2] for address in file.urls] == list(file.names)


@pytest.mark.parametrize(
    ("path", "error"),
    [("org/repo/resolve/main/page.gguf", NotAModel), ("none.gguf", RepositoryNotFound)],
)
async def test_what_is_no_model_is_refused(fake: FakeHub, path: str, error: type[AppError]) -> None:
    with pytest.raises(error):
        await web_file(Hub(endpoint=fake.endpoint).access, f"{fake.endpoint}/{path}")


async def test_a_server_that_is_not_there_and_a_password_in_the_address_are_told() -> None:
    access = Hub().access
    with pytest.raises(HubUnreachable):
        await web_file(access, "http://127.0.0.1:1/m.gguf")
    with pytest.raises(InvalidRequest, match="password"):
        await web_file(access, "http://me:secret@127.0.0.1:1/m.gguf")
