"""What went wrong, in words for the person at the window: what happened, and what to do next."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from app.domain import errors

__all__ = ["sentence"]


def sentence(error: BaseException) -> str:
    """One or two plain sentences, in the language of the window."""
    match error:
        case errors.RequestError():
            return _request(error)
        case errors.EngineError():
            return _engine(error)
        case errors.LibraryError():
            return _library(error)
        case errors.StoreError():
            return _tr("Your conversations can't be read or saved: {0} Check that the disk is not full.").format(_ended(error))
        case errors.SettingsError():
            return _tr("This setting can't be used: {0}").format(_ended(error))
        case errors.AddressInUse():
            return _tr("Port {0} is taken by another program. Stop that program, or use port {1}, which is free.").format(
                error.port, error.free_port
            )
        case errors.AppError():
            return _ended(error)
        case _:
            return _tr("Something unexpected went wrong ({0}). The log file has the details.").format(_brief(error))


def _request(error: errors.RequestError) -> str:
    match error:
        case errors.ContextOverflow():
            return _tr(
                "This conversation is too long for the model: it has {0} tokens, and the model can read {1}. "
                "Start a new chat, shorten your message, or set a larger context size in Settings."
            ).format(error.n_prompt, error.n_ctx)
        case errors.ModelNotFound():
            return _model_not_found(error)
        case _:
            return _ended(error)


def _model_not_found(error: errors.ModelNotFound) -> str:
    if error.ambiguous:
        return _tr("Several models are called “{0}”: {1}. Choose one of them.").format(error.model, ", ".join(error.near))
    if error.near:
        hint = _tr("Did you mean {0}?").format(", ".join(error.near))
    else:
        hint = _tr("Get it on the Models page.") if error.pull else _tr("Choose another model.")
    return _tr("The model “{0}” is not installed.").format(error.model) + " " + hint


def _engine(error: errors.EngineError) -> str:
    match error:
        case errors.ModelLoadFailed():
            return _tr("{0} could not be loaded. {1}").format(error.model, _as_sentence(error.reason))
        case errors.EngineBusy():
            return _tr("The model is busy with other requests. Try again in a moment.")
        case errors.EngineStopped():
            return _tr("The model was unloaded before the answer was finished. Try again to load it and go on.")
        case errors.EngineCrashed():
            return _tr("The model stopped unexpectedly. Your conversation is safe: try again, and the model is started anew.")
        case errors.GenerationFailed():
            return _tr("The model could not finish this answer: {0} Try again, or choose another model.").format(_ended(error))
        case _:
            return _ended(error)


def _library(error: errors.LibraryError) -> str:
    match error:
        case errors.NotAModel():
            return _tr("{0} can't be used as a model. {1}").format(error.path.name, _as_sentence(error.reason))
        case errors.HubOffline() if not error.variable:
            return _tr("Hearth is set to work offline. Switch that off in Settings to reach the hub.")
        case errors.HubOffline() | errors.HubBusy():
            return _ended(error)
        case errors.AccessDenied() if error.license_url:
            return _tr(
                "{0} is gated or private. Accept its licence at {1}, then enter an access token of yours in Settings."
            ).format(error.repository, error.license_url)
        case errors.HubUnreachable():
            return _tr("{0} The address of the hub is in Settings.").format(_ended(error))
        case errors.RepositoryNotFound():
            return _tr("{0} Check the spelling: it looks like “organisation/name”.").format(_ended(error))
        case errors.NotEnoughSpace():
            return _tr("The disk is too full: {0} GB are needed, {1} GB are free. Free some space, then try again.").format(
                f"{error.needed_bytes / 1e9:.1f}", f"{error.free_bytes / 1e9:.1f}"
            )
        case errors.ChecksumMismatch():
            return _tr("The file arrived damaged and was discarded. Try again to download it anew.")
        case _:
            return _ended(error)


def _ended(error: BaseException) -> str:
    return _with_stop(str(error) or type(error).__name__)


def _as_sentence(reason: str) -> str:
    """A reason that was written to follow a colon."""
    return _with_stop(reason[:1].upper() + reason[1:])


def _with_stop(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _tr(text: str) -> str:
    return QCoreApplication.translate("errors", text)
