"""What the hub's refusals mean."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain.errors import AccessDenied, AppError, HubBusy, HubUnreachable, RepositoryNotFound
from app.library.hub_access import HubAccess

__all__ = ["denied", "passes", "refusal", "retry_after_s", "signed_link_ended", "token_refused"]


def refusal(access: HubAccess, repository: str, status: int, retry_after_s: float | None = None) -> AppError:
    """The error that an HTTP status of the hub stands for."""
    match status:
        case 401 | 403:
            return denied(access, repository)
        case 404 | 410:
            return RepositoryNotFound(f"The file is no longer in {repository} on {access.host}.")
        case 429:
            return HubBusy(access.host, retry_after_s=retry_after_s)
        case _:
            return HubUnreachable(f"{access.host} answers with error {status}. Try again later.")


def denied(access: HubAccess, repository: str) -> AccessDenied:
    page = f"{access.endpoint}/{repository}"
    return AccessDenied(
        f"{repository} is gated or private. Accept its licence at {page}, then enter your access token in the settings, "
        "with `hearth hub token`, or as HF_TOKEN.",
        repository=repository,
        license_url=page,
    )


def token_refused(access: HubAccess) -> AccessDenied:
    return AccessDenied(f"{access.host} refuses the access token. Enter a valid one, or delete it.")


def passes(status: int) -> bool:
    """Whether the same request may well be answered a little later."""
    return status in (408, 425, 429) or status >= 500


def signed_link_ended(status: int, *, redirected: bool) -> bool:
    """A link to the storage behind the hub lives for minutes; the next try gets a new one."""
    return redirected and status in (400, 401, 403)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long to wait, as `Retry-After` or the hub's own `RateLimit: "api";r=0;t=55` says."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    for part in headers.get("ratelimit", "").split(";"):
        name, _, number = part.strip().partition("=")
        if name == "t" and number.isdigit():
            return float(number)
    return None
