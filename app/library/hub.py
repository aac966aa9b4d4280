"""The Hugging Face hub, or a mirror of it: which models there are, and which GGUF files a repository holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

from app.domain.endpoints import OFFICIAL_HUB, without_password
from app.domain.errors import (
    AccessDenied,
    AppError,
    HubBusy,
    HubOffline,
    HubUnreachable,
    InvalidRequest,
    NotAHub,
    RepositoryNotFound,
)
from app.domain.hub import HubPage, HubQuery, HubState, HubTest
from app.domain.models import RemoteFile, RemoteRepository
from app.library.hub_access import HubAccess
from app.library.hub_address import HubAddress, named_address, parse_address
from app.library.hub_errors import denied, refusal, token_refused
from app.library.hub_listing import projector_for
from app.library.model_card import MAX_CARD_BYTES, card_text
from app.library.timed_cache import TimedCache
from app.settings import Settings

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from app.library.hub_session import HubSession

__all__ = ["Hub"]

T = TypeVar("T")

_TIMEOUT_S: Final = 20.0
_KEPT_S: Final = 300.0


class Hub:
    """Asks through huggingface_hub. Owned by the service loop; what blocks runs on other threads."""

    def __init__(self, access: HubAccess | None = None, *, endpoint: str = OFFICIAL_HUB, token: str | None = None) -> None:
        """Without an `access`, for programs that have no settings and ask little: at `endpoint`, with `token`. Then no
        connection is kept open, and nothing has to be closed."""
        self._keeps_connections = access is not None
        self._access = access or _fixed(endpoint, token)
        self._session: asyncio.Task[HubSession] | None = None
        self._pages: TimedCache[HubPage] = TimedCache(size=64, kept_s=_KEPT_S)
        self._cards: TimedCache[str] = TimedCache(size=16, kept_s=_KEPT_S)

    @property
    def access(self) -> HubAccess:
        return self._access

    @property
    def endpoint(self) -> str:
        return self._access.endpoint

    async def close(self) -> None:
        if self._session is not None:
            await (await self._session).close()
            self._session = None

    async def search(self, query: HubQuery) -> HubPage:
        """Repositories with GGUF files, the same for some minutes. Raises InvalidRequest, HubUnreachable and AccessDenied.

        A page may be short, or empty with more to come, where few of many hits fit.
        """
        named = named_address(query.text, endpoint=self.endpoint)
        if named is not None:
            query = replace(query, text=named.repository)
        key = (self.endpoint, await self._access.token(), query)
        self._access.check_online()
        page = self._pages.get(key)
        if page is None:
            page = await self._ask("", _search(query))
            self._pages.put(key, page)
        return page

    async def trending(self) -> HubPage:
        return await self.search(HubQuery())

    async def repository(self, repository: str) -> RemoteRepository:
        """What `org/name` (or a hub address a person pasted) holds. Raises DownloadError kinds and InvalidRequest."""
        address = parse_address(repository, endpoint=self.endpoint)
        return await self._ask(address.repository, _read(address))

    async def card(self, repository: RemoteRepository) -> str:
        """The model card's Markdown without front matter, "" if there is none. What it links to is not fetched."""
        self._access.check_online()
        key = (self.endpoint, repository.id, repository.revision)
        card = self._cards.get(key)
        if card is None:
            session = await self._shared_session()
            status, text = await session.text(self.file_url(repository, "README.md"), max_bytes=MAX_CARD_BYTES)
            if status not in (200, 404):
                raise refusal(self._access, repository.id, status)
            card = card_text(text) if status == 200 else ""
            self._cards.put(key, card)
        return card

    async def test(self) -> HubTest:
        """Try the connection: one small search, then whose token is sent. Raises nothing that the result can say."""
        found = HubTest(self.endpoint, HubState.OK, proxy=without_password(self._access.proxy))
        try:
            await self._shared_session()
            token = await self._access.token()
            found = replace(found, token=token.source if token is not None else None)
            began = time.monotonic()
            await self._ask("", _one_model)
            found = replace(found, latency_s=time.monotonic() - began)
            return replace(found, user=await self._ask("", _user)) if token is not None else found
        except InvalidRequest as error:
            return replace(found, state=HubState.NOT_A_HUB, reason=str(error))
        except (HubUnreachable, AccessDenied) as error:
            return replace(found, state=_state_of(error), reason=str(error))

    @staticmethod
    def best_projector(repository: RemoteRepository, file: RemoteFile) -> RemoteFile | None:
        """The projector to download with `file`, if the repository has one."""
        return projector_for(repository, file)

    def file_url(self, repository: RemoteRepository, name: str) -> str:
        """Where a file's bytes are, at the commit that was listed. It redirects to another host for large files."""
        return f"{self.endpoint}/{repository.id}/resolve/{quote(repository.revision, safe='')}/{quote(name)}"

    async def headers(self, url: str) -> dict[str, str]:
        """What to send to an address that `file_url` gave, and to no other host."""
        return await self._access.headers(url)

    def refusal(self, repository: str, status: int, retry_after_s: float | None = None) -> AppError:
        """The error that an HTTP status of the hub stands for."""
        return refusal(self._access, repository, status, retry_after_s)

    async def _ask(self, repository: str, work: Callable[[HfApi], T]) -> T:
        """What `work` returns; `repository` is what it is about, "" if none."""
        session = await self._shared_session()

        import httpx2
        from huggingface_hub.errors import (
            BadRequestError,
            DisabledRepoError,
            GatedRepoError,
            HfHubHTTPError,
            RevisionNotFoundError,
        )
        from huggingface_hub.errors import RepositoryNotFoundError as HubRepositoryNotFound

        access = self._access
        try:
            return await session.ask(work)
        except GatedRepoError as error:
            raise denied(access, repository) from error
        except HubRepositoryNotFound as error:
            raise RepositoryNotFound(f"There is no repository {repository} on {access.host}, or it is private.") from error
        except RevisionNotFoundError as error:
            raise RepositoryNotFound(f"{repository} on {access.host} has no such branch, tag or commit.") from error
        except DisabledRepoError as error:
            raise RepositoryNotFound(f"{repository} has been disabled by {access.host}.") from error
        except BadRequestError as error:
            raise InvalidRequest(
                f"{access.host} does not understand what is asked for. Change it, or leave filters out."
            ) from error
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status == 401 and await access.token() is not None:
                raise token_refused(access) from error
            if not repository:
                raise NotAHub(access.host) from error
            raise refusal(access, repository, status) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError, AttributeError) as error:
            # Redirects that lead nowhere, or an answer in another shape.
            raise NotAHub(access.host) from error

    async def _shared_session(self) -> HubSession:
        if self._session is None:
            self._session = asyncio.ensure_future(asyncio.to_thread(_new_session, self._access, self._keeps_connections))
        return await asyncio.shield(self._session)


def _fixed(endpoint: str, token: str | None) -> HubAccess:
    settings = Settings(hub_endpoint=endpoint)
    return HubAccess(lambda: settings, token=token)


def _new_session(access: HubAccess, keeps_connections: bool) -> HubSession:
    # 0.5 s to import: not before somebody asks the hub for something.
    from app.library.hub_session import HubSession

    return HubSession(access, keeps_connections=keeps_connections)


def _search(query: HubQuery) -> Callable[[HfApi], HubPage]:
    def run(api: HfApi) -> HubPage:
        from app.library.hub_search import search

        return search(api, query)

    return run


def _read(address: HubAddress) -> Callable[[HfApi], RemoteRepository]:
    def run(api: HfApi) -> RemoteRepository:
        from app.library.hub_facts import repository_of

        name = address.repository
        return repository_of(name, api.model_info(name, revision=address.revision or None, files_metadata=True))

    return run


def _one_model(api: HfApi) -> None:
    if not any(True for _ in api.list_models(filter="gguf", limit=1)):
        raise ValueError("A hub without a single model is none.")


def _user(api: HfApi) -> str:
    """Whose token it is; "" on a mirror that can't say."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return str(api.whoami()["name"])
    except HfHubHTTPError as error:
        if error.response.status_code in (404, 405, 501):
            return ""
        raise


def _state_of(error: HubUnreachable | AccessDenied) -> HubState:
    match error:
        case AccessDenied():
            return HubState.TOKEN_REFUSED
        case HubOffline():
            return HubState.OFFLINE
        case HubBusy():
            return HubState.BUSY
        case NotAHub():
            return HubState.NOT_A_HUB
        case _:
            return HubState.UNREACHABLE
