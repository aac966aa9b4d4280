"""Every error this program raises on purpose.

    AppError
    ├── RequestError                 the caller can mend it by changing the request
    │   ├── InvalidRequest           a value is wrong; `param` names it
    │   │   └── UnsupportedParameter a field is understood, but ignoring it would change the answer's shape or bounds
    │   ├── UnsupportedContent       the model can't take this kind of input (an image, audio, tools)
    │   ├── ContextOverflow          prompt (and reserve) do not fit into the model's context
    │   ├── AnswerOverflow           the answer doesn't, where one that is cut would be no use
    │   ├── ModelNotFound            no installed model has this name
    │   └── ResponseNotFound         no response of this id is kept
    │       └── PreviousResponseNotFound  … that a new one could go on from
    ├── EngineError
    │   ├── ModelLoadFailed          a file can't be loaded; `reason` says why
    │   │   └── NotEnoughMemory      it would not fit
    │   ├── EngineBusy               the waiting queue is full; try again later
    │   ├── EngineStopped            the model was unloaded, or the program is closing
    │   ├── EngineCrashed            the worker process died
    │   └── GenerationFailed         this request failed inside llama.cpp; others go on
    ├── LibraryError
    │   ├── NotAModel                the file is missing, truncated, or no GGUF
    │   ├── NotRemovable             the file is not ours to delete
    │   ├── NotRestorable            what was removed can't be brought back
    │   ├── NotMovable               the models folder can't be moved there, or not now
    │   └── DownloadError
    │       ├── HubUnreachable       no network, a proxy in the way, or the hub is down
    │       │   ├── HubOffline       the hub is switched off in the settings
    │       │   ├── HubBusy          too many requests; `retry_after_s` says when to come back
    │       │   └── NotAHub          something else answers, such as a login page
    │       ├── RepositoryNotFound   no such repository or file
    │       ├── AccessDenied         gated or private: a token or a licence is missing
    │       ├── NotEnoughSpace       the disk is too small
    │       ├── AlreadyDownloading   another program does it
    │       ├── FolderMoving         the models folder is being brought elsewhere
    │       └── ChecksumMismatch     what arrived is not what the hub promised
    ├── StoreError                   the conversation database can't be read or written
    ├── SettingsError                the settings file, or a value for it, is wrong
    └── AddressInUse                 another program listens on the port

Errors carry data as attributes. The sentence for a person is chosen by the front end that shows it: `app.server.errors` for
HTTP, `app.gui.errors` for the window; `str(error)` is a plain English sentence good enough for a log and a terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.domain.memory import MemoryPlan

__all__ = [
    "AccessDenied",
    "AddressInUse",
    "AlreadyDownloading",
    "AnswerOverflow",
    "AppError",
    "ChecksumMismatch",
    "ContextOverflow",
    "DownloadError",
    "EngineBusy",
    "EngineCrashed",
    "EngineError",
    "EngineStopped",
    "FolderMoving",
    "GenerationFailed",
    "HubBusy",
    "HubOffline",
    "HubUnreachable",
    "InvalidRequest",
    "LibraryError",
    "ModelLoadFailed",
    "ModelNotFound",
    "NotAHub",
    "NotAModel",
    "NotEnoughMemory",
    "NotEnoughSpace",
    "NotMovable",
    "NotRemovable",
    "NotRestorable",
    "PreviousResponseNotFound",
    "RepositoryNotFound",
    "RequestError",
    "ResponseNotFound",
    "SettingsError",
    "StoreError",
    "UnsupportedContent",
    "UnsupportedParameter",
]


class AppError(Exception):
    """Base of every error this program raises on purpose."""

    def __reduce__(self) -> tuple[Callable[..., AppError], tuple[object, ...]]:
        # Errors cross the process border; the default would drop keyword-only arguments.
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class RequestError(AppError):
    """The caller can mend it by changing the request. `param` is the path of the offending field, or None."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class InvalidRequest(RequestError):
    """A value is wrong, out of range, or contradicts another."""


class UnsupportedParameter(InvalidRequest):
    """Hearth does not do what this field asks for, and ignoring it would change the answer's shape or bounds."""


class UnsupportedContent(RequestError):
    """The model can't take this kind of input."""


class ContextOverflow(RequestError):
    """The prompt has `n_prompt` tokens, the model's context `n_ctx`."""

    def __init__(self, *, n_prompt: int, n_ctx: int, param: str | None = "messages") -> None:
        super().__init__(
            # Coding agents look for these words to know that they have to shorten the conversation.
            f"The prompt is too long: {n_prompt} tokens > {n_ctx} maximum context length. "
            "Shorten it, or load the model with a longer context.",
            param=param,
        )
        self.n_prompt = n_prompt
        self.n_ctx = n_ctx


class AnswerOverflow(RequestError):
    """The context was full before the answer came to its end."""

    def __init__(self, *, param: str | None = "messages") -> None:
        message = "The model's context was full before the answer came to its end."
        super().__init__(f"{message} Send less at once, or load the model with a longer context.", param=param)


class ModelNotFound(RequestError):
    """No installed model is called `model`, or more than one.

    `near` lists similar names; with `ambiguous` all of them fit. `pull` is what to call it to `hearth pull`, "" if it is in no
    catalogue. `asked` is the name that was to stand for `model`, "" if that was asked for itself.
    """

    def __init__(
        self, model: str, *, near: tuple[str, ...] = (), ambiguous: bool = False, pull: str = "", asked: str = ""
    ) -> None:
        shown = model if len(model) <= 200 else f"{model[:199]}…"
        if ambiguous:
            message = f"Several models are called '{shown}': {', '.join(near)}. Use one of these names."
        else:
            stands_for = f", which is to answer to '{asked}'," if asked else ""
            message = f"The model '{shown}'{stands_for} is not installed."
            message += f" Did you mean {' or '.join(near)}?" if near else ""
            message += f" Get it with `hearth pull {pull}`, or on the Models page of Hearth's window." if pull else ""
        super().__init__(message, param="model")
        self.model = model
        self.near = near
        self.ambiguous = ambiguous
        self.pull = pull
        self.asked = asked


class ResponseNotFound(RequestError):
    """No response with this id is kept: it never was, was deleted, or is too old."""

    def __init__(self, response_id: str) -> None:
        super().__init__(f"Response with id '{response_id[:200]}' not found.")


class PreviousResponseNotFound(ResponseNotFound):
    """The one that a new response was to go on from."""

    def __init__(self, response_id: str) -> None:
        RequestError.__init__(
            self,
            f"Previous response with id '{response_id[:200]}' not found. Send the conversation itself as 'input'.",
            param="previous_response_id",
        )


class EngineError(AppError):
    """Something below the request failed."""


class ModelLoadFailed(EngineError):
    """`model` can't be loaded. `reason` is a sentence; `log_tail` llama.cpp's last lines."""

    def __init__(self, model: str, reason: str, *, log_tail: tuple[str, ...] = ()) -> None:
        super().__init__(f"{model} can't be loaded: {reason}")
        self.model = model
        self.reason = reason
        self.log_tail = log_tail

    def of(self, model: str) -> ModelLoadFailed:
        """The same of a model by the name its users know."""
        return type(self)(model, self.reason, log_tail=self.log_tail)


class NotEnoughMemory(ModelLoadFailed):
    """`model` would not fit into the memory that is free. `plan` is the smallest there is, None where it failed in spite of its
    plan."""

    def __init__(self, model: str, reason: str, *, log_tail: tuple[str, ...] = (), plan: MemoryPlan | None = None) -> None:
        super().__init__(model, reason, log_tail=log_tail)
        self.plan = plan

    def of(self, model: str) -> NotEnoughMemory:
        return NotEnoughMemory(model, self.reason, log_tail=self.log_tail, plan=self.plan)


class EngineBusy(EngineError):
    """The waiting queue is full."""

    def __init__(self, *, retry_after_s: float = 1.0) -> None:
        super().__init__("Too many requests are waiting. Try again in a moment.")
        self.retry_after_s = retry_after_s


class EngineStopped(EngineError):
    """The model was unloaded, or the program is closing."""

    def __init__(self, message: str = "The model was unloaded before the answer was finished.") -> None:
        super().__init__(message)


class EngineCrashed(EngineError):
    """The worker process ended by itself. A negative `exit_code` is the number of the signal that ended it."""

    def __init__(self, *, exit_code: int | None, log_tail: tuple[str, ...] = ()) -> None:
        super().__init__("The model's process stopped unexpectedly. Your request can be sent again.")
        self.exit_code = exit_code
        self.log_tail = log_tail


class GenerationFailed(EngineError):
    """This request failed inside llama.cpp; the engine and other requests go on."""


class LibraryError(AppError):
    """A model file, on this disk or on the hub."""


class NotAModel(LibraryError):
    """`path` can't be used as a model; `reason` is a sentence."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path.name} can't be used: {reason}")
        self.path = path
        self.reason = reason


class NotRemovable(LibraryError):
    """The model is built in, or belongs to another program or folder."""


class NotMovable(LibraryError):
    """The models folder can't be moved to that place, or not now. Nothing was changed."""


class NotRestorable(LibraryError):
    """What was removed is deleted for good, or something else is in its place."""


class DownloadError(LibraryError):
    """A transfer from the hub."""


class HubUnreachable(DownloadError):
    """No network, a proxy in the way, or the hub is down."""


class HubOffline(HubUnreachable):
    """The person wants no request to be sent. `variable` is the environment variable that says so, "" if a setting does."""

    def __init__(self, *, variable: str = "") -> None:
        told = f"{variable} is set" if variable else "Hearth is set to work offline"
        mend = f"Unset {variable} to go online." if variable else "Switch that off in the settings (hub_offline) to go online."
        super().__init__(f"{told}, so the hub is not asked. {mend}")
        self.variable = variable


class HubBusy(HubUnreachable):
    """The hub asks to wait. `retry_after_s` is None where it does not say for how long."""

    def __init__(self, host: str, *, retry_after_s: float | None = None) -> None:
        when = f"in {retry_after_s:.0f} seconds" if retry_after_s is not None else "in a few minutes"
        super().__init__(f"{host} asks to wait: too many requests. Try again {when}.")
        self.retry_after_s = retry_after_s


class NotAHub(HubUnreachable):
    """Something else answers at the hub's address."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} does not answer like a model hub. A proxy or a login page may be in between.")


class RepositoryNotFound(DownloadError):
    """No such repository or file."""


class AccessDenied(DownloadError):
    """Gated or private: a token, or the acceptance of a licence, is missing.

    `license_url` is the page where `repository`'s licence can be accepted; both "" where the token itself is refused.
    """

    def __init__(self, message: str, *, repository: str = "", license_url: str = "") -> None:
        super().__init__(message)
        self.repository = repository
        self.license_url = license_url


class NotEnoughSpace(DownloadError):
    """The disk is too small."""

    def __init__(self, *, needed_bytes: int, free_bytes: int, folder: Path) -> None:
        super().__init__(
            f"{needed_bytes / 1e9:.1f} GB are needed in {folder}, but only {free_bytes / 1e9:.1f} GB are free. "
            "Free some space or choose another models folder."
        )
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes
        self.folder = folder


class AlreadyDownloading(DownloadError):
    """Another program of this profile writes the file."""


class FolderMoving(DownloadError):
    """Nothing may be put into the models folder until it is where a person wants it."""


class ChecksumMismatch(DownloadError):
    """What arrived is not what the hub promised."""


class StoreError(AppError):
    """The conversation database can't be read or written."""


class SettingsError(AppError):
    """The settings file, or a value for it, is wrong."""


class AddressInUse(AppError):
    """Another program listens on `host`:`port`; `free_port` is one that could be used instead."""

    def __init__(self, *, host: str, port: int, free_port: int) -> None:
        super().__init__(
            f"Port {port} on {host} is taken by another program. "
            f"Stop that program, or use another port (--port {free_port} is free)."
        )
        self.host = host
        self.port = port
        self.free_port = free_port


def _rebuild(kind: type[AppError], args: tuple[object, ...], state: dict[str, object]) -> AppError:
    """Make an error again on the other side of the process border without running its `__init__`."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
