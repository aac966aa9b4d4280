"""Sequences' memory on the disk, one file per conversation and model: a conversation opens without reading its prompt again.

A file:  magic · header length (4 bytes, little endian) · header (JSON) · token ids (int32) · the native state
The header names the version of this format, the model with its context settings (`fingerprint`), and the SHA-256 of what
follows. What does not match in every point is not used, and deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import queue
import shutil
import tempfile
import threading
import time
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from app.engine.decoder import IntArray
from app.engine.saved import SavedSequence
from app.engine.tokens import shared_prefix

__all__ = ["StateFiles", "fingerprint_of", "forget_states"]

_LOG = logging.getLogger(__name__)
_MAGIC = b"HEARTHPC"
_VERSION = 1
_SUFFIX = ".prompt"
_MAX_HEADER = 65536
# Reading a file must save at least this much computing.
_WORTH_READING = 64
# A cache must never be what fills a disk.
_LEFT_FREE_BYTES = 2 * 1024**3
_ABANDONED_S = 3600
_SAMPLES = 32
_SAMPLE_BYTES = 16384


class StateFiles:
    """The files of one model in a folder that several models, and several programs of one profile, may share.

    `read` is for the preparing thread, everything else for the engine thread; writing is done on a thread of its own.
    """

    def __init__(self, folder: Path, fingerprint: str, *, budget_bytes: int) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._budget = budget_bytes
        # Owners whose latest state is in memory, so that there is nothing to look for on the disk.
        self._in_memory: set[str] = set()
        self._forgotten: set[str] = set()
        self._to_write: queue.SimpleQueue[SavedSequence | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None

    # ------------------------------------------------------------------------------------------------ preparing thread
    def read(self, owner: str, ids: IntArray) -> SavedSequence | None:
        """What is kept of a conversation whose prompt is now `ids`, if it saves work and is not in memory anyway."""
        if owner in self._in_memory:
            return None
        file = self._file(owner)
        try:
            with file.open("rb") as stream:
                state = self._read(stream, owner, ids)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.warning("A kept prompt can't be used and is deleted: %s", error)
            _delete(file)
            return None
        if state is not None:
            with contextlib.suppress(OSError):
                os.utime(file)
        return state

    def _read(self, stream: BufferedReader, owner: str, ids: IntArray) -> SavedSequence | None:
        header = _read_header(stream)
        if header["version"] != _VERSION or header["fingerprint"] != self._fingerprint or header["owner"] != owner:
            raise ValueError("it was made by another version, model or setting")
        n_tokens, n_bytes = int(header["n_tokens"]), int(header["n_bytes"])
        left = os.fstat(stream.fileno()).st_size - stream.tell()
        if n_tokens <= 0 or n_bytes <= 0 or 4 * n_tokens + n_bytes != left:
            raise ValueError("its size is not what its header says")
        kept = np.frombuffer(stream.read(4 * n_tokens), "<i4").astype(np.int32)
        if shared_prefix(kept, ids) < min(_WORTH_READING, len(ids) - 1):
            return None
        data = np.empty(n_bytes, np.uint8)
        if stream.readinto(data.data) != n_bytes or _digest(kept, data) != header["sha256"]:
            raise ValueError("it is damaged")
        return SavedSequence(kept, data, int(header["first_position"]), owner)

    # --------------------------------------------------------------------------------------------------- engine thread
    def hold(self, owner: str) -> None:
        """The model's memory, or the host's, now has a later state of this conversation than any file."""
        self._in_memory.add(owner)
        self._forgotten.discard(owner)

    def write(self, state: SavedSequence) -> None:
        """Keep a state that leaves memory. Returns at once."""
        if state.owner is None or self._budget <= 0:
            return
        self._in_memory.discard(state.owner)
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_all, name="prompt writer", daemon=True)
            self._writer.start()
        self._to_write.put(state)

    def forget(self, owner: str) -> None:
        """The conversation is gone."""
        self._forgotten.add(owner)
        _delete(self._file(owner))

    def close(self) -> None:
        """Return once everything is written."""
        if self._writer is not None:
            self._to_write.put(None)
            self._writer.join()
            self._writer = None

    # --------------------------------------------------------------------------------------------------- writing thread
    def _write_all(self) -> None:
        while (state := self._to_write.get()) is not None:
            try:
                self._write(state)
            except OSError as error:
                _LOG.warning("A prompt can't be kept in %s: %s", self._folder, error)

    def _write(self, state: SavedSequence) -> None:
        assert state.owner is not None
        if state.owner in self._forgotten or state.size_bytes > self._budget:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(state.size_bytes)
        if shutil.disk_usage(self._folder).free < state.size_bytes + _LEFT_FREE_BYTES:
            return
        file = self._file(state.owner)
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=file.stem, suffix=".new")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                self._write_to(stream, state)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        if state.owner in self._forgotten:
            _delete(file)

    def _write_to(self, stream: BinaryIO, state: SavedSequence) -> None:
        header = {
            "version": _VERSION,
            "fingerprint": self._fingerprint,
            "owner": state.owner,
            "n_tokens": len(state.ids),
            "n_bytes": state.data.nbytes,
            "first_position": state.first_position,
            "sha256": _digest(state.ids, state.data),
        }
        text = json.dumps(header).encode()
        stream.write(_MAGIC + len(text).to_bytes(4, "little") + text)
        stream.write(state.ids.astype("<i4").tobytes())
        stream.write(state.data.data)

    def _make_room(self, n_bytes: int) -> None:
        """Delete the least recently used files of any model until `n_bytes` fit into the budget."""
        for path in self._folder.glob("*.new"):
            # Left by a program that was killed while it wrote.
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - _ABANDONED_S:
                    path.unlink()
        files = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                files.append((path.stat().st_mtime, path.stat().st_size, path))
        used = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if used + n_bytes <= self._budget:
                return
            path.unlink(missing_ok=True)
            used -= size

    def _file(self, owner: str) -> Path:
        return self._folder / f"{_name(owner)}-{_name(self._fingerprint)}{_SUFFIX}"


def forget_states(folder: Path, owner: str) -> None:
    """Delete what any model keeps of a conversation."""
    for file in folder.glob(f"{_name(owner)}-*{_SUFFIX}"):
        _delete(file)


def fingerprint_of(files: tuple[Path, ...], **settings: Any) -> str:
    """Tells model files with their settings from others, by their sizes and samples all over them.

    Raises OSError.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for file in files:
        size = file.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with file.open("rb") as stream:
            for i in range(_SAMPLES):
                stream.seek(i * max(0, size - _SAMPLE_BYTES) // (_SAMPLES - 1))
                digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _delete(file: Path) -> None:
    """A file that can't be deleted (it is open, the disk is read-only) must not end the thread that wanted it gone."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        _LOG.warning("%s can't be deleted: %s", file, error)


def _read_header(stream: BinaryIO) -> dict[str, Any]:
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is no kept prompt")
    length = int.from_bytes(stream.read(4), "little")
    if length > _MAX_HEADER:
        raise ValueError("its header is too long")
    header = json.loads(stream.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    return header


def _digest(ids: IntArray, data: Any) -> str:
    digest = hashlib.sha256(ids.astype("<i4").tobytes())
    digest.update(data.data)
    return digest.hexdigest()


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
