"""Reading the headers of files that are still on the hub, for their outlines."""

from __future__ import annotations

import asyncio
import hashlib
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from app.domain.errors import AppError, DownloadError, HubUnreachable, NotAModel
from app.domain.models import RemoteFile, RemoteRepository
from app.library.gguf_container import HeaderCut, Tensor, read_container
from app.library.gguf_types import TENSOR_TYPES
from app.library.hub import Hub
from app.library.outline import Outline, outline_of, read_outline, resized, tensor_entry
from app.library.outlines import Outlines
from app.library.range_reader import RangeReader, RemotePart
from app.library.web_file import web_refusal

__all__ = ["RemoteHeaders", "RemoteOutline"]

_CONNECTIONS: Final = 4
_FIRST_BYTES: Final = 1 << 20
# Of all shards but the first: they have no metadata to speak of.
_FIRST_SHARD_BYTES: Final = 1 << 16
_GROWTH: Final = 3
# A vocabulary of 260,000 tokens and their merges takes some 15 MB.
_MAX_BYTES: Final = 96 << 20
# Where the hyperparameters stand, and by how much the list of tensors may have moved from one quantization to another.
_HEAD_BYTES: Final = 1 << 16
_SLACK_BYTES: Final = 1 << 16
_PLACE: Final = struct.Struct("<IQ")


@dataclass(frozen=True, slots=True)
class RemoteOutline:
    """`estimated`: the file itself could not be read; it is told from another quantization of its repository and its size."""

    path: Path
    estimated: bool = False


@dataclass(eq=False, slots=True, weakref_slot=True)
class _First:
    """The reading of the first header of a repository, for which the others wait; `failed` if it could not be had."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    failed: HubUnreachable | None = None


class RemoteHeaders:
    """Fetches headers by ranges that grow until they suffice, and no more of a file than that.

    Quantizations of one model differ in how their tensors are stored. So the header of the first one of a repository is read
    whole, vocabulary and all; of the others only the hyperparameters, to see that they are the same, and the list of tensors.

    Owned by the service loop. Whoever stops waiting does not stop the reading, which is kept for the next.
    """

    def __init__(self, hub: Hub, outlines: Outlines, reader: RangeReader | None = None) -> None:
        self._hub = hub
        self._outlines = outlines
        self._reader = reader or RangeReader(hub)
        self._connections = asyncio.Semaphore(_CONNECTIONS)
        self._reading: dict[str, asyncio.Task[Path]] = {}
        self._firsts: WeakValueDictionary[tuple[str, str, bool], _First] = WeakValueDictionary()
        self._no_models: dict[str, str] = {}

    async def close(self) -> None:
        for task in tuple(self._reading.values()):
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)
        await self._reader.close()

    async def outline(self, repository: RemoteRepository, file: RemoteFile) -> RemoteOutline:
        """Raises the DownloadError that is in the way, NotAModel for what is no GGUF, and OSError if nothing can be kept."""
        key = _key_of(repository, file)
        known = await asyncio.to_thread(self._outlines.known, key)
        if known is not None:
            return RemoteOutline(known)
        if key in self._no_models:
            raise NotAModel(Path(file.label), self._no_models[key])
        try:
            return RemoteOutline(await asyncio.shield(self._task(repository, file, key)))
        except NotAModel as error:
            self._no_models[key] = error.reason
            raise
        except DownloadError:
            estimate = await asyncio.to_thread(self._estimate, repository, file, key)
            if estimate is None:
                raise
            return RemoteOutline(estimate, estimated=True)

    def _task(self, repository: RemoteRepository, file: RemoteFile, key: str) -> asyncio.Task[Path]:
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(repository, file, key))
            task.add_done_callback(lambda ended: self._forget(key, ended))
        return task

    def _forget(self, key: str, ended: asyncio.Task[Path]) -> None:
        del self._reading[key]
        if not ended.cancelled():
            # Marks it as seen: perhaps nobody waits any more.
            ended.exception()

    async def _read(self, repository: RemoteRepository, file: RemoteFile, key: str) -> Path:
        kind = (repository.id, repository.revision, file.is_projector)
        first = self._firsts.setdefault(kind, _First())
        waits = first.lock.locked()
        async with first.lock:
            sibling = await asyncio.to_thread(self._sibling, repository, file)
            if sibling is None:
                if waits and first.failed is not None:
                    # A server that stalls is waited for once, not for each file.
                    raise first.failed
                first.failed = None
                try:
                    return await self._kept(key, await self._whole(repository, file))
                except HubUnreachable as error:
                    first.failed = error
                    raise
        async with self._connections:
            outline = await self._by_sibling(repository, file, sibling)
        return await self._kept(key, outline or await self._whole(repository, file))

    async def _kept(self, key: str, outline: Outline) -> Path:
        return await asyncio.to_thread(self._outlines.keep, key, outline)

    # ------------------------------------------------------------------------------------------------ from another's header
    def _sibling(self, repository: RemoteRepository, file: RemoteFile) -> Outline | None:
        """The outline of another quantization, if one is known."""
        for other in repository.files:
            if other == file or other.is_projector != file.is_projector:
                continue
            path = self._outlines.known(_key_of(repository, other))
            if path is not None:
                try:
                    return read_outline(path)
                except NotAModel:
                    continue
        return None

    def _estimate(self, repository: RemoteRepository, file: RemoteFile, key: str) -> Path | None:
        sibling = self._sibling(repository, file)
        return self._outlines.keep(f"{key}-estimated", resized(sibling, file.size_bytes)) if sibling is not None else None

    async def _by_sibling(self, repository: RemoteRepository, file: RemoteFile, sibling: Outline) -> Outline | None:
        """None if it is not such a quantization after all."""
        if len(file.names) > 1 or not sibling.table_start or not sibling.tensors:
            return None
        (part,) = self._parts(repository, file)
        start = max(0, sibling.table_start - _SLACK_BYTES)
        end = min(part.size_bytes, sibling.table_start + sibling.table_bytes + _SLACK_BYTES)
        head = await self._reader.read(part, 0, min(_HEAD_BYTES, part.size_bytes))
        if any(entry not in head for entry in sibling.hyperparameters):
            return None
        return _retold(sibling, await self._reader.read(part, start, end), start, part.size_bytes)

    # ------------------------------------------------------------------------------------------------------ from its own
    async def _whole(self, repository: RemoteRepository, file: RemoteFile) -> Outline:
        parts = self._parts(repository, file)
        with tempfile.TemporaryDirectory(prefix="hearth-header-", ignore_cleanup_errors=True) as folder:
            begun = [Path(folder, f"{number}.gguf") for number in range(len(parts))]
            async with self._connections:
                for number, part in enumerate(parts):
                    await self._header(part, begun[number], first=_FIRST_SHARD_BYTES if number else _FIRST_BYTES)
            return await asyncio.to_thread(outline_of, begun)

    async def _header(self, part: RemotePart, begun: Path, *, first: int) -> None:
        """Fill `begun` until the header is complete."""
        have, step = b"", first
        while True:
            end = min(part.size_bytes, len(have) + step, _MAX_BYTES)
            have += await self._reader.read(part, len(have), end)
            await asyncio.to_thread(begun.write_bytes, have)
            try:
                if (await asyncio.to_thread(read_container, begun)).end > part.size_bytes:
                    raise NotAModel(begun, "its header tells of more than the file holds.")
            except HeaderCut as error:
                if end == min(part.size_bytes, _MAX_BYTES):
                    raise NotAModel(Path(part.name), "its header does not end.") from error
                step *= _GROWTH
            except NotAModel as error:
                raise NotAModel(Path(part.name), error.reason) from error
            else:
                return

    def _parts(self, repository: RemoteRepository, file: RemoteFile) -> tuple[RemotePart, ...]:
        urls = file.urls or tuple(self._hub.file_url(repository, name) for name in file.names)
        sizes = file.sizes or (file.size_bytes,)
        return tuple(
            RemotePart(name, size, url, not file.urls, self._refusal(repository, url, elsewhere=bool(file.urls)))
            for name, size, url in zip(file.names, sizes, urls, strict=True)
        )

    def _refusal(self, repository: RemoteRepository, url: str, *, elsewhere: bool) -> Callable[[int, float | None], AppError]:
        return partial(web_refusal, urlsplit(url).netloc) if elsewhere else partial(self._hub.refusal, repository.id)


def _key_of(repository: RemoteRepository, file: RemoteFile) -> str:
    """The same for the same bytes, wherever they are, if the hub tells their hashes."""
    hashes = [sha256 for sha256 in file.sha256 if sha256]
    told = hashes if len(hashes) == len(file.names) else [repository.id, repository.revision, *file.names, *file.urls]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _retold(sibling: Outline, window: bytes, window_start: int, size_bytes: int) -> Outline | None:
    """The same list of tensors, stored in other ways, found in a stretch of a file; None if it does not account for the file
    to the last byte."""
    found = window.find(tensor_entry(sibling.tensors[0]))
    if found < 0:
        return None
    tensors = tuple(_tensors(sibling.tensors, window, found, sibling.alignment))
    if len(tensors) < len(sibling.tensors):
        return None
    end = window_start + found + sibling.table_bytes
    data = -(-end // sibling.alignment) * sibling.alignment
    needed = data + tensors[-1].offset + tensors[-1].size_bytes
    if not needed <= size_bytes <= needed + sibling.alignment:
        return None
    return Outline(sibling.entries, tensors, sibling.alignment, window_start + found)


def _tensors(like: Iterable[Tensor], window: bytes, at: int, alignment: int) -> Iterator[Tensor]:
    """Those that follow one another as expected."""
    offset = 0
    for tensor in like:
        entry = tensor_entry(tensor)
        at += len(entry)
        if window[at - len(entry) : at] != entry or len(window) < at + _PLACE.size:
            return
        number, told = _PLACE.unpack_from(window, at)
        at += _PLACE.size
        kind = TENSOR_TYPES.get(number)
        if kind is None or told != offset:
            return
        stored = Tensor(tensor.name, tensor.shape, kind, offset)
        offset += -(-stored.size_bytes // alignment) * alignment
        yield stored
