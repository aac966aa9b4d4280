"""Whether installed files are still what they were when they came."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from app.domain.errors import NotAModel
from app.domain.models import FileCheck, FileState
from app.library.gguf import read_header
from app.library.provenance import provenance_of

__all__ = ["check_files", "told_hash"]

_STEP_BYTES: Final = 4 << 20
# Ollama and Hugging Face's cache call a file by the hash of what is in it.
_NAMED_BY_HASH: Final = re.compile(r"^(?:sha256[-:])?([0-9a-f]{64})$")


def check_files(files: Sequence[Path], on_progress: Callable[[int, int], None], stop: threading.Event) -> tuple[FileCheck, ...]:
    """Read and hash all files whose hash somebody told; `on_progress` gets bytes done and in all. Ends early if `stop` is set.

    Blocks on the disk for as long as reading everything takes.
    """
    told = {file: told_hash(file) for file in files}
    total = sum(_size(file) for file in files if told[file][0])
    done = 0
    checks = []
    for file in files:
        sha256, size_bytes = told[file]
        before = done

        def on_read(n_bytes: int, before: int = before) -> None:
            on_progress(before + n_bytes, max(total, before + n_bytes))

        checks.append(_check(file, sha256, size_bytes, on_read, stop))
        done += _size(file) if sha256 else 0
    return tuple(checks)


def _check(file: Path, sha256: str, size_bytes: int, on_read: Callable[[int], None], stop: threading.Event) -> FileCheck:
    try:
        found_bytes = file.stat().st_size
        if size_bytes and found_bytes != size_bytes:
            return FileCheck(file, FileState.DAMAGED, expected=sha256)
        if not sha256:
            return FileCheck(file, FileState.UNKNOWN if _is_whole(file, found_bytes) else FileState.DAMAGED)
        found = _hash(file, on_read, stop)
    except FileNotFoundError:
        return FileCheck(file, FileState.MISSING, expected=sha256)
    except OSError:
        return FileCheck(file, FileState.UNREADABLE, expected=sha256)
    return FileCheck(file, FileState.INTACT if found == sha256 else FileState.DAMAGED, sha256=found, expected=sha256)


def told_hash(file: Path) -> tuple[str, int]:
    """Hash and size that were noted when it was installed, or that its store calls it by; "" and 0 where nobody told."""
    note = provenance_of(file)
    if note is not None:
        return note.sha256.lower(), note.size_bytes
    for name in (file.name, os.path.basename(os.path.realpath(file))):
        if found := _NAMED_BY_HASH.match(name):
            return found[1], 0
    return "", 0


def _is_whole(file: Path, size_bytes: int) -> bool:
    """As far as its header tells."""
    try:
        return size_bytes >= read_header(file).needed_bytes
    except NotAModel as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        return False


def _hash(file: Path, on_read: Callable[[int], None], stop: threading.Event) -> str:
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_STEP_BYTES))
    done = 0
    with file.open("rb", buffering=0) as stream:
        while (n := stream.readinto(buffer)) and not stop.is_set():
            digest.update(buffer[:n])
            done += n
            on_read(done)
    return digest.hexdigest()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
