"""A model anywhere on the web, by the address of its file."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from app.domain.endpoints import OFFICIAL_HUB
from app.domain.errors import AccessDenied, AppError, HubBusy, HubUnreachable, InvalidRequest, NotAModel, RepositoryNotFound
from app.domain.models import RemoteFile, RemoteRepository
from app.library.hub_access import HubAccess
from app.library.hub_address import split_address
from app.library.names import quantization_in, shard_of

if TYPE_CHECKING:
    import httpx2

__all__ = ["is_web_file", "web_file", "web_refusal"]

_TIMEOUT_S: Final = 20.0
_MAGIC: Final = b"GGUF"
_HUBS: Final = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_CONTENT_RANGE: Final = re.compile(r"bytes 0-3/(\d+)")


def is_web_file(text: str, *, endpoint: str = OFFICIAL_HUB) -> bool:
    """Whether it is the address of a GGUF file that is not on the hub. Raises InvalidRequest for a wrong address."""
    if "://" not in text:
        return False
    url = split_address(text.strip())
    on_hub = url.netloc.casefold() in _HUBS | {urlsplit(endpoint).netloc.casefold()}
    return url.scheme in ("http", "https") and bool(url.hostname) and not on_hub and url.path.casefold().endswith(".gguf")


async def web_file(access: HubAccess, address: str) -> tuple[RemoteRepository, RemoteFile]:
    """What to give to `DownloadManager.start`: the file, or all shards if it is one of several.

    A few bytes of each are fetched to see what they are. Raises NotAModel, InvalidRequest and DownloadError kinds.
    """
    address = address.strip().partition("#")[0]
    if split_address(address).username is not None:
        raise InvalidRequest("The address must hold no user name or password.", param="url")
    addresses = _shards(address)
    client = await asyncio.to_thread(access.client, timeout=_TIMEOUT_S, keeps_connections=False)
    async with client:
        found = [await _look(client, url) for url in addresses]
    url = urlsplit(address)
    # All of it: files of one name lie in folders of one name on many a server.
    repository = "/".join((url.netloc.lower(), *PurePosixPath(unquote(url.path)).parent.parts[1:]))
    file = RemoteFile(
        names=tuple(PurePosixPath(unquote(urlsplit(url).path)).name for url in addresses),
        size_bytes=sum(facts.size_bytes for facts in found),
        quantization=quantization_in(PurePosixPath(unquote(url.path)).stem),
        sha256=(None,) * len(addresses),
        sizes=tuple(facts.size_bytes for facts in found),
        urls=tuple(addresses),
    )
    # Without a hash, only what the server says of its version tells whether it is still the same file.
    return RemoteRepository(repository, " ".join(facts.version for facts in found), (file,)), file


def web_refusal(host: str, status: int, retry_after_s: float | None = None) -> AppError:
    """The error that an HTTP status of a server elsewhere stands for."""
    match status:
        case 401 | 403:
            return AccessDenied(f"{host} does not give the file to everybody. Download it in a browser and import it.")
        case 404 | 410:
            return RepositoryNotFound(f"{host} has no file at this address.")
        case 429:
            return HubBusy(host, retry_after_s=retry_after_s)
        case _:
            return HubUnreachable(f"{host} answers with error {status}. Try again later.")


@dataclass(frozen=True, slots=True)
class _Facts:
    size_bytes: int
    version: str


async def _look(client: httpx2.AsyncClient, url: str) -> _Facts:
    import httpx2

    host = urlsplit(url).netloc
    headers = {"accept-encoding": "identity", "range": "bytes=0-3"}
    try:
        async with client.stream("GET", url, headers=headers) as response:
            if response.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                raise web_refusal(host, response.status_code)
            start = b""
            async for chunk in response.aiter_raw():
                start += chunk
                if len(start) >= len(_MAGIC):
                    break
            told = response.headers
    except httpx2.TimeoutException as error:
        raise HubUnreachable(f"{host} did not answer within {_TIMEOUT_S:.0f} seconds. Try again later.") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise HubUnreachable(f"{host} can't be reached. Check the address and the network connection.") from error
    if not start.startswith(_MAGIC):
        raise NotAModel(Path(unquote(urlsplit(url).path)), f"what {host} sends is no GGUF file.")
    ranged = _CONTENT_RANGE.match(told.get("content-range", ""))
    length = ranged[1] if ranged else told.get("content-length", "")
    if not length.isdigit() or (response.status_code == HTTPStatus.PARTIAL_CONTENT and not ranged):
        raise HubUnreachable(f"{host} does not tell how large the file is, so it can't be downloaded safely.")
    return _Facts(int(length), told.get("etag", "") or told.get("last-modified", ""))


def _shards(address: str) -> list[str]:
    """The addresses of all files of the model that this is one of."""
    url = urlsplit(address)
    path = PurePosixPath(unquote(url.path))
    shard = shard_of(path.stem)
    if shard is None:
        return [address]
    names = (f"{shard.stem}-{number:05}-of-{shard.count:05}{path.suffix}" for number in range(1, shard.count + 1))
    return [url._replace(path=quote(str(path.with_name(name)))).geturl() for name in names]
