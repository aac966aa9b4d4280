"""Files that only the source packages of our dependencies have: real vocabularies, chat templates, test suites.

They are fetched once, by pip and from wherever it is configured to fetch, into a cache folder of the user.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import platformdirs

__all__ = ["LLAMA_MODELS", "SourcePackage", "SourcesMissing", "llama_sources"]

LLAMA_MODELS = "vendor/llama.cpp/models"
"""In llama-cpp-python: `ggml-vocab-*.gguf` and `templates/*.jinja`."""


# Asked before a test gets a home of its own.
_CACHE: Final = platformdirs.user_cache_path("hearth-tests")


class SourcesMissing(Exception):
    """A source package can't be fetched, or lacks a file."""


@dataclass(frozen=True, slots=True)
class SourcePackage:
    name: str
    version: str
    cache: Path = _CACHE

    def folder(self, inside: str) -> Path:
        """The files under `inside` of the package, on the disk. Raises SourcesMissing."""
        target = self.cache / f"{self.name}-{self.version}" / inside
        if not target.is_dir():
            self._extract(inside, target)
        return target

    def _extract(self, inside: str, target: Path) -> None:
        archive = self._archive()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache) as part, tarfile.open(archive) as package:
            for member in package:
                below = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                source = package.extractfile(member) if member.isfile() and below.is_relative_to(inside) else None
                if source is None:
                    continue
                path = Path(part, "files", below.relative_to(inside))
                path.parent.mkdir(parents=True, exist_ok=True)
                with source, path.open("wb") as file:
                    shutil.copyfileobj(source, file)
            found = Path(part, "files")
            if not found.is_dir():
                raise SourcesMissing(f"{archive.name} has no folder {inside}")
            try:
                found.rename(target)
            except OSError:
                # Another process was faster.
                if not target.is_dir():
                    raise

    def _archive(self) -> Path:
        path = self.cache / f"{self.name.replace('-', '_')}-{self.version}.tar.gz"
        if path.exists():
            return path
        self.cache.mkdir(parents=True, exist_ok=True)
        print(f"Fetching the sources of {self.name} {self.version} …", file=sys.stderr)  # noqa: T201 -- it takes a while
        with tempfile.TemporaryDirectory(dir=self.cache) as part:
            wanted = f"{self.name}=={self.version}"
            command = (*_pip(), "download", "--quiet", "--no-deps", "--no-binary", ":all:", wanted, "--dest", part)
            if subprocess.run(command, check=False).returncode:
                raise SourcesMissing(f"the sources of {self.name} {self.version} could not be fetched")
            found = next(Path(part).glob("*.tar.gz"), None)
            if found is None:
                raise SourcesMissing(f"{self.name} {self.version} has no source package")
            found.replace(path)
        return path


def llama_sources(cache: Path | None = None) -> SourcePackage:
    """llama-cpp-python's, of the version in use."""
    version = importlib.metadata.version("llama-cpp-python")
    return SourcePackage("llama-cpp-python", version, cache) if cache else SourcePackage("llama-cpp-python", version)


def _pip() -> Sequence[str]:
    if importlib.util.find_spec("pip") is not None:
        return (sys.executable, "-m", "pip")
    found = shutil.which("pip") or shutil.which("pip3")
    if found is None:
        raise SourcesMissing("there is no pip to fetch source packages with")
    return (found,)
