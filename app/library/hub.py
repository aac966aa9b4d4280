"""The Hugging Face hub, or a mirror of it: which GGUF files a repository holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from app.domain.errors import AccessDenied, AppError, HubUnreachable, RepositoryNotFound
from app.domain.models import RemoteFile, RemoteRepository
from app.library.hub_address import HubAddress, parse_address
from app.library.hub_listing import ListedFile, group_files, projector_for

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

__all__ = ["Hub"]

_TIMEOUT_S: Final = 20.0
_OFFICIAL_HOST: Final = "huggingface.co"


class Hub:
    """Reads listings through huggingface_hub. Owned by the service loop; network calls run on another thread."""

    def __init__(self, *, endpoint: str, token: str | None = None) -> None:
        """Without a `token`, the one saved by Hugging Face's own tools is used, but is never sent to a mirror."""
        self._endpoint = endpoint.rstrip("/")
        self._token = token

    @property
    def endpoint(self) -> str:
        return self._endpoint

    async def repository(self, repository: str) -> RemoteRepository:
        """What `org/name` (or a hub address a person pasted) holds. Raises DownloadError kinds and InvalidRequest."""
        address = parse_address(repository, endpoint=self._endpoint)
        return await asyncio.to_thread(self._read, address)

    @staticmethod
    def best_projector(repository: RemoteRepository, file: RemoteFile) -> RemoteFile | None:
        """The projector to download with `file`, if the repository has one."""
        return projector_for(repository, file)

    def file_url(self, repository: RemoteRepository, name: str) -> str:
        """Where a file's bytes are, at the commit that was listed. It redirects to another host for large files."""
        return f"{self._endpoint}/{repository.id}/resolve/{quote(repository.revision, safe='')}/{quote(name)}"

    async def headers(self) -> dict[str, str]:
        """What to send to `file_url` and to no other host."""
        token = await asyncio.to_thread(self._access_token)
        return {"authorization": f"Bearer {token}"} if token else {}

    def _read(self, address: HubAddress) -> RemoteRepository:
        # 0.5 s to import: not before somebody asks the hub for something.
        import httpx2
        from huggingface_hub import HfApi, constants
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RevisionNotFoundError
        from huggingface_hub.errors import RepositoryNotFoundError as HubRepositoryNotFound

        # Otherwise 2.4 asks huggingface.co which agents there are before the first call, even where a mirror is used.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        name = address.repository
        try:
            api = HfApi(endpoint=self._endpoint, token=self._access_token() or False, library_name="hearth")
            info = api.model_info(name, revision=address.revision or None, files_metadata=True, timeout=_TIMEOUT_S)
            return _listing(name, info)
        except GatedRepoError as error:
            raise self._denied(name) from error
        except (HubRepositoryNotFound, RevisionNotFoundError) as error:
            raise RepositoryNotFound(f"There is no repository {name} on {self._host}, or it is private.") from error
        except HfHubHTTPError as error:
            raise self.refusal(name, error.response.status_code) from error
        except OfflineModeIsEnabled as error:
            raise HubUnreachable("HF_HUB_OFFLINE is set, so the hub is not asked. Unset it to go online.") from error
        except httpx2.TimeoutException as error:
            raise HubUnreachable(f"{self._host} did not answer within {_TIMEOUT_S:.0f} seconds. Try again later.") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise HubUnreachable(f"{self._host} can't be reached. Check the network connection.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HubUnreachable(
                f"{self._host} does not answer like a model hub. A proxy or a login page may be in between."
            ) from error

    def refusal(self, repository: str, status: int) -> AppError:
        """The error that an HTTP status of the hub stands for."""
        match status:
            case 401 | 403:
                return self._denied(repository)
            case 404 | 410:
                return RepositoryNotFound(f"The file is no longer in {repository} on {self._host}.")
            case 429:
                return HubUnreachable(f"{self._host} asks to wait: too many requests. Try again in a few minutes.")
            case _:
                return HubUnreachable(f"{self._host} answers with error {status}. Try again later.")

    def _denied(self, repository: str) -> AccessDenied:
        return AccessDenied(
            f"{repository} is gated or private. Accept its licence at {self._endpoint}/{repository}, "
            "then set HF_TOKEN to your access token and start again."
        )

    @property
    def _host(self) -> str:
        return urlsplit(self._endpoint).netloc or self._endpoint

    def _access_token(self) -> str | None:
        if self._token is not None or self._host.casefold() != _OFFICIAL_HOST:
            return self._token
        from huggingface_hub import get_token

        return get_token()


def _listing(name: str, info: ModelInfo) -> RemoteRepository:
    files = (ListedFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None) for file in info.siblings or ())
    licenses = [tag.partition(":")[2] for tag in info.tags or () if tag.startswith("license:")]
    return RemoteRepository(
        id=info.id or name,
        revision=info.sha or "main",
        files=group_files(files),
        gated=bool(info.gated),
        license=licenses[0] if licenses else "",
        downloads=info.downloads or 0,
    )
