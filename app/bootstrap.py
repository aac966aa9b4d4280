"""The only place that builds and joins objects. One exit stack closes them in reverse."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path

from app.domain.errors import SettingsError
from app.domain.models import DownloadProgress, DownloadState
from app.engine.client import EngineLauncher
from app.engine.inprocess import ThreadLauncher
from app.engine.process import ProcessLauncher
from app.library.download_records import DownloadRecords
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.hub_access import HubAccess
from app.library.library import ModelLibrary
from app.library.outlines import Outlines
from app.library.remote_header import RemoteHeaders
from app.library.retry_policy import RetryPolicy
from app.options import EngineMode, Options
from app.paths import Paths
from app.server.host import ApiServer
from app.service.activity import Activity
from app.service.api_keys import ApiKeys
from app.service.backup_keeper import BackupKeeper
from app.service.chat import ChatService
from app.service.conversations import ConversationService
from app.service.embeddings import EmbeddingService
from app.service.fit import FitService
from app.service.imports import ImportService
from app.service.loop import ServiceLoop
from app.service.model_profiles import ModelProfiles
from app.service.models import ModelManager
from app.service.moved_models import MovedModels
from app.service.pictures import PictureFetcher
from app.service.refusals import Refusals
from app.service.server_control import ServerState
from app.service.services import Services
from app.settings import SettingsStore

__all__ = ["Running", "running"]


@dataclass(frozen=True, slots=True)
class Running:
    """The program without a front end of its own: the service thread and everything that lives on it."""

    loop: ServiceLoop
    services: Services


@contextmanager
def running(options: Options) -> Iterator[Running]:
    """Build everything; on leaving, stop the server, end the workers, and join the threads.

    Raises SettingsError, with nothing left behind.
    """
    paths = Paths.of(options.profile)
    with _logging(paths, verbose=options.verbose), ServiceLoop() as loop:
        built = services(paths, options)
        program = Running(loop, loop.submit(built.__aenter__()).result())
        try:
            yield program
        finally:
            loop.submit(built.__aexit__(None, None, None)).result()


@asynccontextmanager
async def services(paths: Paths, options: Options) -> AsyncGenerator[Services, None]:
    """Everything below the front ends, on the running event loop."""
    async with AsyncExitStack() as stack:
        settings = SettingsStore(paths.settings_file, overrides=options.overrides)
        library = ModelLibrary(paths, settings)
        stack.push_async_callback(library.close)
        await library.refresh()
        moved = MovedModels(library, settings, paths.model_files)
        stack.push_async_callback(moved.close)
        await moved.follow()
        library.watch()
        access = HubAccess.of(paths, settings)
        stack.callback(settings.changed.subscribe(access.settings_changed))
        hub = Hub(access)
        stack.push_async_callback(hub.close)
        downloads = DownloadManager(
            hub,
            settings,
            lambda: library.folder,
            DownloadRecords(paths.downloads),
            # While a person wants it, however long the network is away.
            policy=RetryPolicy(tries=None),
        )
        stack.push_async_callback(downloads.close)
        stack.callback(downloads.changed.subscribe(_refresh_when_installed(library)))
        await downloads.restore()
        launcher = _launcher(options.engine)
        models = ModelManager(library, launcher, settings, cache_folder=paths.prompts)
        stack.push_async_callback(models.close)
        outlines = Outlines(paths.outlines)
        headers = RemoteHeaders(hub, outlines)
        stack.push_async_callback(headers.close)
        fit = FitService(library, models, launcher, settings, headers, outlines)
        stack.push_async_callback(fit.close)
        chat = ChatService(models, PictureFetcher(lambda: settings.current.fetch_images))
        conversations = ConversationService(paths.chats_file, chat)
        stack.push_async_callback(conversations.close)
        keeper = BackupKeeper(paths.chats_file)
        keeper.start()
        stack.push_async_callback(keeper.close)
        embeddings = EmbeddingService(models)
        activity, api_keys, refusals = Activity(), ApiKeys(paths.api_keys), Refusals()
        server = ApiServer(
            chat=chat,
            embeddings=embeddings,
            models=models,
            library=library,
            activity=activity,
            settings=settings,
            keys=api_keys,
            refusals=refusals,
        )
        # Closed in reverse: the end of the server is still told of.
        stack.callback(server.changed.subscribe(lambda state: _publish(paths, state)))
        stack.push_async_callback(server.stop)
        yield Services(
            paths=paths,
            settings=settings,
            library=library,
            hub=hub,
            hub_access=access,
            downloads=downloads,
            models=models,
            profiles=ModelProfiles(library, settings),
            imports=ImportService(library, hub, downloads, settings),
            fit=fit,
            chat=chat,
            embeddings=embeddings,
            conversations=conversations,
            activity=activity,
            api_keys=api_keys,
            refusals=refusals,
            server=server,
        )


def _refresh_when_installed(library: ModelLibrary) -> Callable[[DownloadProgress], None]:
    """A downloaded model is listed at once, also where no window is open."""
    refreshing: set[asyncio.Task[object]] = set()

    def on_progress(progress: DownloadProgress) -> None:
        if progress.state is DownloadState.DONE:
            task = asyncio.get_running_loop().create_task(library.refresh())
            refreshing.add(task)
            task.add_done_callback(refreshing.discard)

    return on_progress


def _launcher(mode: EngineMode) -> EngineLauncher:
    match mode:
        case EngineMode.PROCESS:
            return ProcessLauncher()
        case EngineMode.THREAD:
            return ThreadLauncher()


def _publish(paths: Paths, state: ServerState) -> None:
    """Leave the server's address where `hearth ps` finds it."""
    file = paths.running_file
    if state.running:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"address": state.address, "pid": os.getpid()}), "utf-8")
    elif _is_ours(file):
        file.unlink(missing_ok=True)


def _is_ours(file: Path) -> bool:
    """Whether this program wrote the file last: another of the same profile may have done so since."""
    try:
        told = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("pid") == os.getpid()


def _log_file(paths: Paths) -> logging.Handler:
    """The first file that a run writes: where it can't be written, nothing else can. Raises SettingsError."""
    try:
        paths.logs.mkdir(parents=True, exist_ok=True)
        return RotatingFileHandler(paths.log_file, maxBytes=2_000_000, backupCount=2, encoding="utf-8")
    except OSError as error:
        hint = "Make the folder writable, or choose another one with --profile."
        raise SettingsError(f"{paths.log_file} can't be written: {error.strerror}. {hint}") from error


@contextmanager
def _logging(paths: Paths, *, verbose: bool) -> Iterator[None]:
    """Log to a file that never grows beyond a few megabytes, and to the terminal if asked. Prompts are never logged.

    A thread of its own writes: the service loop waits for no disk.
    """
    handlers: list[logging.Handler] = [_log_file(paths)]
    if verbose:
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    entry = QueueHandler(queue.SimpleQueue())
    listener = QueueListener(entry.queue, *handlers)
    root, client = logging.getLogger(), logging.getLogger("httpx2")
    levels = root.level, client.level
    root.setLevel(logging.INFO)
    # It would write down every address that is asked, signatures of downloads included.
    client.setLevel(logging.WARNING)
    root.addHandler(entry)
    listener.start()
    try:
        yield
    finally:
        for logger, level in zip((root, client), levels, strict=True):
            logger.setLevel(level)
        root.removeHandler(entry)
        listener.stop()
        for handler in handlers:
            handler.close()
